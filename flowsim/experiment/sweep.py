"""The points of a sweep: what is set at each of them, and how its files are called.

A point is the experiment with some settings changed. Its files lie beside those of the experiment, and are
named by what they were made from differs from the experiment without its sweep:

    stimuli/test@objects=2.h5
    models/fernn@max_speed=1,train.noise=0.1-seed0.pt
    recordings/fernn@train.noise=0.1-seed0/test@objects=2.h5
    analyses/prediction_error/fernn@train.noise=0.1-seed0@objects=2.h5

A name has only what can matter to its file. Points that agree in that share the file, whatever else is swept;
so do a point at which nothing differs and the experiment without a sweep; and a file keeps its name when
values are added to the sweep.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flowsim import ideas, specification
from flowsim.errors import InputError, did_you_mean
from flowsim.experiment.places import VARIANT
from flowsim.experiment.read import architecture, runs, splits, train_block
from flowsim.experiment.schema import MOST_POINTS, Experiment, RangeBlock, StimulusBlock, SweepBlock
from flowsim.network import begin
from flowsim.specification import Settings, model_of
from flowsim.training.settings import BudgetBlock, OwnTrainBlock, TrainBlock

LONGEST = 80
"""Characters of what differs, in a name; a longer text is cut and ends in a hash."""
DIGITS = 12
"""Significant digits of the numbers of a range: those of 0.1 * 3 would otherwise be 0.30000000000000004."""
FIXED = {"train.task": "each task has recordings and analyses of its own. Write an experiment for each"}
"""Settings that cannot be swept, and why."""


@dataclass(frozen=True)
class Level:
    """One place on an axis.

    Attributes
    ----------
    label : str
        What is set there, in words: the value of a key, or "max_speed=1,channels=8".
    number : float
        The value, NaN where it is no number or several values are set.
    settings : dict of str to value
        By the path of each setting.
    """

    label: str
    number: float
    settings: Settings


@dataclass(frozen=True)
class Axis:
    """What varies together: one key of a sweep, its ``zip`` or its ``points``."""

    name: str
    levels: tuple[Level, ...]

    @property
    def is_numeric(self) -> bool:
        """Whether its levels are different numbers."""
        numbers = {level.number for level in self.levels}
        return len(numbers) == len(self.levels) and not any(map(math.isnan, numbers))


@dataclass(frozen=True)
class Point:
    """One point of a sweep, or an experiment without one.

    Attributes
    ----------
    name : str
        "max_speed=1,noise=0.1"; "" for an experiment without a sweep.
    place : tuple of int
        Its level on each axis.
    experiment : Experiment
        As it is there, without a sweep, and with its networks under the names of their files.
    networks : dict of str to str
        Name in the experiment file, by the name in files.
    stems : dict of str to str
        Name of the file of each split, without ".h5".
    """

    name: str
    place: tuple[int, ...]
    experiment: Experiment
    networks: dict[str, str]
    stems: dict[str, str]

    def result(self, run: str, split: str) -> str:
        """Name of what was found in a recording of a split by a run."""
        return f"{run}{self.stems[split].removeprefix(split)}"


def axes(experiment: Experiment) -> list[Axis]:
    """The axes of a sweep, in the order of the file; none without one.

    Raises
    ------
    InputError
        If a path names no setting, or values do not fit together.
    """
    if experiment.sweep is None:
        return []
    sweep = experiment.sweep
    single = {path: listed(values) for path, values in (sweep.__pydantic_extra__ or {}).items()}
    together = {path: listed(values) for path, values in sweep.zip.items()}
    paths = [*single, *together, *(path for point in sweep.points for path in point)]
    if not paths:
        raise InputError("sweep: expected a setting to vary, such as train.noise: [0, 0.1]; got none")
    require_paths(experiment, dict.fromkeys(paths), single | together)
    require_apart(sweep, single, together)
    short = short_names(list(dict.fromkeys(paths)))
    made = [_axis([{path: value} for value in values], short) for path, values in single.items()]
    if together:
        lengths = {path: len(values) for path, values in together.items()}
        if len(set(lengths.values())) > 1:
            counts = ", ".join(f"{path} {count}" for path, count in lengths.items())
            raise InputError(f"sweep.zip: expected as many values of each setting; got {counts}")
        rows = zip(*together.values(), strict=True)
        made.append(_axis([dict(zip(together, row, strict=True)) for row in rows], short))
    if sweep.points:
        made.append(_axis(sweep.points, short))
    count = math.prod(len(axis.levels) for axis in made)
    if count > MOST_POINTS:
        raise InputError(f"sweep: expected at most {MOST_POINTS:,} points; got {count:,}. Leave some out")
    return made


def require_apart(sweep: SweepBlock, single: Settings, together: Settings) -> None:
    """Raise InputError if a setting is varied in two places, or one of its values comes twice."""
    listed_ones = {path for point in sweep.points for path in point}
    for path in single:
        if path in together or path in listed_ones:
            raise InputError(
                f"sweep: expected {path} in one place; it is in {'zip' if path in together else 'points'} too"
            )
    for path in listed_ones & set(together):
        raise InputError(f"sweep: expected {path} in one place; it is in zip and in points")
    for path, values in single.items():
        _require_different(path, values)
    if together:
        _require_different("zip", [list(row) for row in zip(*together.values(), strict=False)])
    _require_different("points", sweep.points)


def _require_different(name: str, values: Sequence[Any]) -> None:
    texts = [json.dumps(value, sort_keys=True) for value in values]
    twice = (
        next((text for text in texts if texts.count(text) > 1), None)
        if len(set(texts)) < len(texts)
        else None
    )
    if twice:
        raise InputError(f"sweep.{name}: expected different values; {twice} comes twice")


def listed(values: RangeBlock | list[Any]) -> list[Any]:
    """The values of a key, one by one; whole numbers where ends and steps are."""
    if isinstance(values, list):
        return values
    first, last = values.first, values.last
    if values.step is not None:
        steps = math.floor((last - first) / values.step * (1 + 1e-12) + 1e-12)
        if steps >= MOST_POINTS:
            raise InputError(f"sweep: expected at most {MOST_POINTS:,} values in a range; got {steps + 1:,}")
        numbers = [first + i * values.step for i in range(steps + 1)]
        is_whole = all(float(number).is_integer() for number in (first, values.step))
    else:
        spaced = np.geomspace if values.scale == "log" else np.linspace
        numbers = spaced(first, last, int(values.count or 0)).tolist()
        is_whole = all(float(f"{number:.{DIGITS}g}").is_integer() for number in numbers)
    rounded = [float(f"{number:.{DIGITS}g}") for number in numbers]
    return [int(number) for number in rounded] if is_whole else rounded


def _axis(rows: Sequence[Settings], short: Mapping[str, str]) -> Axis:
    """One axis, from what is set at each of its levels."""
    paths = list(dict.fromkeys(path for row in rows for path in row))
    if len(paths) > 1:
        name = ", ".join(short[path] for path in paths)
        return Axis(name, tuple(Level(_set(row, short), math.nan, dict(row)) for row in rows))
    levels = []
    for row in rows:
        value = next(iter(row.values()), None)
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
        levels.append(Level(word(value) if row else "as it is", number, dict(row)))
    return Axis(short[paths[0]], tuple(levels))


def _set(settings: Settings, short: Mapping[str, str]) -> str:
    return ",".join(f"{short[path]}={word(value)}" for path, value in settings.items()) or "as it is"


def short_names(paths: Sequence[str]) -> dict[str, str]:
    """The shortest ends of paths that tell them apart: "max_speed" for networks.fernn.max_speed."""

    def end(path: str, parts: int) -> str:
        return ".".join(path.split(".")[-parts:])

    names = {}
    for path in paths:
        parts = 1
        while any(end(path, parts) == end(other, parts) for other in paths if other != path):
            parts += 1
        names[path] = end(path, parts)
    return names


def word(value: Any) -> str:
    """A value as a part of a name: letters, digits and "_+-.", and a hash where that loses something."""
    text = value if isinstance(value, str) else json.dumps(value)
    plain = re.sub(r"[^A-Za-z0-9_.+-]+", "_", text).strip("_")
    is_same = plain == text != ""
    if isinstance(value, list) and value and all(isinstance(each, int | float) for each in value):
        plain, is_same = "_".join(word(each) for each in value), True
    return plain if is_same and len(plain) <= LONGEST // 2 else f"{plain[: LONGEST // 4]}-{_hash(text)}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def known_paths(experiment: Experiment, values: Mapping[str, Sequence[Any]]) -> list[str]:
    """Every setting that a sweep of an experiment may name.

    Parameters
    ----------
    experiment : Experiment
    values : mapping of path to sequence
        What is swept: with a ``model`` or a ``family``, arguments of each of them may be.
    """
    found = ["seeds", *_fields("train", TrainBlock), "stimulus.family"]
    families = [experiment.stimulus.family, *values.get("stimulus.family", ())]
    of_stimuli = [
        argument
        for family in families
        if isinstance(family, str)
        for argument in model_of(ideas.load("stimuli", family).generate, ("split", "rng")).model_fields
    ]
    blocks = [name for name in StimulusBlock.model_fields if name != "family"]
    found += [f"stimulus.{block}.{argument}" for block in blocks for argument in of_stimuli]
    for name, settings in experiment.networks.items():
        where = f"networks.{name}"
        models = [settings.get("model"), *values.get(f"{where}.model", ())]
        of_model = [
            argument
            for model in models
            if isinstance(model, str)
            for argument in model_of(
                ideas.load("flowsim.models", model).build, ("frame_shape", "network", "where"), begin
            ).model_fields
        ]
        found += [f"{where}.model", *(f"{where}.{argument}" for argument in of_model)]
        found += _fields(f"{where}.train", OwnTrainBlock)
    return [path for path in dict.fromkeys(found) if path not in FIXED]


def _fields(where: str, block: type[TrainBlock] | type[OwnTrainBlock]) -> Iterator[str]:
    for name in block.model_fields:
        if name == "budget":
            yield from (f"{where}.budget.{inner}" for inner in BudgetBlock.model_fields)
        else:
            yield f"{where}.{name}"


def require_paths(
    experiment: Experiment, paths: Mapping[str, None], values: Mapping[str, Sequence[Any]]
) -> None:
    """Raise InputError, with the nearest one, if a path names no setting that can be swept."""
    known = known_paths(experiment, values)
    for path in paths:
        if path in FIXED:
            raise InputError(f"sweep: {path} cannot be swept: {FIXED[path]}")
        if path not in known:
            nearest = did_you_mean(path, known)
            raise InputError(
                f"sweep: {path} is no setting of this experiment; expected stimulus.<all or split>."
                f"<argument>, networks.<name>.<argument>, train.<key> or seeds{nearest}"
            )


def points(experiment: Experiment) -> list[Point]:
    """The points of a sweep, the last axis varying fastest; one, that is the experiment, without a sweep.

    Raises
    ------
    InputError
        If the sweep cannot be read, or the settings of a point do not fit the schema.
    """
    base = experiment.model_copy(update={"sweep": None})
    swept = axes(experiment)
    if not swept:
        names, stems = {name: name for name in base.networks}, {split: split for split in splits(base)}
        return [Point("", (), base, names, stems)]
    named = Names(base)
    short = short_names(
        list(dict.fromkeys(p for axis in swept for level in axis.levels for p in level.settings))
    )
    content = base.model_dump()
    made = []
    for place in itertools.product(*(range(len(axis.levels)) for axis in swept)):
        settings: Settings = {}
        for axis, level in zip(swept, place, strict=True):
            settings |= axis.levels[level].settings
        name = _set(settings, short)
        with at(name):
            one = specification.validate(Experiment, changed(content, settings), "")
            made.append(named.point(name, place, one))
    return made


@contextmanager
def at(name: str) -> Iterator[None]:
    """Say in errors at which point they are."""
    try:
        yield
    except InputError as error:
        raise (InputError(f"sweep, at {name}: {error}") if name else error) from None


def changed(content: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """The content of an experiment file with some settings changed; what is not changed is not copied."""
    made = dict(content)
    for path, value in settings.items():
        block = made
        *blocks, last = path.split(".") if not path.startswith("networks.") else _parts_of(path, content)
        for name in blocks:
            block[name] = dict(block.get(name) or {})
            block = block[name]
        block[last] = copy.deepcopy(value)
    return made


def _parts_of(path: str, content: Mapping[str, Any]) -> list[str]:
    """The parts of a path into ``networks``, whose names may have dots; the longest name that fits counts."""
    rest = path.removeprefix("networks.")
    name = max((n for n in content["networks"] if rest.startswith(f"{n}.")), key=len)
    return ["networks", name, *rest.removeprefix(f"{name}.").split(".")]


class Names:
    """How files of points are called, by what differs from the experiment without its sweep.

    Parameters
    ----------
    base : Experiment
        Without its sweep.
    """

    def __init__(self, base: Experiment) -> None:
        self.base = base
        self.stimuli = {split: _stimulus(base, split) for split in splits(base)}
        self.networks = {name: _training(base, name) for name in base.networks}

    def point(self, name: str, place: tuple[int, ...], experiment: Experiment) -> Point:
        """A point, with its networks under the names of their files."""
        differing = {
            split: differences(before, _stimulus(experiment, split)) for split, before in self.stimuli.items()
        }
        stems = {split: f"{split}{_suffix(found)}" for split, found in differing.items()}
        taught = taught_by(differing["train"], differing["valid"])
        variants = {
            network: network + _suffix(differences(before, _training(experiment, network)) | taught)
            for network, before in self.networks.items()
        }
        renamed = {variants[network]: settings for network, settings in experiment.networks.items()}
        networks = {variant: network for network, variant in variants.items()}
        one = experiment.model_copy(update={"networks": renamed})
        return Point(name, place, one, networks, stems)


def _stimulus(experiment: Experiment, split: str) -> Settings:
    return {"family": experiment.stimulus.family, **experiment.stimulus.spec(split)}


def _training(experiment: Experiment, network: str) -> Settings:
    """What a training is made from besides its stimuli: the network, and ``train.<key>``."""
    train = train_block(experiment, network).model_dump()
    return architecture(experiment.networks[network]) | {
        f"train.{key}": value for key, value in train.items()
    }


def taught_by(train: Settings, valid: Settings) -> Settings:
    """What differs in the stimuli of a training: once what does in both."""
    both = {key: value for key, value in train.items() if key in valid and valid[key] == value}
    alone = {f"stimulus.train.{key}": value for key, value in train.items() if key not in both}
    alone |= {f"stimulus.valid.{key}": value for key, value in valid.items() if key not in both}
    return {f"stimulus.{key}": value for key, value in both.items()} | alone


def differences(before: Settings, now: Settings) -> Settings:
    """Settings that are not as before, by the path of each."""
    found: Settings = {}
    for key in [*now, *(key for key in before if key not in now)]:
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found |= {f"{key}.{inner}": value for inner, value in differences(old, new).items()}
        elif json.dumps(old, sort_keys=True) != json.dumps(new, sort_keys=True):
            found[key] = new
    return found


def _suffix(differing: Settings) -> str:
    """The part of a name that says what differs; "" where nothing does."""
    if not differing:
        return ""
    text = ",".join(f"{key}={word(value)}" for key, value in sorted(differing.items()))
    if len(text) > LONGEST:
        text = f"{text[: LONGEST - 9]}-{_hash(json.dumps(differing, sort_keys=True))}"
    return f"{VARIANT}{text}"


def results_of(experiment: Experiment, analysis: str, results: Path) -> list[Path]:
    """The results of one analysis of all runs, at all points of a sweep, in their order and each once."""
    split = ideas.load("analysis", analysis).READS
    names = [point.result(run, split) for point in points(experiment) for run in runs(point.experiment)]
    return [results / "analyses" / analysis / f"{name}.h5" for name in dict.fromkeys(names)]
