"""Which settings matter more than seeds do: what is there is found, and nothing where nothing is."""

import numpy as np
import pandas as pd
import pytest

from flowsim.experiment.schema import Experiment
from flowsim.experiment.sweep import axes, points
from flowsim.views.sweep_effects import NETWORKS, comparisons, lead, level_of, sizes
from flowsim.views.sweep_table import columns_of, placed
from tests.known.calibration import times

SWEEP = {"networks.a.max_speed": [0, 1, 2], "train.noise": [0, 0.1]}


def experiment(sweep=None, networks=("a", "b")):
    return Experiment.model_validate(
        {
            "title": "two",
            "stimulus": {"family": "moving_digits"},
            "networks": {name: {"model": "fernn", "max_speed": 1} for name in networks},
            "seeds": 4,
            "train": {"context": 2, "horizon": 2, "sequences": 8},
            "record": {"test": {"sites": ["prediction"]}},
            "analyse": {"prediction_error": {}},
            "sweep": SWEEP if sweep is None else sweep,
        }
    )


def table(described, value, seeds=4, answers=("MSE",), **about):
    """A table of answers whose value is a function of network, settings and seed; network b depends on train."""
    rows, known, swept = [], {}, axes(described)
    about = {"units": "1", "better": "lower", "scale": "ratio", "low": -np.inf, "high": np.inf} | about
    for point in points(described):
        for variant, network in point.networks.items():
            for seed in range(seeds):
                run = f"{variant}-seed{seed}"
                for answer in answers:
                    if (run, answer) not in known:
                        known[run, answer] = value(network, point, seed)
                    rows.append(
                        {"run": run, "network": network, "seed": seed, "variable": answer, "analysis": "x"}
                        | {"point": point.name, "value": known[run, answer], "partial": "", "unjudged": ""}
                        | placed(swept, point)
                        | about
                    )
    return pd.DataFrame(rows, columns=columns_of(swept))


def halved(rng, spread=0.05):
    """Errors of network a that max_speed 2 divides by 2; noise and network b do nothing."""

    def value(network, point, seed):
        speed = point.place[0] if network == "a" else 1
        return 0.1 * (0.5 if speed == 2 else 1) * np.exp(spread * rng.standard_normal())

    return value


def test_a_setting_that_matters_is_found_and_the_others_are_not(rng):
    described = experiment()
    found = comparisons(table(described, halved(rng)), described, axes(described))
    beyond = [one for one in found if one.is_beyond_seeds]
    assert [(one.factor, one.network, one.level, one.reference) for one in beyond] == [
        ("max_speed", "a", "2", "1"),
        (NETWORKS, "", "b", "a"),
    ]
    first = beyond[0]
    assert (first.better, first.ratio, first.seeds, first.averaged) == (True, True, 4, True)
    assert first.low < 0.5 < first.high < 1
    assert first.effect == pytest.approx(0.5, rel=0.1)
    assert "a is better at max_speed 2 than at 1" in first.sentence
    words = lead(found, axes(described))
    assert words.startswith(
        "Beyond what seeds do, max_speed matters in 1 of 1 quantities (a) and the choice of network matters"
    )
    assert words.endswith(
        "noise cannot be told from what seeds do. 2 of 5 comparisons, tested together, are larger."
    )


def test_a_network_that_does_not_depend_on_a_setting_is_not_compared_there(rng):
    described = experiment()
    found = comparisons(table(described, halved(rng)), described, axes(described))
    assert {one.network for one in found if one.factor == "max_speed"} == {"a"}
    assert {one.network for one in found if one.factor == "noise"} == {"a", "b"}


def test_levels_are_compared_with_the_experiments_own_or_else_the_first():
    own, other = axes(experiment()), axes(experiment({"networks.a.max_speed": [0, 2]}))
    assert (level_of(experiment(), own[0]), level_of(experiment(), own[1])) == (1, 0)
    assert level_of(experiment(), other[0]) == 0


def test_networks_are_compared_over_all_points(rng):
    described = experiment()

    def value(network, point, seed):
        return (2.0 if network == "b" else 1.0) * np.exp(0.05 * rng.standard_normal())

    found = comparisons(table(described, value), described, axes(described))
    (one,) = [one for one in found if one.factor == NETWORKS]
    assert one.is_beyond_seeds
    assert (one.level, one.reference, one.better) == ("b", "a", False)
    assert "b is worse than a" in one.sentence


def test_seeds_of_other_settings_are_no_more_seeds(rng):
    """A seed counts once, however many points it was trained at."""
    described = experiment(
        {"train.noise": [0, 0.1], "train.clip": {"first": 1, "last": 2, "count": 11}}, ("a",)
    )

    def value(network, point, seed):
        return np.exp(0.3 * np.random.default_rng([seed, point.place[0]]).standard_normal())

    for one in comparisons(table(described, value, seeds=3), described, axes(described)):
        assert one.seeds == 3
        if one.factor == "noise":
            assert one.p > 0.05


def test_one_seed_says_nothing(rng):
    described = experiment()
    found = comparisons(table(described, halved(rng), seeds=1), described, axes(described))
    assert found == []
    assert "cannot be said" in lead(found, axes(described))


def test_quantities_without_a_better_side_are_described_only(rng):
    described = experiment()
    made = table(described, halved(rng), better="")
    assert comparisons(made, described, axes(described)) == []
    assert len(sizes(made, axes(described))) == 2


def test_how_many_seeds_there_are_is_no_setting_that_is_compared(rng):
    described = experiment({"seeds": [2, 4]}, ("a",))
    made = table(described, lambda *_: np.exp(rng.standard_normal()))
    assert comparisons(made, described, axes(described)) == []


@pytest.mark.parametrize("seeds", [3, 6])
@times(20)
def test_reports_on_settings_that_do_nothing_hardly_ever_name_one(simulations, seeds, rng, calibration):
    described = experiment()
    named = []
    for _ in range(simulations):
        made = table(described, lambda *_: np.exp(0.3 * rng.standard_normal()), seeds, ("one", "two"))
        found = comparisons(made, described, axes(described))
        named.append(any(one.is_beyond_seeds for one in found))
    calibration.rate("sweep", "any sentence", named, f"settings that do nothing, {seeds} seeds")


def test_sizes_stand_beside_what_seeds_do():
    described = experiment({"networks.a.max_speed": [0, 1]}, ("a",))
    noise = np.array([-0.1, 0.1, -0.1, 0.1])

    def value(network, point, seed):
        return np.exp(noise[seed] + (np.log(2) if point.place[0] else 0))

    (row,) = sizes(table(described, value), axes(described))
    assert row["moved"]["max_speed"] == pytest.approx(2)
    assert row["seeds"] == pytest.approx(np.exp(noise.std(ddof=1)))
    (row,) = sizes(table(described, value, scale=""), axes(described))
    assert row["moved"]["max_speed"] == pytest.approx(np.exp(noise).mean())
