"""One self-contained page about an experiment: the answer first, then each figure, then where it all comes
from.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from jinja2 import Environment, Template, select_autoescape
from markupsafe import Markup

from flowsim import ideas, usage
from flowsim.effects import (
    LEVEL,
    ROBUST,
    STANDARDISED,
    UNBOUNDED,
    best,
    compare,
    corrected,
    differences,
    holm,
    smallest_effect,
)
from flowsim.errors import InputError
from flowsim.experiment.chain import require_chain
from flowsim.experiment.read import read, runs
from flowsim.experiment.schema import Experiment, Recorded
from flowsim.files import netcdf
from flowsim.files.atomic import existing, whole
from flowsim.files.results import answers_of, every_run, side_by_side
from flowsim.views.dots import Dots, dots_of
from flowsim.views.inline_svg import inlined, width_in_inches
from flowsim.views.lead import Difference, sentence, strip
from flowsim.views.methods import methods
from flowsim.views.networks import network_rows
from flowsim.views.player import scene
from flowsim.views.unlearned import Compared, compared
from flowsim.views.words import NOTHING, TIMES, capital, enumerated, number, seeds_in_words, sign

ARROWS = {"lower": "\N{DOWNWARDS ARROW}", "higher": "\N{UPWARDS ARROW}"}
"""What the attribute ``better`` of an answer may say, and the sign for it; an answer without it only
describes.
"""
CLEARLY_NOT_EXACT = 1e-6
"""Values from here on are no rounding."""
SEEDS_SHOWN = 3
"""Up to so many seeds, their values are shown, and from there on an interval or range."""
LARGEST_RATIO = 1000
"""A ratio of which no more is said than that it is larger."""
OPEN_SECTIONS = 4
"""Sections that are not folded, the first ones."""
COLUMN_INCHES = 4.5
"""A figure up to this width was drawn for one column."""
SCENES = {
    "probe": "one still or moving image under several flows",
    "test": "frames seen, then predicted",
    "sweep": "velocities one by one, seen, then predicted",
    "control": "the same trials with motion taken out",
}
"""What is recorded in each split, as the player says it."""
ERRORS = 1 - LEVEL
"""Share of reports on equal networks in which a sentence may stand, and in which a network may be green."""


@dataclass(frozen=True)
class TableCell:
    """One network in a table: its mean and ``seeds``, with their number where some have no value; ``dots``
    where they are two or three; ``best`` if it differs from all others; ``value``, the mean as it sorts.
    """

    text: str
    seeds: str
    best: bool
    dots: Dots | None = None
    value: float = math.nan


@dataclass(frozen=True)
class SummaryRow:
    """One quantity in a table; ``note`` says which mean it is, what is chance, what baselines, and ``bars``
    has the latter by name. ``judged``: one side is better.
    """

    label: str
    note: str
    cells: list[TableCell]
    bars: dict[str, float]
    judged: bool
    geometric: bool

    def bar(self, name: str) -> str:
        """What is reached without learning, "" where nothing of this name is known."""
        return number(self.bars[name]) if name in self.bars else ""


Key = tuple[str, str]
"""An analysis and the label of one of its answers."""


@dataclass(frozen=True)
class Findings:
    """What the answers of all analyses say together.

    ``sentences`` are inferences: of ``comparisons`` with the reference, those that differ, which
    ``differences`` has as numbers and ``lead`` sums up. ``exact`` only describes the seeds that were
    trained. ``best`` names the networks that are green, ``reference`` the one that others are compared with.
    """

    sentences: list[str]
    exact: list[str]
    comparisons: int
    best: dict[Key, list[str]]
    reference: str
    differences: list[Difference]
    lead: str

    @property
    def strip(self) -> list[Difference]:
        """The numbers that a report opens with."""
        return strip(self.differences)


@dataclass(frozen=True)
class Unlearned:
    """One quantity against what is reached without learning.

    ``described`` says on which side of it all seeds of which networks lie. ``borne_out`` says which of that
    holds beyond the luck of seeds; None where that was not asked. ``headroom`` is what there is to gain.
    """

    label: str
    described: list[str]
    borne_out: list[str] | None
    headroom: str


@dataclass(frozen=True)
class Estimate:
    """A number and its interval in words; both may be empty."""

    value: str = ""
    interval: str = ""

    @property
    def sort_key(self) -> str:
        """The number alone; "" where there is none."""
        found = re.search(r"-?[\d.,]+(?:e[-+]?\d+)?$", self.value)
        return found[0].replace(",", "") if found else ""


@dataclass(frozen=True)
class EffectRow:
    """One network: its mean over ``n`` seeds, its interquartile mean, its effect against the reference, and
    Hedges' g; the second and the last only where there are seeds enough.

    Next to the mean stand the values of its seeds, where they are few, or else its interval.
    """

    network: str
    n: int
    mean: Estimate
    middle: Estimate
    effect: Estimate
    g: Estimate
    dots: Dots | None = None

    def cells(self, columns: Collection[str]) -> list[Estimate]:
        """Those of the named columns, of a section's `columns`."""
        return [getattr(self, name) for name in columns]


@dataclass(frozen=True)
class EffectTable:
    """All networks compared with the first in one quantity; ``smallest`` says which effect seeds can tell."""

    label: str
    note: str
    rows: list[EffectRow]
    smallest: str = ""


@dataclass(frozen=True)
class Section:
    """One analysis: its question, its numbers by network, its figure (an SVG element), ``wide`` or one
    column, and the ``command`` that draws it again.
    """

    name: str
    question: str
    reading: str
    rows: list[SummaryRow]
    effects: list[EffectTable]
    data: str
    networks: list[str]
    partial: dict[str, str]
    refused: dict[str, str]
    figure: str
    command: str = ""
    wide: bool = True

    @property
    def bars(self) -> list[str]:
        """Names of what is reached without learning in any quantity."""
        return names_of_bars(self.rows)

    @property
    def columns(self) -> dict[str, str]:
        """Headings of the table of effects, by what is in them, without those for which seeds are too few."""
        headings = {
            "mean": "mean",
            "middle": "inter\N{SOFT HYPHEN}quartile mean",
            "effect": f"against {self.networks[0]}",
            "g": "Hedges' g",
        }
        rows = [row for table in self.effects for row in table.rows]
        return {
            name: heading
            for name, heading in headings.items()
            if name in ("mean", "effect") or any(getattr(row, name).value for row in rows)
        }


def page(
    experiment_file: str | Path,
    results: Path,
    into: Path,
    not_made: Mapping[str, Mapping[Path, str]] | None = None,
) -> None:
    """Write the page.

    Parameters
    ----------
    experiment_file : path
    results : path
        The experiment's folder, with its ``analyses``, ``figures`` and ``logs``.
    into : path
        The HTML file; it appears whole or not at all.
    not_made : mapping of analysis to mapping of path to str, optional
        Results that are not there, and why. The page names them, and is of the others.

    Raises
    ------
    InputError
        If another result, or a figure, is missing, a file is not what its place says, or it was made from
        other files than those that are there.
    """
    experiment = read(experiment_file)
    missing = {path: why for of_analysis in (not_made or {}).values() for path, why in of_analysis.items()}
    require_chain(experiment, results, missing)
    paths = {
        name: [results / "analyses" / name / f"{run}.h5" for run in runs(experiment)]
        for name in experiment.analyse
    }
    every = {name: every_run(of_analysis, missing) for name, of_analysis in paths.items()}
    answers, broken = _every_answer(paths, every, missing)
    found = findings(answers)
    told = _told(paths, every, missing)
    sections = [
        _section(name, names, answers, found, results, broken.get(name, "")) for name, names in every.items()
    ]
    provenance = collected_provenance(experiment, results, missing)
    recordings: dict[str, list[Path]] = {name: [] for name in experiment.networks}
    for split in _states_first(experiment)[:1]:  # none where nothing is analysed
        recordings = recordings_of(experiment, results, split, missing)
    networks = network_rows(experiment, recordings)
    rows = [row for section in sections for row in section.rows if row.judged]
    html = template("report.html.j2").render(
        title=experiment.title,
        name=Path(experiment_file).stem,
        networks=sections[0].networks if sections else list(experiment.networks),
        network_rows=networks,
        partial=sections[0].partial if sections else {},
        seeds=experiment.seeds,
        sections=sections,
        bars=names_of_bars(rows),
        found=found,
        told=told,
        unlearned=against_unlearned(answers),
        seeds_shown=SEEDS_SHOWN,
        robust=ROBUST,
        standardised=STANDARDISED,
        provenance=provenance,
        methods=methods(experiment, networks, provenance),
        scenes=scenes(experiment, results, missing),
        missing=missing_in_words(missing),
        specification=Path(experiment_file).read_text(encoding="utf-8"),
        rules=used_by_rules(results / "logs", runs(experiment)),
        open_sections=OPEN_SECTIONS,
        date=date.today().isoformat(),
    )
    with whole(into) as temporary:
        temporary.write_text(html, encoding="utf-8")


def template(name: str) -> Template:
    """A template, with style and scripts, which stand inside the page, as functions of their names."""

    def part(file: str) -> Markup:
        return Markup(files("flowsim.views").joinpath(file).read_text(encoding="utf-8"))

    environment = Environment(
        autoescape=select_autoescape(default_for_string=True), trim_blocks=True, lstrip_blocks=True
    )
    environment.globals |= {"part": part, "number": number, "capital": capital}
    environment.filters["json"] = lambda value: Markup(json.dumps(value).replace("<", "\\u003c"))
    return environment.from_string(part(name))


def read_by_analyses(experiment: Experiment) -> list[Recorded]:
    """Recorded splits that an analysis reads: no job makes any other."""
    needed = {ideas.load("analysis", name).READS for name in experiment.analyse}
    return [split for split in experiment.record if split in needed]


def recordings_of(
    experiment: Experiment, results: Path, split: str, not_made: Collection[Path] = ()
) -> dict[str, list[Path]]:
    """The recordings of one split, one of each seed of each network, of which there are results."""
    readers = [name for name in experiment.analyse if split == ideas.load("analysis", name).READS]
    recordings: dict[str, list[Path]] = {network: [] for network in experiment.networks}
    for run, (network, _) in runs(experiment).items():
        if any(results / "analyses" / name / f"{run}.h5" not in not_made for name in readers):
            recordings[network].append(results / "recordings" / run / f"{split}.h5")
    return recordings


def _states_first(experiment: Experiment) -> list[Recorded]:
    """Recorded splits, those with states first."""
    splits = read_by_analyses(experiment)
    return sorted(splits, key=lambda split: "state" not in experiment.record[split].sites)


def scenes(experiment: Experiment, results: Path, not_made: Collection[Path] = ()) -> list[dict[str, Any]]:
    """What the player shows: each recorded split, by the first seed of networks."""
    made = []
    for split in _states_first(experiment):
        recordings = recordings_of(experiment, results, split, not_made)
        firsts = {network: paths[0] for network, paths in recordings.items() if paths}
        made.append(scene(f"{split}: {SCENES[split]}", firsts))
    return [one for one in made if one is not None]


def _every_answer(
    paths: Mapping[str, Sequence[Path]], every: Mapping[str, xr.Dataset], not_made: Mapping[Path, str]
) -> tuple[dict[Key, xr.DataArray], dict[str, str]]:
    """The answers of all analyses, and why those analyses of the user's give none that fail.

    The answers of each of the user's are put through what the page does with all of them.
    """
    answers: dict[Key, xr.DataArray] = {}
    broken: dict[str, str] = {}
    for name, of_analysis in paths.items():
        if not (every[name].refused == "").any():
            continue
        file = ideas.load("analysis", name).__file__
        try:
            with ideas.blamed(file):
                given = answers_of(name, side_by_side(of_analysis, name, not_made))
                own = {(name, n): without_rounding(for_every_run(v, every[name])) for n, v in given.items()}
                if ideas.is_own(str(file)):
                    _rehearse(own)
        except InputError as error:
            if not ideas.is_own(str(file)):
                raise
            broken[name] = str(error)
        else:
            answers |= own
    return answers, broken


def _told(
    paths: Mapping[str, Sequence[Path]], every: Mapping[str, xr.Dataset], not_made: Mapping[Path, str]
) -> list[str]:
    """Sentences that analyses say of their results, with which the page opens: of those of ours that have a
    function ``finding``.
    """
    told = []
    for name, of_analysis in paths.items():
        analysis = ideas.load("analysis", name)
        ours = hasattr(analysis, "finding") and not ideas.is_own(str(analysis.__file__))
        if ours and (every[name].refused == "").any():
            told += analysis.finding(side_by_side(of_analysis, name, not_made))
    return told


def _rehearse(answers: Mapping[Key, xr.DataArray]) -> None:
    """Put answers through everything that the page does with them."""
    found = findings(answers)
    against_unlearned(answers)
    for (_, label), values in answers.items():
        summary_row(label, values, networks_of(values), [])
        effect_table(label, values, networks_of(values), found.comparisons)


def for_every_run(values: xr.DataArray, every: xr.Dataset) -> xr.DataArray:
    """An answer (run) with NaN for the runs that could not be judged, in the order of the experiment.

    The attribute ``unjudged`` names the networks of which no run could be.
    """
    refused = every.refused != ""
    if not refused.any():
        return values
    names = every["network"].values
    judged = set(names[~refused.values].tolist())
    own = [name for name, coordinate in values.coords.items() if "run" in coordinate.dims and name != "run"]
    filled = values.drop_vars(own).reindex(run=every.run.values)
    filled = filled.assign_coords(network=("run", names), seed=("run", every.seed.values))
    return filled.assign_attrs(
        {**values.attrs, "unjudged": [n for n in networks_of(every) if n not in judged]}
    )


def _section(
    name: str,
    every: xr.Dataset,
    answers: Mapping[Key, xr.DataArray],
    found: Findings,
    results: Path,
    broken: str = "",
) -> Section:
    analysis = ideas.load("analysis", name)
    networks = networks_of(every)
    own = {label: values for (of_analysis, label), values in answers.items() if of_analysis == name}
    data = existing(results / "figures" / f"{name}.csv", "the data of a figure")
    picture = existing(results / "figures" / f"{name}.svg", "a figure").read_text(encoding="utf-8")
    partial, refused = (
        {str(run): str(text) for run, text in zip(every.run.values, every[of].values, strict=True) if text}
        for of in ("partial", "refused")
    )
    return Section(
        name=name,
        question=analysis.QUESTION,
        reading=analysis.READING,
        rows=[
            summary_row(label, values, networks, found.best.get((name, label), []))
            for label, values in own.items()
        ],
        effects=[effect_table(label, values, networks, found.comparisons) for label, values in own.items()],
        data=f"figures/{data.name}",
        networks=networks,
        partial=partial,
        refused=refused | ({name: broken} if broken else {}),
        figure=inlined(picture, name, analysis.QUESTION, analysis.READING),
        command=f"python -m flowsim figure {name} --results {results.as_posix()}/analyses/{name}/*.h5 "
        f"--into {results.as_posix()}/figures/{name}.svg",
        wide=width_in_inches(picture) > COLUMN_INCHES,
    )


def networks_of(values: xr.Dataset | xr.DataArray) -> list[str]:
    """Names of networks, in the order of an experiment; the first is the reference."""
    return list(dict.fromkeys(values["network"].values.tolist()))


def without_rounding(values: xr.DataArray) -> xr.DataArray:
    """The same values (run), 0 where they are below `NOTHING`."""
    return values.where(~(abs(values) < NOTHING), 0.0).assign_attrs(values.attrs)


def by_ratio(values: xr.DataArray) -> bool:
    """Whether a quantity has geometric means and ratios: ``scale`` says so, and no value is 0."""
    return values.attrs.get("scale") == "ratio" and bool((values.isnull() | (values > 0)).all())


def findings(answers: Mapping[Key, xr.DataArray]) -> Findings:
    """What may be said of all answers together, without taking luck for an effect.

    Only answers count that say which way is `better`. One family are all comparisons with the reference, the
    first network of each answer: where networks are equal, sentences stand in at most 5 % of reports
    (Holm). Another are the best networks of each row, against all others: the same holds for green.

    Parameters
    ----------
    answers : mapping of analysis and label to DataArray (run)
        With the coordinates ``network`` and ``seed``, `without_rounding`.
    """
    judged = {key: values for key, values in answers.items() if values.attrs.get("better")}
    compared = corrected(
        {
            key: differences(values, networks_of(values)[0], by_ratio(values), _bounds(values))
            for key, values in judged.items()
        }
    )
    differing = [
        (key, str(network), numbers.to_dict())
        for key, table in compared.items()
        for network, numbers in table.iterrows()
        if numbers["p_holm"] <= ERRORS
    ]
    found = [_difference(key, judged[key], network, numbers) for key, network, numbers in differing]
    reference = next((networks_of(values)[0] for values in answers.values()), "")
    tested = {key: table.index[table.p.notna()] for key, table in compared.items()}
    others = list(dict.fromkeys(str(network) for networks in tested.values() for network in networks))
    return Findings(
        sentences=[_sentence(key[1], judged[key], network, numbers) for key, network, numbers in differing],
        exact=[text for key, values in judged.items() if (text := _exact(key[1], values))],
        comparisons=sum(len(networks) for networks in tested.values()),
        best=_best(judged),
        reference=reference,
        differences=found,
        lead=sentence(found, reference, others, sum(len(networks) > 0 for networks in tested.values())),
    )


def _difference(key: Key, values: xr.DataArray, network: str, numbers: Mapping[Any, Any]) -> Difference:
    """A comparison with the reference as numbers."""
    effect, ratio = numbers["effect"], bool(numbers["ratio"])
    is_lower = effect < (1 if ratio else 0)
    return Difference(
        analysis=key[0],
        label=key[1],
        network=network,
        better=is_lower == (values.attrs["better"] == "lower"),
        ratio=ratio,
        effect=effect,
        low=numbers["effect_low_holm"],
        high=numbers["effect_high_holm"],
        p=numbers["p_holm"],
    )


def _bounds(values: xr.DataArray) -> tuple[float, float]:
    low, high = values.attrs.get("bounds", UNBOUNDED)
    return float(low), float(high)


def _best(judged: Mapping[Key, xr.DataArray]) -> dict[Key, list[str]]:
    """Networks that differ from all others in a quantity, if all their seeds are better than chance and than
    every baseline.
    """
    firsts = {key: best(values, values.attrs["better"], by_ratio(values)) for key, values in judged.items()}
    adjusted = holm(np.array([p for _, p in firsts.values()]))
    return {
        key: networks
        for (key, (networks, _)), p in zip(firsts.items(), adjusted, strict=True)
        if p <= ERRORS and all(_beats(judged[key], network) for network in networks)
    }


def _beats(values: xr.DataArray, network: str) -> bool:
    bars = list(_bars(values).values())
    known = _known(values, network)
    lower = values.attrs["better"] == "lower"
    return all(bool((known < bar).all() if lower else (known > bar).all()) for bar in bars)


def _bars(values: xr.DataArray) -> dict[str, float]:
    """What can be reached without learning: chance, and baselines by name."""
    bars = {"chance": values.attrs["chance"]} if "chance" in values.attrs else {}
    every = {name: float(bar) for name, bar in (bars | values.attrs.get("baseline", {})).items()}
    return {name: 0.0 if abs(bar) < NOTHING else bar for name, bar in every.items()}


def against_unlearned(answers: Mapping[Key, xr.DataArray]) -> list[Unlearned]:
    """Which networks are better than the ``baseline`` of each answer that has one and that is judged.

    Inferences are of answers with the attribute ``headroom`` alone, the first: each quantity more would widen
    all intervals. See `flowsim.views.unlearned`.
    """
    judged = {
        label: values
        for (_, label), values in answers.items()
        if values.attrs.get("better") and values.attrs.get("baseline") and values.notnull().any()
    }
    asked = {label for label, values in judged.items() if "headroom" in values.attrs}
    known = {label: {n: _known(values, n) for n in networks_of(values)} for label, values in judged.items()}
    intervals = sum(len(x) > 1 for label in asked for x in known[label].values())
    found = []
    for label in sorted(judged, key=lambda label: label not in asked):
        values, bars = judged[label], _bars(judged[label])
        rows = [
            compared(n, x, bars, values.attrs["better"], by_ratio(values), max(1, intervals))
            for n, x in known[label].items()
            if len(x)
        ]
        borne_out = [text for row in rows if (text := _borne_out(row, bars))] if label in asked else None
        headroom = _headroom(values.attrs.get("headroom", {}))
        found.append(Unlearned(label, _described(rows, bars), borne_out, headroom))
    return found


def _described(rows: Sequence[Compared], bars: Mapping[str, float]) -> list[str]:
    """On which side of what needs no learning all seeds lie, networks alike in one sentence."""
    alike: dict[str, list[str]] = {}
    for row in rows:
        parts = [
            f"{side} than {_with_numbers(names, bars)}"
            for side, names in sorted(row.in_seeds.items())
            if names
        ]
        if row.astride:
            parts.append(f"seeds on both sides of {_with_numbers(row.astride, bars)}")
        alike.setdefault("; ".join(parts), []).append(row.network)
    return [f"{enumerated(networks)}: {text}." for text, networks in alike.items()]


def _borne_out(row: Compared, bars: Mapping[str, float]) -> str:
    """What holds of a network beyond the luck of its seeds; "" if nothing does."""
    parts = [
        f"{side} than {enumerated(list(names))}" for side, names in sorted(row.borne_out.items()) if names
    ]
    interval = f"{number(row.mean)}, {number(row.low, 2)} to {number(row.high, 2)}"
    return f"{row.network} ({interval}) is {'; and '.join(parts)}." if parts else ""


def _with_numbers(names: Sequence[str], bars: Mapping[str, float]) -> str:
    return enumerated([f"{name} {number(bars[name])}" for name in names])


def _headroom(headroom: Mapping[str, float]) -> str:
    """What there is to gain by knowing the motion."""
    times = [
        f"without bound over that of {name}, which is exact"
        if math.isinf(ratio)
        else f"{number(ratio)} times that of {name}"
        for name, ratio in headroom.items()
    ]
    return f"Headroom: the error of the last frame is {enumerated(times)}." if times else ""


def _sentence(label: str, values: xr.DataArray, network: str, numbers: Mapping[Any, Any]) -> str:
    """A comparison in words, with the interval that holds together with all others of the report."""
    found = _difference(("", label), values, network, numbers)
    low, high = number(found.low), number(found.high)
    judgement = f"{'better' if found.better else 'worse'} than {networks_of(values)[0]}"
    return (
        f"{capital(label)}: {network} is {judgement}, "
        f"{sign(found.effect, found.ratio)}{number(found.effect)} ({low} to {high}, {numbers['n']} seeds)."
    )


def _exact(label: str, values: xr.DataArray) -> str:
    """Which networks have 0, to rounding, in all of two or more seeds, and which clearly not; "" if none."""
    known = {n: _known(values, n) for n in networks_of(values)}
    several = {n: x for n, x in known.items() if len(x) > 1}
    exact = [n for n, x in several.items() if not x.any()]
    apart = [n for n, x in several.items() if abs(x).min() >= CLEARLY_NOT_EXACT]
    if values.attrs["better"] != "lower" or not exact or not apart:
        return ""
    zero = enumerated([f"{n} ({len(several[n])})" for n in exact])
    others = enumerated(
        [
            f"{number(x.min())} to {number(x.max())} in {n} ({len(x)})"
            for n, x in several.items()
            if n in apart
        ]
    )
    return f"{capital(label)}: 0 to rounding in every seed of {zero}; {others}."


def summary_row(label: str, values: xr.DataArray, networks: list[str], green: Collection[str]) -> SummaryRow:
    """One line of the opening table: means, and the seeds behind them.

    Parameters
    ----------
    label : str
        Names the quantity.
    values : DataArray (run)
        With the coordinate ``network``. Attributes, none of which is needed: ``better`` ("lower" or
        "higher"), ``scale`` ("ratio"), ``chance`` (number), ``baseline`` (number by name), ``unjudged``
        (names of networks).
    networks : list of str
        Those of the columns, in order.
    green : collection of str
        Networks that differ from all others and are better.
    """
    dots = _dots(values, networks)
    cells = []
    for network in networks:
        known = _known(values, network)
        none = "could not be judged" if network in values.attrs.get("unjudged", ()) else "does not apply"
        mean = _mean(known, by_ratio(values)) if len(known) else math.nan
        seeds = seeds_in_words(known, SEEDS_SHOWN)
        trained = int((values["network"] == network).sum())
        if 0 < len(known) < trained:
            seeds = f"{len(known)} of {trained} seeds{': ' * bool(seeds)}{seeds}"
        text = none if math.isnan(mean) else number(mean)
        cells.append(TableCell(text, seeds, network in green, dots.get(network), mean))
    judged = bool(values.attrs.get("better"))
    label = _with_arrow(label, values)
    return SummaryRow(label, _note(values), cells, _bars(values), judged, by_ratio(values))


def names_of_bars(rows: Sequence[SummaryRow]) -> list[str]:
    """Names of what is reached without learning, of several quantities, chance last."""
    names = list(dict.fromkeys(name for row in rows for name in row.bars))
    return sorted(names, key=lambda name: name == "chance")


def _dots(values: xr.DataArray, networks: Sequence[str]) -> dict[str, Dots]:
    """Dots of those networks that have two or three seeds with a value."""
    known = {network: _known(values, network) for network in networks}
    few = {network: x for network, x in known.items() if 1 < len(x) <= SEEDS_SHOWN}
    every = dots_of(known, by_ratio(values), {n: seeds_in_words(x, SEEDS_SHOWN) for n, x in known.items()})
    return {network: every[network] for network in few}


def _known(values: xr.DataArray, network: str) -> np.ndarray:
    """The values of those seeds of a network that have one."""
    own = values.values[values["network"].values == network]
    return own[~np.isnan(own)]


def _mean(known: np.ndarray, ratio: bool) -> float:
    return float(np.exp(np.log(known).mean()) if ratio else known.mean())


def _note(values: xr.DataArray) -> str:
    """Which mean is meant, where it is not the arithmetic one, and what is reached without learning."""
    mean = ["geometric mean"] if by_ratio(values) else []
    return ", ".join([*mean, *(f"{name} {number(bar)}" for name, bar in _bars(values).items())])


def _with_arrow(label: str, values: xr.DataArray) -> str:
    """A label with an arrow that says which way is better, if one is."""
    return f"{label}\N{NO-BREAK SPACE}{ARROWS.get(values.attrs.get('better', ''), '')}".strip()


def effect_table(label: str, values: xr.DataArray, networks: list[str], comparisons: int = 0) -> EffectTable:
    """Each network's mean and its difference from the first network, with intervals over seeds.

    Parameters as of `summary_row`, with the coordinate ``seed`` too, and the attribute ``bounds``, the least
    and the largest value that the quantity can have; ``comparisons`` are all those of the report. Means are
    the same as in the opening table.
    """
    reference, ratio = networks[0], by_ratio(values)
    compared: Any = compare(values, reference, ratio, _bounds(values)).to_dict("index")
    dots = _dots(values, networks)
    rows = []
    for network in networks:
        numbers = compared[network]
        common = min(numbers["n"], compared[reference]["n"])
        mean = _estimated_mean(numbers, _known(values, network))
        effect = _estimate(numbers, "effect", common, sign(numbers["effect"], ratio))
        if common <= SEEDS_SHOWN and not math.isnan(numbers["effect_low"]):
            effect = Estimate(effect.value)
        if network == reference:
            effect = Estimate("reference")
        middle = _estimate(numbers, "middle", numbers["n"])
        g = _g(numbers, common)
        rows.append(EffectRow(network, numbers["n"], mean, middle, effect, g, dots.get(network)))
    smallest = _smallest(values, reference, comparisons if values.attrs.get("better") else 0)
    return EffectTable(_with_arrow(label, values), _note(values), rows, smallest)


def _smallest(values: xr.DataArray, reference: str, comparisons: int) -> str:
    """Which effects so many seeds can tell from none: by an interval of the table, and by a sentence."""
    ratio = by_ratio(values)
    alone = smallest_effect(values, reference, ratio)
    if math.isnan(alone):
        return ""
    counts = [len(_known(values, network)) for network in networks_of(values)]
    several = sorted({n for n in counts if n > 1})
    seeds = f"{several[0]} seeds" if len(several) == 1 else f"{several[0]} to {several[-1]} seeds"
    what = "ratio that can be told from 1" if ratio else "difference that can be told from 0"
    text = f"With {seeds} the smallest {what} is {_as_large(alone, values)}"
    if comparisons > 1:
        together = smallest_effect(values, reference, ratio, comparisons)
        text += f"; for a sentence above, among all {comparisons} comparisons, {_as_large(together, values)}"
    return f"{text}."


def _as_large(effect: float, values: xr.DataArray) -> str:
    """A smallest effect in words, in either direction."""
    low, high = _bounds(values)
    if by_ratio(values):
        return (
            f"{TIMES}{number(effect)} or {TIMES}{number(1 / effect)}"
            if effect <= LARGEST_RATIO
            else f"above {TIMES}{LARGEST_RATIO:,}"
        )
    if effect > high - low:
        return f"larger than any that is possible ({number(high - low)})"
    return number(effect)


def _estimated_mean(numbers: Mapping[str, Any], known: np.ndarray) -> Estimate:
    if not len(known):
        return Estimate("does not apply")
    if 1 < len(known) <= SEEDS_SHOWN:
        return Estimate(number(numbers["mean"]), f"seeds {seeds_in_words(known, SEEDS_SHOWN)}")
    return _estimate(numbers, "mean", len(known))


def _g(numbers: Mapping[str, Any], seeds: int) -> Estimate:
    """Hedges' g, or that it is undefined although there are seeds enough."""
    if math.isnan(numbers["g"]) and seeds >= STANDARDISED and not math.isnan(numbers["effect"]):
        return Estimate("undefined", "a network has no spread")
    return _estimate(numbers, "g", seeds)


def _estimate(numbers: Mapping[str, Any], name: str, seeds: int, sign: str = "") -> Estimate:
    """A number of `flowsim.effects.compare`, and its interval or why there is none."""
    if math.isnan(numbers[name]):
        return Estimate()
    value = sign + number(numbers[name])
    low, high = numbers[f"{name}_low"], numbers[f"{name}_high"]
    if math.isnan(low):
        return Estimate(value, "1 seed: no interval" if seeds < 2 else "no spread over seeds")
    paired = ", paired" if name == "effect" and numbers["paired"] else ""
    return Estimate(value, f"{number(low, digits=2)} to {number(high, digits=2)}{paired}")


def missing_in_words(not_made: Mapping[Path, str]) -> list[str]:
    """Which runs lack results, with the reason, runs with the same one together."""
    of_reason: dict[str, list[str]] = {}
    for path, why in not_made.items():
        of_reason.setdefault(why, []).append(path.stem)
    return [f"{enumerated(list(dict.fromkeys(names)))}: {why}" for why, names in of_reason.items()]


def collected_provenance(
    experiment: Experiment, results: Path, not_made: Collection[Path] = ()
) -> dict[str, Any]:
    """Commits, versions and checksums in the files of an experiment, from stimuli to analyses.

    A recording that no analysis reads is left out: no job makes it. So is what is not made.
    """
    paths = [("stimulus", path) for path in sorted(results.glob("stimuli/*.h5"))]
    for split in read_by_analyses(experiment):
        recordings = recordings_of(experiment, results, split, not_made)
        paths += [("recording", path) for of_network in recordings.values() for path in of_network]
    every = [
        results / "analyses" / name / f"{run}.h5" for run in runs(experiment) for name in experiment.analyse
    ]
    paths += [("analysis", path) for path in every if path not in not_made]
    attributes = [netcdf.read_attributes(path, stage) for stage, path in paths]
    checksums: dict[str, str] = {}
    for attrs in attributes:
        checksums |= json.loads(attrs.get("inputs", "{}"))
    versions = sorted({attrs.get("versions", "{}") for attrs in attributes})
    return {
        "commits": sorted({attrs.get("commit", "") for attrs in attributes}),
        "versions": [json.loads(text) for text in versions],
        "checksums": checksums,
    }


def used_by_rules(logs: Path, current_runs: Collection[str]) -> list[dict[str, Any]]:
    """Jobs, wall time and peak memory of each rule, from the logs of its jobs.

    Those of runs that the experiment no longer has are left out.
    """
    rules = []
    for rule in sorted(path for path in logs.glob("*") if path.is_dir()):
        current = (path for path in sorted(rule.glob("*.log")) if _is_current(path.stem, current_runs))
        used = [found for path in current if (found := usage.read(path)) is not None]
        if not used:
            continue
        seconds = [each.seconds for each in used]
        memory = [each.megabytes for each in used if each.megabytes is not None]
        rules.append(
            {
                "rule": rule.name,
                "jobs": len(used),
                "seconds": f"{sum(seconds):.0f}",
                "longest": f"{max(seconds):.0f}",
                "memory": f"{max(memory)}" if memory else "",
            }
        )
    return rules


def _is_current(name: str, current_runs: Collection[str]) -> bool:
    """Whether a log, named by its analysis, run and split, is of a run that there is."""
    found = re.match(r".*-seed\d+", name)
    if not found:
        return True
    parts = found[0].split("-")
    return any("-".join(parts[first:]) in current_runs for first in range(len(parts) - 1))
