"""Which labels a network names, counted by hand."""

import numpy as np
import pytest
import xarray as xr

from analysis import classification_accuracy
from flowsim import InputError
from flowsim.figures import plot
from flowsim.measures import ground_truth, statistics


def classified(named, labels, velocities, trained):
    """A recording whose logits name ``named`` (trial, time)."""
    logits = np.eye(3)[named][None]
    coords = {
        "time": np.arange(named.shape[1]),
        "object_label": (("trial", "object"), np.array(labels)[:, None]),
        "object_velocity_vy": (("trial", "object"), np.array(velocities)[:, :1]),
        "object_velocity_vx": (("trial", "object"), np.array(velocities)[:, 1:]),
        "trained": ("trial", trained),
    }
    return xr.Dataset({"logits": (("flow", "trial", "time", "class"), logits)}, coords, {"task": "classify"})


def test_accuracy_by_velocity_time_and_label():
    labels, velocities = [0, 1, 2, 0], [(0, 0), (0, 0), (0, 1), (0, 1)]
    named = np.array([[1, 0], [1, 1], [2, 1], [0, 0]])
    result = classification_accuracy.analyse(classified(named, labels, velocities, [1, 1, 0, 0]))
    assert result.accuracy.sel(vy=0).values.tolist() == [1, 0.5]
    assert (float(result.accuracy_trained), float(result.accuracy_novel)) == (1, 0.5)
    assert result.accuracy_time.values.tolist() == [0.75, 0.75]
    assert result.confusion.values.tolist() == [[2, 0, 0], [0, 1, 0], [0, 1, 0]]
    assert float(result.chance) == 0.5
    assert result.trials.sum() == 4
    one = classified(named, labels, velocities, [1, 1, 0, 0])
    one["object_label"] = one.object_label.isel(object=0)
    xr.testing.assert_equal(classification_accuracy.analyse(one), result)
    np.testing.assert_array_equal(ground_truth.labels(one, 2), [0, 1])
    assert (float(result.tied), int(result.unlabelled)) == (0, 0)
    unlabelled = classified(named, labels, velocities, [1, 1, 0, 0]).drop_vars("object_label")
    with pytest.raises(
        InputError, match=r"expected the label of each object \(object_label\); the recording has none"
    ):
        classification_accuracy.analyse(unlabelled)


def of_logits(logits, labels, image=None):
    """A recording of logits (trial, class) of one frame, whose objects move at 0 in training and at 1 besides."""
    trials = len(labels)
    velocities = np.stack([np.zeros(trials), np.arange(trials) % 2], -1)
    made = classified(np.zeros((trials, 1), int), labels, velocities, velocities[:, 1] == 0)
    made["logits"] = (("flow", "trial", "time", "class"), np.asarray(logits)[None, :, None])
    if image is None:
        return made
    return made.assign_coords(object_image=(("trial", "object"), np.asarray(image)[:, None]))


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_a_network_that_says_nothing_is_at_one_of_the_classes(order):
    """Whichever class comes first, and however many trials have its label."""
    labels = np.array(order)[[0, 0, 0, 0, 0, 0, 1, 2]]
    result = classification_accuracy.analyse(of_logits(np.full((8, 3), 2.5), labels))
    np.testing.assert_allclose([result.accuracy_trained, result.accuracy_novel], 1 / 3)
    np.testing.assert_allclose(result.accuracy_time, 1 / 3)
    assert float(result.tied) == 1
    np.testing.assert_allclose(result.confusion, np.bincount(labels)[:, None] / 3 * np.ones(3))
    assert float(result.chance) == 0.75


def test_ties_of_half_precision_share_the_answer():
    """Logits that only differ beyond its 11 bits are the same; those of two classes leave each a half."""
    logits = np.array([[3000.2, 3000.6, 0], [0, 1, 2], [3, 3, 3], [1, 0, 0]])
    precise = classification_accuracy.analyse(of_logits(logits, [0, 2, 1, 0]))
    rounded = classification_accuracy.analyse(of_logits(logits.astype(np.float16), [0, 2, 1, 0]))
    np.testing.assert_allclose(precise.accuracy_time, (0 + 1 + 1 / 3 + 1) / 4)
    np.testing.assert_allclose(rounded.accuracy_time, (1 / 2 + 1 + 1 / 3 + 1) / 4)
    assert (float(precise.tied), float(rounded.tied)) == (0.25, 0.5)
    assert float(rounded.confusion.sum()) == pytest.approx(4)


def test_unknown_logits_are_refused_by_trial(rng):
    logits = rng.standard_normal((6, 3))
    for wrong in (np.nan, np.inf):
        broken = logits.copy()
        broken[[2, 4], 1] = wrong
        with pytest.raises(
            InputError, match=r"those of 2 of 6 trials contain NaN .* \(the first is trial 2\)"
        ):
            classification_accuracy.analyse(of_logits(broken, [0, 1, 2] * 2))
    with pytest.raises(InputError, match="expected finite logits; those of 6 of 6 trials"):
        classification_accuracy.analyse(of_logits(np.full((6, 3), -np.inf), [0, 1, 2] * 2))
    ruled_out = logits.copy()
    ruled_out[:, 2] = -np.inf
    named = classification_accuracy.analyse(of_logits(ruled_out, [0, 1, 2] * 2)).confusion.sum("label")
    assert float(named[2]) == 0


def test_trials_without_a_label_are_left_out_and_counted(rng, runs):
    logits = rng.standard_normal((8, 3))
    labelled = [0, 1, 2, 0, 1, 2]
    whole = classification_accuracy.analyse(of_logits(logits[:6], labelled))
    for missing in (-1, -9, np.nan):
        result = classification_accuracy.analyse(of_logits(logits, [*labelled, missing, missing]))
        assert int(result.unlabelled) == 2
        xr.testing.assert_allclose(result.drop_vars("unlabelled"), whole.drop_vars("unlabelled"))
    both = xr.concat([result.expand_dims(run=[n]) for n in ("a-seed0", "a-seed1")], "run", data_vars="all")
    title = classification_accuracy.figure(both.assign_coords(network=("run", ["a", "a"]))).get_suptitle()
    assert "2 trials without a label left out" in title
    for wrong, message in (
        (7, "below the network's 3 classes .*; got 7"),
        (0.5, "whole numbers .*; got 0.5"),
        (np.inf, "got inf"),
    ):
        with pytest.raises(InputError, match=message):
            classification_accuracy.analyse(of_logits(logits, [*labelled, 0, wrong]))
    with pytest.raises(InputError, match="expected trials with a label"):
        classification_accuracy.analyse(of_logits(logits, [-1] * 8))
    with pytest.raises(InputError, match="numbers of the network's 3 classes; got"):
        classification_accuracy.analyse(of_logits(logits, ["run"] * 8))


@pytest.mark.parametrize("hits", [20, 34, 39, 40])
def test_intervals_are_those_of_as_many_images(hits):
    """Whether each image is shown once, or four times with the same answer."""
    right = np.arange(40) < hits
    for repeats in (1, 4):
        image = np.repeat(np.arange(40), 2 * repeats)
        logits = np.stack([right, ~right], -1)[image].astype(float)
        result = classification_accuracy.analyse(of_logits(logits, [0] * len(image), image))
        for velocities in ("trained", "novel"):
            found = [float(result[f"{end}_{velocities}"]) for end in ("low", "high")]
            np.testing.assert_allclose(found, statistics.wilson_interval(hits, 40), atol=0.02)


def test_answers_say_what_is_possible_and_what_is_chance(rng):
    made = classification_accuracy.analyse(of_logits(rng.standard_normal((8, 3)), [0, 1, 2, 0, 0, 0, 1, 2]))
    both = xr.concat([made, made], "run")
    for values in classification_accuracy.answers(both).values():
        assert values.attrs == {"units": "1", "better": "higher", "bounds": (0.0, 1.0), "chance": 0.5}
    assert plot.trials(both) == "4 trials"


def test_trials_of_one_person_are_not_independent(rng):
    """Who is named at all is named in all trials: the interval is that of six persons, not of 60 trials."""
    person = np.arange(60) % 6
    labels = np.arange(60) % 3
    named = np.where(person < 4, labels, (labels + 1) % 3)
    made = of_logits(np.eye(3)[named], labels)
    by_trial = classification_accuracy.analyse(made)
    for coordinate in (
        {"object_person": (("trial", "object"), person[:, None])},
        {"person": ("trial", person)},
    ):
        by_person = classification_accuracy.analyse(made.assign_coords(coordinate))
        assert float(by_person.accuracy_trained) == float(by_trial.accuracy_trained)
        wider = by_person.high_trained - by_person.low_trained
        assert float(wider) > 1.8 * float(by_trial.high_trained - by_trial.low_trained)
