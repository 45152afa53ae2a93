"""The report opens with the numbers, says what differs, and needs nothing from outside."""

import html

import numpy as np
import pytest
import xarray as xr

from flowsim import InputError
from flowsim.experiment.schema import Experiment
from flowsim.files import netcdf
from flowsim.usage import Usage
from flowsim.views.report import (
    Estimate,
    Section,
    against_unlearned,
    collected_provenance,
    effect_table,
    findings,
    for_every_run,
    names_of_bars,
    number,
    page,
    summary_row,
    used_by_rules,
    without_rounding,
)


def values(better="lower", /, *, attrs=(), **by_network):
    names = [name for name, numbers in by_network.items() for _ in numbers]
    seeds = [str(i) for numbers in by_network.values() for i in range(len(numbers))]
    coords = {"network": ("run", names), "seed": ("run", seeds)}
    numbers = np.concatenate(list(by_network.values()))
    return xr.DataArray(numbers, coords, "run", attrs=dict(attrs) | ({"better": better} if better else {}))


LONG = (pytest.mark.slow, pytest.mark.calibration)
RATIO = {"scale": "ratio"}


def found(**answers):
    """What a report with these answers says."""
    return findings({("any", label): without_rounding(answer) for label, answer in answers.items()})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.00912, "0.00912"),
        (0.1, "0.100"),
        (12.34, "12.3"),
        (9600, "9,600"),
        (1.234e-7, "1.23e-07"),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


def test_cells_give_the_mean_and_the_seeds():
    row = summary_row("test MSE", values(a=[1.0, 3.0], b=[8.0], c=[np.nan, np.nan]), ["a", "b", "c"], ["a"])
    assert [(cell.text, cell.seeds) for cell in row.cells] == [
        ("2.00", "1.00, 3.00"),
        ("8.00", ""),
        ("does not apply", ""),
    ]
    assert [cell.best for cell in row.cells] == [True, False, False]
    assert (row.label, row.note) == ("test MSE\N{NO-BREAK SPACE}\N{DOWNWARDS ARROW}", "")
    many = summary_row("dimensions", values(None, a=[4.0, 1.0, 2.0, 3.0]), ["a"], []).cells[0]
    assert (many.text, many.seeds) == ("2.50", "1.00 to 4.00")


def test_seeds_without_a_value_are_counted():
    answer = values(a=[1.0, np.nan], b=[8.0, 4.0, np.nan], c=[1.0, 2.0])
    cells = summary_row("test MSE", answer, ["a", "b", "c"], []).cells
    assert [cell.seeds for cell in cells] == ["1 of 2 seeds", "2 of 3 seeds: 8.00, 4.00", "1.00, 2.00"]


def test_runs_that_could_not_be_judged_keep_their_place():
    """The first network stays the reference, and no network is compared with another one instead."""
    networks, seeds = ["a", "a", "b", "b", "c", "c"], list("010101")
    run = [f"{n}-seed{s}" for n, s in zip(networks, seeds, strict=True)]
    names = {"run": run, "network": ("run", networks), "seed": ("run", seeds)}
    every = xr.Dataset(coords={**names, "refused": ("run", ["silent", "silent", "", "silent", "", ""])})
    judged = values(b=[1.0], c=[3.0, 5.0]).assign_coords(run=[run[2], *run[4:]])
    filled = for_every_run(judged, every)
    row = summary_row("error", filled, ["a", "b", "c"], [])
    assert [cell.text for cell in row.cells] == ["could not be judged", "1.00", "4.00"]
    assert row.cells[1].seeds == "1 of 2 seeds"
    said = found(error=filled)
    assert (said.reference, said.comparisons, said.sentences) == ("a", 0, [])
    effects = effect_table("error", filled, ["a", "b", "c"]).rows
    assert [(row.network, row.n, row.effect.value) for row in effects[1:]] == [("b", 1, ""), ("c", 2, "")]
    unchanged = every.assign_coords(refused=("run", [""] * 6))
    assert for_every_run(judged, unchanged) is judged


def test_baselines_are_numbers_of_their_own_and_dots_share_a_scale():
    attrs = {"chance": 0.5, "baseline": {"mean frame": 0.08, "last frame": 1e-12}}
    row = summary_row("MSE", values(attrs=attrs, a=[1.0, 2.0], b=[3.0, 5.0], c=[9.0]), ["a", "b", "c"], [])
    names = ("mean frame", "last frame", "chance", "other")
    assert [row.bar(name) for name in names] == ["0.0800", "0", "0.500", ""]
    assert names_of_bars([row]) == ["mean frame", "last frame", "chance"]
    assert [cell.dots and cell.dots.places for cell in row.cells] == [(0.0, 12.5), (25.0, 50.0), None]
    assert row.judged
    assert not summary_row("size", values(None, a=[1.0]), ["a"], []).judged


@pytest.mark.parametrize(("attrs", "mean", "note"), [({}, "2.50", ""), (RATIO, "2.00", "geometric mean")])
def test_one_quantity_has_one_mean_in_both_tables(attrs, mean, note):
    answer = values(attrs=attrs, a=[1.0, 4.0], b=[2.0, 8.0])
    row, table = summary_row("MSE", answer, ["a", "b"], []), effect_table("MSE", answer, ["a", "b"])
    assert row.cells[0].text == table.rows[0].mean.value == mean
    assert row.note == table.note == note
    zero = values(attrs=attrs, a=[0.0, 4.0], b=[2.0, 8.0])  # no geometric mean
    assert effect_table("MSE", zero, ["a", "b"]).note == ""
    assert summary_row("MSE", zero, ["a", "b"], []).cells[0].text == "2.00"


def test_chance_and_baselines_stand_beside_the_label():
    answer = values(attrs={"chance": 0.5, "baseline": {"mean frame": 0.08}}, a=[1.0, 2.0])
    assert summary_row("MSE", answer, ["a"], []).note == "chance 0.500, mean frame 0.0800"
    assert effect_table("MSE", answer, ["a"]).note == "chance 0.500, mean frame 0.0800"


LOW, HIGH = [1.0, 1.01, 0.99, 1.0, 1.02], [3.0, 3.02, 2.99, 3.01, 3.0]


def test_a_difference_beyond_luck_has_a_sentence():
    said = found(mse=values(attrs=RATIO, a=LOW, b=HIGH), accuracy=values("higher", a=LOW, b=HIGH))
    assert said.comparisons == 2
    assert said.lead == (
        "Compared with a, the reference, b is worse in 1 and better in 1 of 2 quantities, beyond the luck of "
        "seeds."
    )
    assert len(said.strip) == 1  # one number for each analysis
    assert said.strip[0].network == "b"
    assert said.reference == "a"
    assert len(said.sentences) == 2
    assert said.sentences[0].startswith(
        "Mse: b is worse than a, \N{MULTIPLICATION SIGN} 2.99 (2.95 to 3.03, 5 seeds)"
    )
    assert said.sentences[1].startswith("Accuracy: b is better than a, +2.00 (")
    assert said.best == {("any", "mse"): ["a"], ("any", "accuracy"): ["b"]}


def test_sentences_are_about_the_reference_and_only_about_what_is_judged():
    said = found(mse=values(a=LOW, b=[1.1, 0.9, 1.0, 1.2, 0.8], c=HIGH), size=values(None, a=LOW, b=HIGH))
    assert said.comparisons == 2
    assert [text.split(",")[0] for text in said.sentences] == ["Mse: c is worse than a"]
    assert said.best == {}  # a and b do not differ


def test_one_seed_says_nothing():
    said = found(mse=values(a=[1.0], b=[1e6]), error=values(a=[0.0], b=[1.0]))
    assert (said.sentences, said.exact, said.comparisons, said.best) == ([], [], 0, {})
    assert found().sentences == []


def test_more_comparisons_ask_for_more():
    one = {"mse": values(attrs=RATIO, a=[1.0, 1.1, 0.9], b=[1.4, 1.5, 1.6])}
    assert found(**one).sentences
    noise = values(a=[1.0, 2.0, 3.0], b=[2.0, 1.0, 3.5])
    many = found(**one, **{f"noise {i}": noise for i in range(20)})
    assert many.comparisons == 21
    assert not many.sentences


def test_green_beats_chance_and_baselines():
    for attrs, green in (({}, True), ({"chance": 2.0}, True), ({"chance": 3.0}, False)):
        assert bool(found(x=values("higher", attrs=attrs, a=LOW, b=HIGH)).best) == green
    for bar, green in ((1.5, True), (1.0, False)):
        attrs = {"baseline": {"mean frame": bar, "last frame": 9.0}}
        assert bool(found(x=values(attrs=attrs, a=LOW, b=HIGH)).best) == green


BARS = {"last frame": 10.0, "layers": 0.1, "oracle": 0.0}


def unlearned(**answers):
    return against_unlearned({("any", label): without_rounding(answer) for label, answer in answers.items()})


def test_better_and_worse_than_what_needs_no_learning():
    attrs = RATIO | {"baseline": BARS, "headroom": {"layers": 100.0, "oracle": np.inf}}
    answer = values(attrs=attrs, a=[1.0, 1.1, 0.9], b=[0.04, 0.05, 0.045], c=[np.nan] * 3, d=[1.2, 1.1, 1.0])
    (row,) = unlearned(mse=answer, size=values(None, a=LOW, b=HIGH), other=values(a=LOW, b=HIGH))
    assert row.described == [
        "a and d: better than last frame 10.0; worse than layers 0.100 and oracle 0.",
        "b: better than last frame 10.0 and layers 0.100; worse than oracle 0.",
    ]
    assert [text.split(" is ")[1] for text in row.borne_out] == [
        "better than last frame; and worse than layers and oracle.",
        "better than last frame and layers; and worse than oracle.",
        "better than last frame; and worse than layers and oracle.",
    ]
    assert row.borne_out[0].startswith("a (0.997, 0.")
    assert "100 times that of layers and without bound over that of oracle" in row.headroom
    higher = values("higher", attrs={"baseline": BARS, "headroom": {}}, a=[1.0, 1.1, 0.9])
    (row,) = unlearned(ssim=higher)
    assert row.described == ["a: better than layers 0.100 and oracle 0; worse than last frame 10.0."]
    assert row.borne_out[0].endswith("is better than layers and oracle; and worse than last frame.")
    assert row.headroom == ""


def test_seeds_on_one_side_are_no_proof():
    """With one seed, or with two that differ much; and of other quantities it is not asked."""
    attrs = RATIO | {"baseline": {"mean frame": 10.0, "between": 2.0}}
    answer = values(attrs=attrs, a=[1.0, 4.0], b=[1.0])
    asked = answer.assign_attrs(headroom={})
    first, second = unlearned(other=answer, mse=asked)
    assert (first.label, second.label) == ("mse", "other")
    described = [
        "a: better than mean frame 10.0; seeds on both sides of between 2.00.",
        "b: better than mean frame 10.0 and between 2.00.",
    ]
    assert first.described == second.described == described
    assert first.borne_out == []
    assert second.borne_out is None
    assert unlearned(mse=values(attrs=attrs, a=[np.nan])) == []


def test_two_seeds_have_no_interval_and_three_have():
    """Of two, it spans orders of magnitude: described are the seeds."""
    attrs = RATIO | {"baseline": {"mean frame": 1e9}, "headroom": {}}
    (row,) = unlearned(mse=values(attrs=attrs, a=[1.0, 1.1]))
    assert row.described == ["a: better than mean frame 1e+09."]
    assert row.borne_out == []
    (row,) = unlearned(mse=values(attrs=attrs, a=[1.0, 1.1, 0.9]))
    assert row.borne_out[0].startswith("a (0.997, ")


@pytest.mark.parametrize(("seeds", "reports"), [(3, 40), pytest.param(5, 400, marks=LONG)])
def test_networks_as_good_as_what_needs_no_learning_are_seldom_told_apart(seeds, reports, rng, calibration):
    """In at most 5 % of reports, and 2 standard errors; at every level that is far off, always."""
    attrs = RATIO | {"baseline": {"as good": 1.0, "far off": 1e9}, "headroom": {}}
    wrong = []
    for _ in range(reports):
        drawn = [{n: np.exp(0.2 * rng.standard_normal(seeds)) for n in "abc"} for _ in range(2)]
        rows = unlearned(**{f"mse {i}": values(attrs=attrs, **of_row) for i, of_row in enumerate(drawn)})
        borne_out = [sentence for row in rows for sentence in row.borne_out]
        wrong.append(any("as good" in sentence for sentence in borne_out))
        assert len(borne_out) == 6
        assert all("far off" in sentence for sentence in borne_out)
    calibration.rate("report", "better or worse than a baseline", wrong, f"3 networks, {seeds} seeds")
    assert np.mean(wrong) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / reports)


def test_what_is_exact_is_described_and_not_inferred():
    said = found(error=values(a=[1e-16, 3e-15], b=[0.0, 0.0], c=[0.5, 0.7], d=[np.nan, 0.5], e=[0.0, 1.0]))
    assert said.exact == ["Error: 0 to rounding in every seed of a (2) and b (2); 0.500 to 0.700 in c (2)."]
    assert said.sentences == []
    assert found(error=values(a=[0.0, 0.0], b=[1e-8, 0.5])).exact == []
    assert found(share=values("higher", a=[0.0, 0.0], b=[0.5, 0.5])).exact == []


def draws(rng, kind, networks, seeds):
    """Answers of equal networks: errors, shares, whole numbers, quantities of either sign."""
    shape = (networks, seeds)
    attrs, better, numbers = {
        "error": (RATIO, "lower", np.exp(rng.standard_normal(shape))),
        "share": ({"bounds": (0, 1), "chance": 0.5}, "higher", rng.binomial(24, 0.9, shape) / 24),
        "R2": ({"bounds": (-np.inf, 1)}, "higher", 1 - np.exp(rng.standard_normal(shape))),
        "any": ({}, "lower", rng.standard_normal(shape)),
    }[kind]
    return values(better, attrs=attrs, **{f"network{i}": row for i, row in enumerate(numbers)})


@pytest.mark.parametrize(
    ("networks", "seeds", "rows", "reports"),
    [
        (3, 2, 4, 15),
        (14, 2, 4, 5),
        pytest.param(3, 2, 8, 200, marks=LONG),
        pytest.param(3, 5, 8, 200, marks=LONG),
        pytest.param(14, 2, 4, 200, marks=LONG),
    ],
)
def test_reports_on_equal_networks_hardly_ever_say_that_they_differ(
    networks, seeds, rows, reports, rng, calibration
):
    """At most 5 % of whole reports may have a sentence, and at most 5 % a green cell; and 2 standard errors."""
    kinds = ("error", "share", "R2", "any")
    said = [
        found(**{f"row {i}": draws(rng, kinds[i % 4], networks, seeds) for i in range(rows)})
        for _ in range(reports)
    ]
    world = f"{networks} equal networks, {seeds} seeds, {rows} quantities"
    calibration.rate("report", "any sentence", [bool(one.sentences) for one in said], world)
    calibration.rate("report", "any green cell", [bool(one.best) for one in said], world)
    most = 0.05 + 2 * np.sqrt(0.05 * 0.95 / reports)
    assert np.mean([bool(one.sentences) for one in said]) <= most
    assert np.mean([bool(one.best) for one in said]) <= most


@pytest.mark.parametrize("seeds", [5, pytest.param(3, marks=pytest.mark.slow)])
def test_reports_on_networks_that_differ_say_so(seeds, rng):
    """By 10 standard deviations with 5 seeds, by 60 with 3, among 10 rows of noise and 3 networks."""
    shift = {5: 10, 3: 60}[seeds]
    for _ in range(5):
        a, b, c = rng.standard_normal((3, seeds))
        answers = {f"noise {i}": draws(rng, "any", 3, seeds) for i in range(10)}
        said = found(effect=values(network0=a, network1=b, network2=c + shift), **answers)
        assert any(text.startswith("Effect: network2 is worse than network0") for text in said.sentences)


def test_errors_are_compared_by_ratio_with_intervals():
    rows = effect_table("MSE", values(attrs=RATIO, a=[1.0, 2.0], b=[4.0, 8.0]), ["a", "b"]).rows
    assert [row.network for row in rows] == ["a", "b"]
    assert [row.n for row in rows] == [2, 2]
    reference, other = rows
    assert (reference.effect, reference.g) == (Estimate("reference"), Estimate())
    assert other.mean.value == "5.66"
    assert other.effect.value == "\N{MULTIPLICATION SIGN} 4.00"
    assert other.effect.interval == ""  # two seeds are dots, without an interval or g
    assert other.dots.places == (66.7, 100.0)
    assert other.dots.values == "4.00, 8.00"
    assert other.g == Estimate()
    numbers = {"a": [1.0, 2.0, 1.0, 2.0], "b": [4.0, 8.0, 4.0, 8.0]}
    four = effect_table("MSE", values(attrs=RATIO, **numbers), ["a", "b"]).rows[1]
    assert four.effect.interval == "2.0 to 8.0"  # Welch on logarithms: exp(log(4) -+ 2.447 log(2) / sqrt(6))
    assert four.g.value == "3.01"
    assert four.dots is None


def test_other_quantities_and_zeros_are_compared_by_difference():
    accuracy = values("higher", a=[0.1, 0.2, 0.3], b=[0.6, 0.7, 0.8], c=[0.0, 0.1, 0.2])
    rows = effect_table("R^2", accuracy, ["a", "b", "c"]).rows
    assert [row.effect.value for row in rows] == ["reference", "+0.500", "-0.100"]
    exact = effect_table("error", values(a=[0.0, 0.0], b=[0.5, 0.7], c=[0.0, 0.0]), ["a", "b", "c"]).rows
    assert exact[0].mean == Estimate("0", "seeds 0, 0")
    four = effect_table("error", values(a=[0.0] * 4, b=[0.5, 0.7, 0.5, 0.7]), ["a", "b"]).rows
    assert four[1].g == Estimate("undefined", "a network has no spread")
    assert exact[1].effect == Estimate("+0.600")
    assert four[1].effect.interval == "0.42 to 0.78"
    assert exact[2].effect == Estimate("0", "no spread over seeds")


def test_one_seed_has_no_interval_and_five_are_paired(rng):
    first, second, third = effect_table(
        "MSE", values(attrs=RATIO, a=[1.0], b=[3.0], c=[np.nan]), ["a", "b", "c"]
    ).rows
    assert first.mean == Estimate("1.00", "1 seed: no interval")
    assert second.mean == Estimate("3.00", "1 seed: no interval")
    assert second.effect == Estimate("\N{MULTIPLICATION SIGN} 3.00", "1 seed: no interval")
    assert second.g == Estimate()
    assert third.n == 0
    assert (third.mean, third.effect, third.g) == (Estimate("does not apply"), Estimate(), Estimate())
    many = effect_table("MSE", values(a=rng.random(5), b=rng.random(5)), ["a", "b"]).rows
    assert many[1].effect.interval.endswith(", paired")


@pytest.mark.parametrize(
    ("seeds", "columns"),
    [
        (3, ["mean", "effect"]),
        (4, ["mean", "effect", "g"]),
        (5, ["mean", "middle", "effect", "g"]),
    ],
)
def test_few_seeds_are_shown_and_many_summed_up(seeds, columns, rng):
    table = effect_table(
        "MSE", values(attrs=RATIO, a=1 + rng.random(seeds), b=1 + rng.random(seeds)), ["a", "b"]
    )
    section = Section("x", "?", "", [], [table], "", ["a", "b"], {}, {}, "")
    assert list(section.columns) == columns
    assert len(table.rows[1].cells(section.columns)) == len(columns)
    assert table.rows[1].mean.interval.startswith("seeds ") == (seeds == 3)
    outlier = effect_table("MSE", values(a=[1.0, 2, 3, 4, 99], b=[1.0] * 5), ["a", "b"]).rows
    assert [row.middle for row in outlier] == [
        Estimate("3.00", "1.0 to 99"),
        Estimate("1.00", "no spread over seeds"),
    ]


def test_a_table_says_which_effect_its_seeds_can_tell():
    answer = values(attrs=RATIO, a=[1.0, 4.0], b=[4.0, 8.0])
    alone = effect_table("MSE", answer, ["a", "b"], 1).smallest
    assert alone == (
        "With 2 seeds the smallest ratio that can be told from 1 is above \N{MULTIPLICATION SIGN}\N{NO-BREAK SPACE}1,000."
    )
    close = values(attrs=RATIO, a=[1.0, 1.1], b=[4.0, 4.1, 4.2])
    text = effect_table("MSE", close, ["a", "b"], 30).smallest
    assert text.startswith(
        "With 2 to 3 seeds the smallest ratio that can be told from 1 is \N{MULTIPLICATION SIGN}\N{NO-BREAK SPACE}1."
    )
    assert (
        "; for a sentence above, among all 30 comparisons, \N{MULTIPLICATION SIGN}\N{NO-BREAK SPACE}" in text
    )
    share = values("higher", attrs={"bounds": (0, 1)}, a=[0.2, 0.4], b=[0.1, 0.3])
    text = effect_table("accuracy", share, ["a", "b"], 1).smallest
    assert text.endswith("difference that can be told from 0 is larger than any that is possible (1.00).")
    assert (
        effect_table("size", values(None, a=[1.0, 2.0], b=[4.0, 8.0]), ["a", "b"], 30).smallest.count("is")
        == 1
    )
    assert effect_table("MSE", values(a=[1.0], b=[2.0, 3.0]), ["a", "b"], 30).smallest == ""


@pytest.mark.parametrize("seeds", [2, 4])
def test_accuracies_have_no_interval_beyond_what_is_possible(seeds):
    numbers = {"a": [0.86, 1.0, 1.0, 1.0][:seeds], "b": [0.2, 0.9, 0.0, 0.1][:seeds]}
    rows = effect_table("accuracy", values("higher", attrs={"bounds": (0, 1)}, **numbers), ["a", "b"]).rows
    if seeds == 2:
        assert [row.mean.interval for row in rows] == ["seeds 0.860, 1.00", "seeds 0.200, 0.900"]
        assert rows[1].effect.interval == ""
    else:
        for row in rows:
            low, high = map(float, row.mean.interval.split(" to "))
            assert 0 <= low < float(row.mean.value) < high <= 1


def test_what_jobs_used_is_summed_by_rule(tmp_path):
    (tmp_path / "train").mkdir()
    for run, seconds in (("a", 10), ("b", 30)):
        (tmp_path / "train" / f"{run}.log").write_text(
            f"$ flowsim\n{Usage(seconds, seconds, 10 * seconds)}\n"
        )
    (tmp_path / "train" / "c.log").write_text("an error\n")
    (tmp_path / "train" / "d-seed0.log").write_text(f"{Usage(99, 99, 99)}\n")  # of a run that is no more
    assert used_by_rules(tmp_path, ["a", "b"]) == [
        {"rule": "train", "jobs": 2, "seconds": "40", "longest": "30", "memory": "300"}
    ]
    assert used_by_rules(tmp_path / "none", []) == []


def test_missing_results_are_an_error(tmp_path):
    with pytest.raises(
        InputError, match=r"fernn-seed0.h5: expected a file of stage analysis, found no such file"
    ):
        page("experiments/digits.yaml", tmp_path, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_a_recording_that_no_analysis_reads_is_not_needed(tmp_path):
    """The pipeline does not make it."""
    stimulus = {"family": "moving_digits"}
    experiment = Experiment.model_validate(
        {
            "title": "One analysis",
            "stimulus": stimulus,
            "networks": {"fernn": {"model": "fernn"}},
            "seeds": 1,
            "record": {"test": {}, "probe": {}},
            "analyse": {"prediction_error": {}},
        }
    )
    for stage, place in (
        ("recording", "recordings/fernn-seed0/test.h5"),
        ("analysis", "analyses/prediction_error/fernn-seed0.h5"),
    ):
        attrs = {"stage": stage, "commit": stage, "inputs": f'{{"from {stage}": "sum"}}', "versions": "{}"}
        netcdf.write(xr.Dataset({"x": ("x", [1.0])}), tmp_path / place, attrs)
    provenance = collected_provenance(experiment, tmp_path)
    assert provenance["commits"] == ["analysis", "recording"]
    assert provenance["checksums"] == {"from recording": "sum", "from analysis": "sum"}


OWN = '''"""Of the user."""

READS = "probe"


def analyse(recording): ...


def figure(results): ...


def answers(results):
    return {"size": ANSWER}
'''


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("1 / 0", "analysis/own_for_report.py, line 13: ZeroDivisionError"),
        ("results['size']", "expected answers(results) to return numbers over run"),
        (
            "-results['size'].mean('time').assign_attrs(better='lower', bounds=(5, 6))",
            "expected values from 5 to 6",
        ),
        ("results['size'].mean('time').assign_attrs(better='lower', baseline=3)", "own_for_report.py: "),
    ],
)
def test_a_broken_analysis_of_the_users_costs_its_section(answer, why, tmp_path, monkeypatch):
    """Which says why; the other sections are as they would be without it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "analysis").mkdir()
    for name, text in (("own_for_report", answer), ("fine_for_report", "results['size'].mean('time')")):
        (tmp_path / "analysis" / f"{name}.py").write_text(OWN.replace("ANSWER", text))
        results = xr.Dataset({"size": ("time", [1.0, 2.0])})
        attrs = {"network": "a", "seed": "0", "versions": "{}"}
        netcdf.write(results, tmp_path / f"analyses/{name}/a-seed0.h5", {**attrs, "stage": "analysis"})
        (tmp_path / "figures").mkdir(exist_ok=True)
        (tmp_path / f"figures/{name}.csv").write_text("run")
        (tmp_path / f"figures/{name}.svg").write_text("<svg/>")
    netcdf.write(results, tmp_path / "recordings/a-seed0/probe.h5", {**attrs, "stage": "recording"})
    (tmp_path / "own.yaml").write_text(
        "{title: Own, stimulus: {family: moving_digits}, networks: {a: {model: fernn}}, seeds: 1, "
        "record: {probe: {}}, analyse: {own_for_report: {}, fine_for_report: {}}}"
    )
    page("own.yaml", tmp_path, tmp_path / "report.html")
    text = html.unescape((tmp_path / "report.html").read_text())
    assert why in text
    assert "1.50" in text
