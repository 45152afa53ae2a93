"""Settings are checked against a signature or a model, and each error is one line."""

import json
from typing import Annotated

import numpy as np
import pytest
from pydantic import Field

from flowsim import InputError, build, open_recording, record
from flowsim.specification import Block, Count, arguments, checked, from_json, validate
from stimuli import moving_digits, optic_flow


def draw(
    split, *, size: Annotated[int, Field(ge=3)] = 8, speeds: tuple[float, ...] = (1.0,), name: str = "a"
):
    """A function with settings."""


class Inner(Block):
    count: Count = 1


class Outer(Block):
    title: str
    inner: Inner = Inner()


def test_defaults_are_filled_in():
    assert arguments(draw, {}, "here", given=("split",)) == {"size": 8, "speeds": (1.0,), "name": "a"}
    chosen = arguments(draw, {"size": 4, "speeds": [1, 2.5]}, "here", given=("split",))
    assert chosen == {"size": 4, "speeds": (1.0, 2.5), "name": "a"}


def test_zero_has_no_sign():
    """A range from 0.0 to -0.0 would be upside down."""
    found = optic_flow.generate("train", np.random.default_rng(0), max_rotation=-0.0, trials=2, frames=2)
    assert float(found.velocity_omega.max()) == 0


def test_numbers_of_numpy_are_numbers():
    assert arguments(draw, {"size": np.int64(4)}, "here", given=("split",))["size"] == 4


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"size": 2}, "here: size: input should be greater than or equal to 3; got 2"),
        ({"size": "4"}, "here: size: input should be a valid integer; got '4'"),
        ({"sise": 4}, "here: unknown key 'sise'; expected one of: size, speeds, name"),
        ({"size": 2, "name": 3}, r"here: size: .*; got 2 \(and 1 more\)"),
        ({"size": draw}, r"here: size: expected plain values \(text, numbers, lists\); got <function draw"),
    ],
)
def test_errors_of_arguments(spec, message):
    with pytest.raises(InputError, match=f"^{message}"):
        arguments(draw, spec, "here", given=("split",))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "'title' is missing; add it"),
        (
            {"title": "a", "inner": {"count": 0}},
            "inner.count: input should be greater than or equal to 1; got 0",
        ),
        (
            {"title": "a", "inner": {"cuont": 1}},
            "unknown key 'inner.cuont'; expected one of: count. Did you mean count\\?",
        ),
        ([1], r"input should be an object; got \[1\]"),
    ],
)
def test_errors_of_a_block(spec, message):
    with pytest.raises(InputError, match=f"^{message}$"):
        validate(Outer, spec, "")


def test_a_specification_as_json():
    assert from_json('{"a": 1}') == {"a": 1}
    with pytest.raises(InputError, match="--spec: expected JSON; Expecting"):
        from_json("{a: 1}")
    with pytest.raises(InputError, match=r"--spec: expected a JSON object; got '\[1\]'"):
        from_json("[1]")


def unannotated(
    split, rng, trials=64, *, width=1.5, name="a", sizes=(8, 8), moving=True, seed=None, **others
):
    """A function of somebody who writes no annotations."""


GIVEN = ("split", "rng")


def test_without_an_annotation_the_default_says_the_type():
    assert arguments(unannotated, {}, "here", GIVEN)["trials"] == 64
    chosen = {"trials": 3, "width": 2, "name": "b", "sizes": [4, 5], "moving": False, "seed": 3}
    assert arguments(unannotated, chosen, "here", GIVEN) == {**chosen, "sizes": (4, 5)}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"trials": 2.5}, "trials: input should be a valid integer.*; got 2.5"),
        ({"trials": True}, "trials: input should be a valid integer; got True"),
        ({"width": "wide"}, "width: input should be a valid number; got 'wide'"),
        ({"moving": 1}, "moving: input should be a valid boolean; got 1"),
        ({"height": 1}, "unknown key 'height'; expected one of: trials, width, name, sizes, moving, seed$"),
    ],
)
def test_the_type_of_a_default_is_kept(spec, message):
    with pytest.raises(InputError, match=f"^here: {message}"):
        arguments(unannotated, spec, "here", GIVEN)


def test_what_is_given_may_go_without_an_annotation():
    @checked
    def generate(split, rng, *, size=3):
        return split, rng, size

    rng = np.random.default_rng(0)
    assert generate("probe", rng, size=4) == ("probe", rng, 4)
    with pytest.raises(
        InputError, match="test_specification: size: input should be a valid integer; got 'a'"
    ):
        generate("probe", rng, size="a")


def unknown_name(*, size: "Sise" = 3):  # noqa: F821
    """An annotation that names nothing."""


def no_plain_type(*, size: np.random.Generator = None):
    """An annotation that cannot be written in YAML."""


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (unknown_name, "expected annotations that can be read; name 'Sise' is not defined"),
        (no_plain_type, "expected arguments of plain types .*; Unable to generate .*Generator"),
    ],
)
def test_annotations_that_cannot_be_checked(function, message):
    with pytest.raises(InputError, match=f"test_specification.py: {function.__name__}: {message}"):
        arguments(function, {}, "here")


def test_a_stimulus_says_what_it_was_made_from(tmp_path):
    """All arguments, as in a file that the command line writes; a recording of it repeats them."""
    probe = moving_digits.generate("probe", np.random.default_rng(0), trials=2, frames=3, height=8, width=8)
    said = json.loads(probe.attrs["specification"])
    assert said["family"] == "moving_digits"
    assert said["split"] == "probe"
    assert (said["trials"], said["frames"], said["labels"]) == (2, 3, None)
    record(build("fernn", (8, 8), max_speed=0, channels=2), probe, tmp_path / "a.h5")
    assert json.loads(open_recording(tmp_path / "a.h5").attrs["stimulus"]) == said
