"""Every analysis, on a recording of every stimulus and on every kind of recording with nothing to find, gives
numbers that hold what they should, or one line that says why it cannot.
"""

import inspect
import warnings

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from flowsim import InputError, build, ideas, open_recording, record
from flowsim.figures import plot
from flowsim.measures import predictors
from flowsim.scenes.control import drawn
from tests.known.calibration import SIMULATIONS
from tests.known.nulls import KINDS, as_sweep, null
from tests.known.results import DRAWS

mpl.use("agg")
ANALYSES = ideas.names("analysis")
FAMILIES = ideas.names("stimuli")
SPLITS = ("train", "valid", "test", "sweep", "probe", "control")
PERMUTATIONS = 19
"""The fewest of which a p of 0.05 can come."""


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """A factory of recordings of a small untrained network that was shown a split of a stimulus."""
    folder, known = tmp_path_factory.mktemp("shown"), {}

    def show(family, split):
        if (family, split) not in known:
            generate = ideas.load("stimuli", family).generate
            stimulus = drawn(generate, split, np.random.default_rng(0), trials=3, frames=6)
            torch.manual_seed(0)
            size = (stimulus.sizes["y"], stimulus.sizes["x"])
            network = build("fernn", size, max_speed=1, channels=2, decoder_layers=0, classes=10)
            file = folder / f"{family}-{split}.h5"
            record(
                network,
                stimulus,
                file,
                context=None if split in ("probe", "control") else 3,
                sites=("state", "prediction", "logits"),
                blank={"at": 3} if split == "probe" else None,
                curve={"sequences": [8, 16], "valid_loss": [0.2, 0.1]},
                attrs={"network": "fernn", "seed": "0", "horizon": 2},
            )
            known[family, split] = open_recording(file)
        return known[family, split]

    return show


def judged(name, recording, draws=PERMUTATIONS, **options):
    """Results of an analysis, or the InputError that says in one line why there are none.

    Nothing else is raised, and nothing is divided by 0 on the way.
    """
    analysis = ideas.load("analysis", name)
    arguments = inspect.signature(analysis.analyse).parameters
    options = {argument: draws for argument in DRAWS if argument in arguments} | options
    if "trained_speed" in arguments and "trained" not in recording.coords:
        options["trained_speed"] = 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return analysis.analyse(recording, **options).compute()
        except InputError as error:
            return error


def in_runs(results):
    """Results as those of two seeds of an experiment, which came out the same."""
    run = {"network": ("run", ["fernn"] * 2), "seed": ("run", ["0", "1"])}
    both = results.expand_dims(run=["fernn-seed0", "fernn-seed1"]).copy(deep=True)
    return both.assign_coords(run)


def answers_of(name, results):
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        return ideas.load("analysis", name).answers(in_runs(results))


def p_values(results):
    """All p-values of results, by name."""
    names = [n for n in map(str, results.data_vars) if n == "p" or n.endswith("_p") or n.startswith("p_")]
    return {name: results[name].values.ravel() for name in names}


def check(name, judgement):
    """What holds of whatever an analysis says."""
    if isinstance(judgement, InputError):
        assert 30 < len(str(judgement)) < 400, judgement
        assert "\n" not in str(judgement)
        return
    for variable, values in judgement.data_vars.items():
        if np.issubdtype(values.dtype, np.number):
            assert not np.isinf(values).any(), variable
    for p in p_values(judgement).values():
        known = p[np.isfinite(p)]
        assert ((known > 0) & (known <= 1)).all()
    answers = answers_of(name, judgement)
    assert any(np.isfinite(values).any() for values in answers.values()) or not answers
    for label, values in answers.items():
        assert values.dims == ("run",), label
        assert not np.isinf(values).any(), label
        low, high = values.attrs.get("bounds", (-np.inf, np.inf))
        known = values.values[np.isfinite(values.values)]
        assert ((known >= low) & (known <= high)).all(), label


CONSTANT, CHANGING = ("trial", "object"), ("trial", "object", "time")
LIKE_EACH_OTHER = {
    ("translation", CONSTANT, True): ["moving_digits", "digit_world", "moving_actions", "moving_kth"],
    ("translation", CONSTANT, False): [
        *("drifting_gratings", "motion_clouds", "random_dots", "optic_flow", "motion_panel")
    ],
    ("translation", CHANGING, True): ["accelerating_digits", "colliding_digits"],
    ("rotation", CONSTANT, True): ["rotating_digits"],
    ("spiral", CONSTANT, True): ["expanding_digits"],
}
"""Stimuli by what analyses ask about: the group of flows, dimensions of velocities, and labels or none."""


def in_the_short_run():
    """Each analysis and one stimulus of each kind, which take turns from one analysis to the next that reads
    the same split.
    """
    turns = dict.fromkeys(SPLITS, 0)
    for name in ANALYSES:
        split = ideas.load("analysis", name).READS
        for alike in LIKE_EACH_OTHER.values():
            yield name, alike[turns[split] % len(alike)]
        turns[split] += 1


@pytest.mark.parametrize("family", FAMILIES)
def test_every_stimulus_is_of_a_kind(family):
    made = ideas.load("stimuli", family).generate("probe", np.random.default_rng(0), trials=1, frames=2)
    velocity = next(made[name] for name in made.coords if name.startswith("velocity_"))
    kind = made.attrs["flow_group"], velocity.dims, "label" in made.coords
    assert family in LIKE_EACH_OTHER[kind]


@pytest.mark.parametrize(("name", "family"), [*in_the_short_run()])
def test_every_kind_of_stimulus(name, family, shown):
    check(name, judged(name, shown(family, ideas.load("analysis", name).READS), draws=2))


@pytest.mark.slow
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ANALYSES)
def test_every_split(name, family, split, shown):
    """Also those that an analysis is not made for; and what it says can be drawn."""
    judgement = judged(name, shown(family, split), draws=2)
    check(name, judgement)
    if not isinstance(judgement, InputError) and split == ideas.load("analysis", name).READS:
        with mpl.rc_context(plot.STYLE):
            ideas.load("analysis", name).figure(in_runs(judgement)).draw_without_rendering()
        plt.close("all")


WITHOUT_TRUE_VELOCITY = {
    *("accelerating_digits", "colliding_digits"),  # it changes
    *("digit_world", "optic_flow"),  # the observer moves
    "expanding_digits",  # of the two components of its flows, objects have one
}
"""Stimuli in which nothing moves on at a known velocity for ever."""


@pytest.mark.parametrize("family", FAMILIES)
def test_every_stimulus_can_be_predicted(family, shown):
    """Errors are judged, not refused: of every family, against predictors that know motion and others."""
    results = judged("prediction_error", shown(family, "test"))
    for label, answer in answers_of("prediction_error", results).items():
        assert np.isfinite(answer).all(), label
        baseline = answer.attrs["baseline"]
        assert {*predictors.KNOW_NO_MOTION, "moved copy (estimated velocity)"} <= set(baseline), label
    assert all(results.predictor_mse.sel(predictor=[*predictors.KNOW_NO_MOTION]).mean("ahead") > 0)
    knows = "moved copy (true velocity)" in results.predictor
    assert knows == (family not in WITHOUT_TRUE_VELOCITY)


def nothing_for(name, kind, seed):
    """A recording of a kind, as the analysis reads it."""
    rng = np.random.default_rng(seed)
    made = null(kind, rng)
    reads = ideas.load("analysis", name).READS
    return made if reads == "probe" else as_sweep(made, rng)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ANALYSES)
def test_every_null(name, kind):
    """A run whose state never changes has no similarity to others, which does not keep them from having one."""
    if (name, kind) == ("model_similarity", "dead"):
        assert float(abs(judged(name, nothing_for(name, kind, 0), draws=2).gram).max()) == 0
        return
    check(name, judged(name, nothing_for(name, kind, 0), draws=2))


WITH_P = ("learned_action", "linear_decoding", "representational_similarity", "velocity_tuning")
"""Analyses of one recording that state a p-value."""


@pytest.mark.slow
@pytest.mark.calibration
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", WITH_P)
def test_p_values_of_nulls_are_small_no_more_often_than_they_say(name, kind, calibration):
    """Of each that is stated; where one is stated by unit, of the share of units."""
    small = {}
    for seed in range(SIMULATIONS):
        judgement = judged(name, nothing_for(name, kind, seed), **({"seed": seed} if _drawn(name) else {}))
        if isinstance(judgement, InputError):
            continue
        for variable, p in p_values(judgement).items():
            known = p[np.isfinite(p)]
            if known.size:
                small.setdefault(variable, []).append(np.mean(known <= 0.05))
    for variable, rates in small.items():
        # the mean of shares is no more spread than that of one p a simulation
        calibration.rate(name, variable, rates, f"{kind} (contract)", "mean of all")


def _drawn(name):
    return "seed" in inspect.signature(ideas.load("analysis", name).analyse).parameters


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["prediction_error", "length_generalisation", "velocity_generalisation"])
def test_predictions_that_know_nothing_are_worse_than_the_mean_frame(name, kind):
    answers = answers_of(name, judged(name, nothing_for(name, kind, 0)))
    assert answers
    for label, values in answers.items():
        sign = {"lower": 1, "higher": -1}[values.attrs["better"]]
        assert sign * float(values[0]) > sign * values.attrs["baseline"]["mean frame"], label


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_that_know_nothing_have_no_drift_and_no_growth(kind):
    results = judged("stability", nothing_for("stability", kind, 0)).sel(between="world")
    assert float(results.indistinct.mean()) > 0.8
    assert results.growth.isnull().all()


SHARED = np.sqrt(2 * 0.25 / 1.25)
"""Error of the invariant law where states are a code of variance 1 that flows leave, and noise of 0.25."""
RIGHT = dict.fromkeys(("independent", "autocorrelated", "imbalanced", "offset", "rank 1"), np.sqrt(2))
RIGHT |= {"shared": SHARED, "repeated": SHARED}


@pytest.mark.parametrize("kind", KINDS)
def test_errors_of_laws_in_nulls(kind):
    """Of independent states it is sqrt(2), whatever is added to them or shared by trials."""
    judgement = judged("equivariance_error", nothing_for("equivariance_error", kind, 0))
    if kind == "dead":
        assert "expected states that vary; each unit is constant" in str(judgement)
        return
    later = judgement.isel(flow=slice(1, None), time=slice(1, None))
    error = later.error.mean(("flow", "time"))
    rough = 0.3 if kind == "rank 1" else 0.05
    assert float(error.sel(law="invariant")) == pytest.approx(RIGHT[kind], rel=rough)
    assert float(error.sel(law="transport")) == pytest.approx(np.sqrt(2), rel=rough)
    chance = judgement.error_chance.isel(flow=slice(1, None)).mean("flow")
    np.testing.assert_allclose(chance.sel(law=["invariant", "transport"]), np.sqrt(2), rtol=2 * rough)
    assert (judgement.constant == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_stabilised_maps_of_nulls(kind):
    judgement = judged("stabilised_maps", nothing_for("stabilised_maps", kind, 0))
    if kind == "dead":
        assert "expected states that vary; each unit is constant" in str(judgement)
        return
    rough = 0.3 if kind == "rank 1" else 0.05
    change = judgement.change.isel(flow=slice(1, None), time=slice(1, None)).mean()
    assert float(change) == pytest.approx(np.sqrt(2), rel=rough)
    chance = judgement.change_chance.isel(flow=slice(1, None)).mean()
    assert float(chance) == pytest.approx(np.sqrt(2), rel=2 * rough)


@pytest.mark.parametrize("kind", KINDS)
def test_lie_derivatives_of_nulls(kind):
    """States that differ by chance do not move by any law: 1, or more if they share what stays in place."""
    judgement = judged("lie_derivative", nothing_for("lie_derivative", kind, 0))
    if kind == "dead":
        assert "expected states that vary; each unit is constant" in str(judgement)
        return
    error = judgement.sel(site="state", law="transport").isel(time=1)
    expected = np.sqrt(2.5 / 0.5) if kind in ("shared", "repeated") else 1.0
    assert float(error.error.mean()) == pytest.approx(expected, rel=0.35 if kind == "rank 1" else 0.1)
    assert (error.floor < 1e-10).all()
    assert (error.interval > 0).all()
