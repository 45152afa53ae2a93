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
from flowsim.experiment.read import architecture, runs, splits, training
from flowsim.files.code_hash import code_hash, training_code
from flowsim.files.provenance import checksum
from flowsim.splits import SEEDS
from flowsim.training.devices import pick_device


def jobs(path: str | Path) -> dict[str, Any]:
    """Read and check an experiment file; return its jobs by stage, as plain values.

    Raises
    ------
    InputError
        If the experiment would fail later on; see `flowsim.experiment.read.read`.
    """
    experiment = checked(path)
    family = experiment.stimulus.family
    networks = {name: architecture(settings) for name, settings in experiment.networks.items()}
    trainings = {name: training(experiment, name).model_dump() for name in networks}
    streamed = family if experiment.train.stream else None
    analyses = {name: ideas.load("analysis", name) for name in experiment.analyse}
    return {
        "specification": experiment.model_dump_json(),
        "family": family,
        "gpu": int(pick_device().type != "cpu"),
        "stimuli": {
            split: {
                "spec": json.dumps(experiment.stimulus.spec(split)),
                "seed": SEEDS[split],
                "code": code_hash("flowsim.files.netcdf", f"stimuli.{family}"),
            }
            for split in splits(experiment)
        },
        "runs": {
            run: {
                "spec": json.dumps({"name": name, "network": networks[name], "train": trainings[name]}),
                "seed": seed,
                "code": training_code(networks[name]["model"], streamed),
            }
            for run, (name, seed) in runs(experiment).items()
        },
        "recordings": {
            name: {"spec": block.model_dump_json(), "code": code_hash("flowsim.recording.record")}
            for name, block in experiment.record.items()
        },
        "analyses": {
            name: {
                "spec": json.dumps(experiment.analyse[name]),
                "reads": analysis.READS,
                "code": code_hash(
                    f"analysis.{name}", without=["flowsim.figures.plot", "flowsim.figures.velocity_plane"]
                ),
                "figure_code": code_hash(f"analysis.{name}", "flowsim.figures.plot", "flowsim.files.results"),
            }
            for name, analysis in analyses.items()
        },
        "report": code_hash("flowsim.views.report")
        + checksum(Path(__file__).parents[1] / "views" / "report.html.j2")[:16],
    }
