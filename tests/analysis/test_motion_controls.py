"""A network that reads postures keeps its accuracy without motion, and one that reads motion loses it."""

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr

from analysis import motion_controls
from flowsim import InputError
from flowsim.figures import plot
from tests.known.calibration import times

mpl.use("agg")
CONDITIONS = ("intact", "reversed", "shuffled", "one_posture", "one_frame")
CLASSES, PERSONS = 3, 8


def controls(rng, named, trials=216, frames=None):
    """A recording of ``named`` (condition, trial), what a network names at the last frame; frames are noise."""
    label = np.arange(trials) % CLASSES
    logits = np.zeros((len(CONDITIONS), trials, 2, CLASSES))
    logits[:, :, 1] = np.eye(CLASSES)[named(label)]
    if frames is None:
        frames = rng.random((len(CONDITIONS), trials, 2, 6, 6))
    flags = {"flag_values": np.arange(5, dtype=np.int8), "flag_meanings": " ".join(CONDITIONS)}
    return xr.Dataset(
        {
            "logits": (("flow", "trial", "time", "class"), logits),
            "frames": (("flow", "trial", "time", "y", "x"), frames),
        },
        {
            "condition": ("flow", np.arange(5, dtype=np.int8), flags),
            "time": np.arange(2),
            "object_label": (("trial", "object"), label[:, None]),
            "object_person": (("trial", "object"), (np.arange(trials) // CLASSES % PERSONS)[:, None]),
        },
    )


def by_posture(rng):
    """The right label in 4 of 5 trials, whatever the order of frames."""
    right = rng.random(216) < 0.8
    return lambda label: np.tile(np.where(right, label, (label + 1) % CLASSES), (5, 1))


def by_direction(label):
    """The right label by the direction of motion: a wrong one when it is reversed, any where there is none."""
    named = np.tile(label, (5, 1))
    named[1] = (label + 1) % CLASSES
    named[2:] = (label + np.arange(len(label)) // CLASSES) % CLASSES
    return named


def test_who_reads_postures_loses_nothing(rng):
    results = motion_controls.analyse(controls(rng, by_posture(rng)))
    np.testing.assert_allclose(results.accuracy, results.accuracy[0])
    assert float(results.accuracy[0]) == pytest.approx(0.8, abs=0.07)
    np.testing.assert_allclose(results.left, 1)
    np.testing.assert_allclose(results.left_high - results.left_low, 0, atol=1e-9)
    assert float(results.chance) == pytest.approx(1 / CLASSES)


def test_who_reads_directions_falls_to_chance_and_below(rng):
    results = motion_controls.analyse(controls(rng, by_direction)).set_index(condition="condition")
    accuracy = results.accuracy.sel(condition=list(CONDITIONS)).values
    np.testing.assert_allclose(accuracy, [1, 0, 1 / 3, 1 / 3, 1 / 3])
    np.testing.assert_allclose(results.left, [1, -0.5, 0, 0, 0], atol=1e-12)
    apart = results.sel(condition="one_posture")
    assert float(apart.low) < 1 / 3 < float(apart.high)
    assert float(apart.left_low) < 1e-9
    assert -1e-9 < float(apart.left_high) < 0.5


@times(40)
def test_intervals_hold_the_truth_over_persons(simulations, calibration):
    """Persons differ in how well they are named; half of what is above chance needs no motion. Frames are
    noise, of which a readout can make nothing. What is left is judged where it is known: where motion helps.
    """
    left = np.array([1, 0, 0.5, 0.5, 0.5])
    found = []
    for seed in range(simulations):
        rng = np.random.default_rng(seed)
        easy = rng.beta(4, 2, PERSONS)[np.arange(216) // CLASSES % PERSONS]
        right = rng.random((5, 216)) < 1 / 3 + left[:, None] * (easy - 1 / 3)
        label = np.arange(216) % CLASSES
        named = np.where(right, label, (label + 1) % CLASSES)
        found.append(motion_controls.analyse(controls(rng, lambda _, named=named: named)))
    results = xr.concat(found, "simulation")
    world = "persons who are named unequally well"
    for kind, value in (("", (1 + left) / 3), ("left_", left)):
        ends = results[[f"{kind}low", f"{kind}high"]].dropna("simulation")
        assert ends.sizes["simulation"] > 0.8 * simulations
        low, high = ends[f"{kind}low"], ends[f"{kind}high"]
        calibration.intervals(
            "motion_controls", f"{kind}low", low[:, 1:], value[1:], high[:, 1:], world, CONDITIONS[1:]
        )
    reads = results.reads.values.tolist()
    calibration.intervals(
        "motion_controls", "readout_low", results.readout_low, 1 / 3, results.readout_high, world, reads
    )


def test_without_accuracy_there_is_nothing_to_be_left(rng):
    results = motion_controls.analyse(
        controls(rng, lambda label: rng.integers(CLASSES, size=(5, len(label))))
    )
    assert results.left.isnull().all()
    assert float(results.accuracy[0]) == pytest.approx(1 / 3, abs=0.1)


def test_readouts_of_frames_find_a_posture_and_nothing_in_noise(rng):
    label = np.arange(216) % CLASSES
    frames = 0.2 * rng.random((5, 216, 2, 6, 6))
    nothing = motion_controls.analyse(controls(rng, by_direction, frames=frames))
    assert (nothing.readout_low < 1 / 3).all()
    assert (nothing.readout < 0.5).all()
    at = rng.integers(6, size=(216, 2))
    for trial in range(216):  # a bar of a length that its label says, anywhere
        bar = np.zeros((6, 6))
        bar[0, : 1 + label[trial]] = 0.8
        frames[:, trial] += np.roll(bar, at[trial], (0, 1))
    leak = motion_controls.analyse(controls(rng, by_direction, frames=frames))
    assert (leak.readout > 0.9).all()
    assert (leak.readout_low > 1 / 3).all()


def test_what_was_not_recorded_is_said(rng):
    made = controls(rng, by_direction)
    with pytest.raises(InputError, match="expected a recording of split control"):
        motion_controls.analyse(made.drop_vars("condition"))
    with pytest.raises(InputError, match=r"condition intact\); got reversed, shuffled"):
        motion_controls.analyse(made.isel(flow=slice(1, None)))
    one_person = motion_controls.analyse(made.isel(trial=slice(3)))
    assert one_person[["low", "left_low", "readout"]].to_array().isnull().all()


def test_answers_and_figure(rng):
    runs = [motion_controls.analyse(controls(rng, by_direction, trials=72)) for _ in range(2)]
    results = xr.concat(runs, "run").assign_coords(run=["a-seed0", "a-seed1"], network=("run", ["a", "a"]))
    answers = motion_controls.answers(results)
    assert next(iter(answers)) == "accuracy with motion intact"
    intact = answers["accuracy with motion intact"]
    assert intact.attrs["chance"] == pytest.approx(1 / CLASSES)
    assert set(intact.attrs["baseline"]) == {
        "linear readout of one frame",
        "linear readout of frames without order",
    }
    left = answers["share of the accuracy above chance that is left with one posture that is moved on"]
    np.testing.assert_allclose(left, 0, atol=1e-12)
    assert [label for label, of in answers.items() if of.attrs.get("better")] == [
        "accuracy with motion intact"
    ]
    with mpl.rc_context(plot.STYLE):
        ax = motion_controls.figure(results).axes[0]
    ticks = [tick.get_text().replace("\n", " ") for tick in ax.get_xticklabels()]
    assert ticks[:5] == [condition.replace("_", " ") for condition in CONDITIONS]
    assert ticks[5:] == ["readout of one frame", "readout of frames without order"]
    assert ax.get_legend_handles_labels()[1] == ["a", "chance"]
