"""An experiment as jobs, for the Snakefile.

Each job has only its own slice of the specification, and a hash of the code that does it, so that a change
reruns what depends on it and nothing else.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flowsim import ideas
from flowsim.experiment.check import checked
from flowsim.experiment.read import architecture, runs, splits, train_block
from flowsim.experiment.schema import Experiment
from flowsim.files.code_hash import analysis_modules, code_hash, training_code
from flowsim.files.provenance import checksum
from flowsim.splits import SEEDS
from flowsim.training.devices import pick_device

PAGE = [
    Path(__file__).parents[1] / "views" / name
    for name in ("report.html.j2", "report.css", "report.js", "player.js")
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
    return {
        "specification": experiment.model_dump_json(),
        "family": experiment.stimulus.family,
        "gpu": int(pick_device().type != "cpu"),
        "stimuli": stimulus_jobs(experiment),
        "runs": training_jobs(experiment),
        "recordings": recording_jobs(experiment),
        "analyses": analysis_jobs(experiment),
        "report": code_hash("flowsim.views.report") + "".join(checksum(path)[:16] for path in PAGE),
    }


def stimulus_jobs(experiment: Experiment) -> Jobs:
    """One for each split."""
    family = ("flowsim.files.netcdf", f"stimuli.{experiment.stimulus.family}")
    code = dict.fromkeys(SEEDS, code_hash(*family))
    code["control"] = code_hash(*family, "flowsim.scenes.control")
    return {
        split: {
            "spec": json.dumps(experiment.stimulus.spec(split)),
            "seed": SEEDS[split],
            "code": code[split],
        }
        for split in splits(experiment)
    }


def training_jobs(experiment: Experiment) -> Jobs:
    """One for each network and seed."""
    streamed = experiment.stimulus.family if experiment.train.stream else None
    planned = {}
    for run, (name, seed) in runs(experiment).items():
        network = architecture(experiment.networks[name])
        train = train_block(experiment, name).model_dump()
        planned[run] = {
            "spec": json.dumps({"name": name, "network": network, "train": train}),
            "seed": seed,
            "code": training_code(network["model"], streamed),
        }
    return planned


def recording_jobs(experiment: Experiment) -> Jobs:
    """One for each entry of the block ``record``; every run has each of them."""
    code = code_hash("flowsim.recording.record")
    return {
        split: {"spec": block.model_dump_json(), "code": code} for split, block in experiment.record.items()
    }


def analysis_jobs(experiment: Experiment) -> Jobs:
    """One for each analysis; every run has each of them."""
    return {
        name: {
            "spec": json.dumps(settings),
            "reads": ideas.load("analysis", name).READS,
            "code": code_hash(*analysis_modules(name, settings), without=["flowsim.figures"]),
            "figure_code": code_hash(f"analysis.{name}", "flowsim.figures.plot", "flowsim.files.results"),
        }
        for name, settings in experiment.analyse.items()
    }
