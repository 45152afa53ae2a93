"""An experiment as jobs, for the Snakefile.

Each job has only its own slice of the specification, and a hash of the code that does it, so that a change
reruns what depends on it and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from flowsim import ideas
from flowsim.experiment.check import checked
from flowsim.experiment.costs import costs
from flowsim.experiment.read import architecture, runs, train_block
from flowsim.experiment.schema import Experiment
from flowsim.experiment.sweep import Point, points
from flowsim.files.code_hash import analysis_modules, code_hash, training_code
from flowsim.files.provenance import checksum
from flowsim.splits import SEEDS
from flowsim.training.devices import pick_device

PAGE = [
    Path(__file__).parents[1] / "views" / name
    for name in ("report.html.j2", "sweep_report.html.j2", "report.css", "report.js", "player.js")
]
"""What a report is made of besides code."""

Jobs = dict[str, dict[str, Any]]
"""The jobs of one stage by name, as plain values."""


def jobs(path: str | Path) -> dict[str, Any]:
    """Read and check an experiment file; return its jobs by stage, as plain values.

    Raises
    ------
    InputError
        If the experiment would fail later on; see `flowsim.experiment.check.checked`.
    """
    experiment = checked(path)
    every = points(experiment)
    view = "flowsim.views.report" if experiment.sweep is None else "flowsim.views.sweep_report"
    return {
        "specification": experiment.model_dump_json(),
        "ideas": ideas_of(experiment, every),
        "gpu": int(pick_device().type != "cpu"),
        "sweep": None if experiment.sweep is None else experiment.sweep.model_dump_json(),
        "stimuli": stimulus_jobs(every),
        "runs": training_jobs(every),
        "recordings": recording_jobs(experiment),
        "analyses": analysis_jobs(experiment, every),
        "costs": {name: asdict(cost) for name, cost in costs(experiment).items()},
        "report": code_hash(view) + "".join(checksum(path)[:16] for path in PAGE),
    }


def ideas_of(experiment: Experiment, every: Sequence[Point]) -> list[str]:
    """The modules of all stimuli, networks and analyses."""
    named = {f"stimuli.{point.experiment.stimulus.family}" for point in every}
    named |= {f"analysis.{name}" for name in experiment.analyse}
    for point in every:
        named |= {f"flowsim.models.{settings['model']}" for settings in point.experiment.networks.values()}
    return sorted(named)


def stimulus_jobs(every: Sequence[Point]) -> Jobs:
    """One for each split, and for each way in which a sweep makes it."""
    planned: Jobs = {}
    codes: dict[tuple[str, bool], str] = {}
    for point in every:
        block = point.experiment.stimulus
        for split, stem in point.stems.items():
            if stem in planned:
                continue
            kind = (block.family, split == "control")
            if kind not in codes:
                controls = ["flowsim.scenes.control"] if split == "control" else []
                codes[kind] = code_hash("flowsim.files.netcdf", f"stimuli.{block.family}", *controls)
            planned[stem] = {
                "family": block.family,
                "split": split,
                "spec": json.dumps(block.spec(split)),
                "seed": SEEDS[split],
                "code": codes[kind],
            }
    return planned


def training_jobs(every: Sequence[Point]) -> Jobs:
    """One for each network and seed, and for each way in which a sweep trains it."""
    planned: Jobs = {}
    codes: dict[tuple[str, str | None], str] = {}
    for point in every:
        experiment = point.experiment
        streamed = experiment.stimulus.family if experiment.train.stream else None
        specs: dict[str, str] = {}
        for run, (name, seed) in runs(experiment).items():
            if run in planned:
                continue
            network = architecture(experiment.networks[name])
            kind = (network["model"], streamed)
            if kind not in codes:
                codes[kind] = training_code(*kind)
            if name not in specs:
                train = train_block(experiment, name).model_dump()
                specs[name] = json.dumps({"name": name, "network": network, "train": train})
            planned[run] = {
                "spec": specs[name],
                "seed": seed,
                "code": codes[kind],
                "train": point.stems["train"],
                "valid": point.stems["valid"],
            }
    return planned


def recording_jobs(experiment: Experiment) -> Jobs:
    """One for each entry of the block ``record``; every run has each of them."""
    code = code_hash("flowsim.recording.record")
    planned: Jobs = {}
    for split, block in experiment.record.items():
        named = (one.recording for one in (block.intervene or {}).values())
        others = [recording for recording in named if recording is not None]
        planned[split] = {"spec": block.model_dump_json(), "reads": others, "code": code}
    return planned


def analysis_jobs(experiment: Experiment, every: Sequence[Point]) -> Jobs:
    """One for each analysis, and the names of its results: of every run under every stimulus."""
    planned = {}
    for name, settings in experiment.analyse.items():
        split = ideas.load("analysis", name).READS
        drawn_by = ["flowsim.figures.plot", "flowsim.files.results"]
        drawn_by += [] if experiment.sweep is None else ["flowsim.views.sweep_figure"]
        planned[name] = {
            "spec": json.dumps(settings),
            "reads": split,
            "code": code_hash(*analysis_modules(name, settings), without=["flowsim.figures"]),
            "figure_code": code_hash(f"analysis.{name}", *drawn_by),
            "results": list(
                dict.fromkeys(point.result(run, split) for point in every for run in runs(point.experiment))
            ),
        }
    return planned
