"""What an argument of a stimulus, a network or an analysis may be is refused from Python as from an experiment
file: for every argument of every idea, values out of range or of another type, with the same words.
"""

import inspect
import math

import numpy as np
import pytest
import xarray as xr

from flowsim import InputError, ideas, specification

GIVEN = {
    "stimuli": ("generate", ("probe", np.random.default_rng(0))),
    "flowsim.models": ("build", ((8, 9),)),
    "analysis": ("analyse", (xr.Dataset(),)),
}
"""The function of each kind of idea, and what it is given besides its settings."""
IDEAS = [(package, name) for package in GIVEN for name in ideas.names(package)]
NEVER = ["nonsense", {}, 1j, object(), math.inf, math.nan]
"""What no argument may be; text may stand for a path."""
SUSPECT = [-1, 0, 0.5, 1.5, 50, True, None, [], [-1], [0.7], [math.nan], ["nonsense"]]
"""What some arguments may be."""


def refusal(call):
    """What an InputError says without its beginning; None where nothing is refused."""
    try:
        call()
    except InputError as error:
        return str(error).partition(": ")[2]
    return None


def settings_of(function):
    """Parameters with a default."""
    parameters = inspect.signature(function).parameters.values()
    return [parameter.name for parameter in parameters if parameter.default is not parameter.empty]


def function_of(package, name):
    return getattr(ideas.load(package, name), GIVEN[package][0])


def from_a_file(function, settings):
    given = [name for name in inspect.signature(function).parameters if name not in settings_of(function)]
    return refusal(lambda: specification.arguments(function, settings, "file", tuple(given)))


@pytest.mark.parametrize(("package", "name"), IDEAS)
def test_python_refuses_what_a_file_refuses_in_the_same_words(package, name):
    function, given = function_of(package, name), GIVEN[package][1]
    for argument in settings_of(function):
        for value in NEVER + SUSPECT:
            said = from_a_file(function, {argument: value})
            if said is None:
                continue  # what the function makes of it is told by tests of its own
            assert refusal(lambda: function(*given, **{argument: value})) == said  # noqa: B023
            assert said.lstrip("'").startswith(argument), said
            assert "expected" in said or "should be" in said or "is missing" in said, said
            assert "\n" not in said
            assert len(said) < 250


@pytest.mark.parametrize(("package", "name"), IDEAS)
def test_no_argument_takes_just_anything(package, name):
    """Each refuses what is neither its type nor in its range, and a name that is not an argument."""
    function = function_of(package, name)
    for argument in settings_of(function):
        for value in NEVER[1:]:
            assert from_a_file(function, {argument: value}) is not None, (argument, value)
    said = refusal(lambda: function(*GIVEN[package][1], coherense=1))
    assert said == from_a_file(function, {"coherense": 1})
    assert said.startswith("unknown key 'coherense'")


OUT_OF_RANGE = {
    **dict.fromkeys(
        ("trials", "frames", "height", "width", "objects", "permutations", "channels", "kernel"), 0
    ),
    **dict.fromkeys(
        ("max_speed", "sweep_speed", "probe_speed", "max_rotation", "dot_life", "noise", "seed"), -1
    ),
    **dict.fromkeys(("contrast", "coherence", "density"), 50),
    "folds": 1,
    "spatial_frequencies": [0.7],
    "temporal_frequencies": [0.7],
    "sf_0": 0.7,
    "speeds": [-1],
    "period": 1,
    "conditions": 3,
    "level": 1,
    "classes": 0,
    "layers": 0,
}
"""Of arguments by these names, what none may be."""


@pytest.mark.parametrize(("package", "name"), IDEAS)
def test_values_that_have_no_meaning_are_refused(package, name):
    function, given = function_of(package, name), GIVEN[package][1]
    for argument in OUT_OF_RANGE.keys() & set(settings_of(function)):
        value = OUT_OF_RANGE[argument]
        said = refusal(lambda: function(*given, **{argument: value}))  # noqa: B023
        assert said is not None, argument
        assert said.startswith(argument)
        assert "should be" in said
        assert said == from_a_file(function, {argument: value})


@pytest.mark.parametrize(("package", "name"), IDEAS)
def test_what_is_given_besides_is_checked(package, name):
    function, given = function_of(package, name), GIVEN[package][1]
    last = list(inspect.signature(function).parameters)[len(given) - 1]
    with pytest.raises(InputError, match=rf"^{name}: {last}: (expected|input should be) .*; got 0$"):
        function(*given[:-1], 0)
