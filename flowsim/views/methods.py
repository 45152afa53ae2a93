"""The paragraph of methods that a paper needs, from an experiment and from what its files say."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import dedent
from typing import Any

from flowsim import ideas
from flowsim.experiment.read import train_block
from flowsim.experiment.schema import Experiment
from flowsim.training.settings import OwnTrainBlock
from flowsim.views.networks import NetworkRow
from flowsim.views.words import enumerated, number

PAPER = """@article{keller2025flow,
  title = {Flow Equivariant Recurrent Neural Networks},
  author = {Keller, T. Anderson},
  year = {2025},
  journal = {arXiv preprint arXiv:2507.14793},
}"""


@dataclass(frozen=True)
class Methods:
    """Paragraphs; equations by what they are of; entries for BibTeX."""

    paragraphs: list[str]
    equations: dict[str, str]
    bibtex: str


def methods(experiment: Experiment, networks: Sequence[NetworkRow], provenance: Mapping[str, Any]) -> Methods:
    """Methods of an experiment.

    Parameters
    ----------
    experiment : Experiment
    networks : sequence of NetworkRow
    provenance : mapping
        ``commits`` and ``versions`` of the files.
    """
    models = list(dict.fromkeys(row.model for row in networks))
    versions: dict[str, str] = {}
    for each in provenance["versions"]:
        versions |= each
    paragraphs = [
        _stimulus(experiment),
        _networks(networks),
        _training(experiment, networks),
        "Networks are compared over seeds: differences of means, or ratios of geometric means where errors "
        "differ by factors, with Welch's intervals (1947), paired from five common seeds on; p-values and "
        "intervals of all comparisons together are corrected by Holm's procedure (1979).",
        _software(versions, provenance["commits"]),
    ]
    equations = {model: equation for model in models if (equation := _equation(model))}
    version = versions.get("flowsim", "")
    software = (
        "@software{flowsim,\n"
        "  title = {flowsim: how latent states of recurrent networks transform under flows},\n"
        f"  author = {{{{The flowsim developers}}}},\n  version = {{{version}}},\n  year = {{2026}},\n}}"
    )
    return Methods([text for text in paragraphs if text], equations, f"{software}\n\n{PAPER}")


def _documentation(package: str, name: str) -> str:
    """The docstring of an idea's file, "" where it has none."""
    module = ideas.load(package, name)
    return inspect.cleandoc(module.__doc__ or "")


def _first_sentence(text: str) -> str:
    return " ".join(re.split(r"(?<=\.)\s", text.split("\n\n")[0])[0].split()).rstrip(".")


def _stimulus(experiment: Experiment) -> str:
    block = experiment.stimulus
    settings = ", ".join(f"{name} {value}" for name, value in block.all.items())
    by_split = "; ".join(
        f"{split}: {', '.join(f'{name} {value}' for name, value in own.items())}"
        for split in ("train", "valid", "test", "sweep", "probe", "control")
        if (own := getattr(block, split))
    )
    what = _first_sentence(_documentation("stimuli", block.family))
    return (
        f"Stimuli are of the family {block.family} ({what}), with {settings or 'its defaults'}. {by_split}."
    )


def _networks(rows: Sequence[NetworkRow]) -> str:
    words = [
        f"{row.name} ({row.model}"
        + (f", V = {row.velocities}" if row.velocities else "")
        + (f", {row.parameters:,} parameters)" if row.seeds else ")")
        for row in rows
    ]
    return f"Networks are {enumerated(words)}."


def _training(experiment: Experiment, networks: Sequence[NetworkRow]) -> str:
    train = experiment.train
    if train.task == "predict":
        task = f"predicts {train.horizon} frames after {train.context} that it sees"
    else:
        task = f"does the task {train.task} after {train.context} frames"
    extra = [
        f"noise of standard deviation {train.noise:g} on frames taken in" if train.noise else "",
        f"up to {train.warm_up} frames watched before the context" if train.warm_up else "",
        f"up to {train.own_predictions} frames predicted before those that are learned from"
        if train.own_predictions
        else "",
    ]
    also = "".join(f", {text}" for text in extra if text)
    seeds = "seed" if experiment.seeds == 1 else "seeds"
    return (
        f"Each network {task}, and is trained on {train.sequences:,} sequences, {train.batch} at a time, "
        f"with Adam (learning rate {number(train.learning_rate, 2)}, {train.schedule}; gradients no longer "
        f"than {train.clip:g}){also}, from {experiment.seeds} {seeds} each.{_set_apart(experiment)}"
        f"{_hardware(networks)}"
    )


def _set_apart(experiment: Experiment) -> str:
    """What single networks set for their own training; "" if none does."""
    of_settings: dict[str, list[str]] = {}
    for name in experiment.networks:
        own = train_block(experiment, name)
        changed = [
            f"{key} {value:g}"
            for key in OwnTrainBlock.model_fields
            if key != "budget" and (value := getattr(own, key)) != getattr(experiment.train, key)
        ]
        if changed:
            of_settings.setdefault(enumerated(changed), []).append(name)
    words = [f"{settings} for {enumerated(names)}" for settings, names in of_settings.items()]
    return f" Set apart: {'; '.join(words)}." if words else ""


def _hardware(networks: Sequence[NetworkRow]) -> str:
    """On what networks were trained: the same seed gives the same weights on the same hardware only."""
    known = list(dict.fromkeys(row.hardware for row in networks if row.hardware))
    return (
        f" Training ran on {enumerated(known)}; another device, or another number of threads, rounds "
        "differently and gives other weights."
        if known
        else ""
    )


def _software(versions: Mapping[str, str], commits: Sequence[str]) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    known = [commit[:10] for commit in commits if commit]
    return f"Software: {packages}" + (f"; commit {enumerated(known)}." if known else ".")


def _equation(model: str) -> str:
    """The first indented block of a model's documentation, which is its recurrence."""
    text = _documentation("flowsim.models", model)
    found = re.search(r"\n\n((?:    .*\n?)+)", text)
    return dedent(found[1]).strip() if found else ""
