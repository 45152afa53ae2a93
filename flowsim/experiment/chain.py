"""Are the files of an experiment made from each other, and as its file says? Every file names the sums of its
inputs; these are compared all the way from results to stimuli.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from flowsim import ideas, specification
from flowsim.errors import InputError
from flowsim.experiment.places import from_json, require_place, said_by
from flowsim.experiment.read import architecture, runs, train_block
from flowsim.experiment.schema import Experiment
from flowsim.experiment.sweep import Point, points
from flowsim.files.netcdf import read_attributes
from flowsim.files.provenance import checksum
from flowsim.splits import SEEDS
from flowsim.training import weights
from flowsim.training.settings import SAME_RESULT, RunBlock


def require_chain(experiment: Experiment, results: Path, missing: Collection[Path] = ()) -> None:
    """Raise InputError unless each file that is there is what its place says, was made as the experiment
    says, and from the files that are there.

    A file that is not there any more, such as a recording that was removed to save room, is not asked for;
    nor is a file that does not say from what it was made.

    Parameters
    ----------
    experiment : Experiment
        With a sweep, the files of all its points.
    results : Path
        The experiment's folder.
    missing : collection of Path
        Results that were not made now, whatever is there; what only they were made from is not asked for.
    """
    sum_of = cache(checksum)
    known: set[Path] = set()
    for point in points(experiment):
        _require_chain_of(point, results, missing, sum_of, known)


def _require_chain_of(
    point: Point, results: Path, missing: Collection[Path], sum_of: Any, known: set[Path]
) -> None:
    """`require_chain` for one point of a sweep, without the files that are ``known``, which gets its own."""

    def is_new(path: Path) -> bool:
        is_known = path in known
        known.add(path)
        return not is_known and path.is_file()

    experiment = point.experiment
    stimuli = {split: results / "stimuli" / f"{stem}.h5" for split, stem in point.stems.items()}
    for split, path in stimuli.items():
        if is_new(path):
            _require(path, read_attributes(path, "stimulus"), _stimulus(experiment, split), [], sum_of)
    analyses = {name: ideas.load("analysis", name) for name in experiment.analyse}
    for run, (network, seed) in runs(experiment).items():
        found = {
            name: results / "analyses" / name / f"{point.result(run, module.READS)}.h5"
            for name, module in analyses.items()
        }
        used = {module.READS for name, module in analyses.items() if found[name] not in missing}
        model = results / "models" / f"{run}.pt"
        if (used or not analyses) and is_new(model):
            content = weights.load(model, "weights")
            made_as = {"specification": _training(experiment, network), "seed": str(seed)}
            _require(model, content, made_as, [stimuli["train"], stimuli["valid"]], sum_of)
        recordings = {
            split: results / "recordings" / run / f"{point.stems[split]}.h5" for split in experiment.record
        }
        for split in used & set(recordings):
            path = recordings[split]
            if is_new(path):
                made_as = {"specification": experiment.record[split].model_dump()}
                _require(path, read_attributes(path, "recording"), made_as, [model, stimuli[split]], sum_of)
        for name, module in analyses.items():
            path = found[name]
            if path in missing or not is_new(path):
                continue
            given = specification.arguments(
                module.analyse, experiment.analyse[name], f"analyse.{name}", given=("recording",)
            )
            made_as = {"specification": {"analysis": name, **given}}
            _require(path, read_attributes(path, "analysis"), made_as, [recordings[module.READS]], sum_of)


def _stimulus(experiment: Experiment, split: str) -> dict[str, Any]:
    """How a stimulus file is made."""
    family = experiment.stimulus.family
    generate = ideas.load("stimuli", family).generate
    given = specification.arguments(
        generate, experiment.stimulus.spec(split), f"stimulus.{split}", given=("split", "rng")
    )
    return {"specification": {"family": family, "split": split, **given}, "seed": str(SEEDS[split])}


def _training(experiment: Experiment, network: str) -> dict[str, Any]:
    """How a network is trained, as far as it decides the weights at the end."""
    block = RunBlock(
        name=network,
        network=architecture(experiment.networks[network]),
        train=train_block(experiment, network),
    )
    return block.model_dump(exclude=SAME_RESULT)


def _require(
    path: Path, attrs: Mapping[str, Any], made_as: Mapping[str, Any], inputs: list[Path], sum_of: Any
) -> None:
    """Raise InputError unless a file is what its place says, made as it should be, from these inputs."""
    require_place(path, said_by(attrs))
    found = from_json(attrs.get("specification"))
    differs = difference(made_as["specification"], found)
    if differs:
        raise InputError(
            f"{path}: expected a file made by this experiment; {differs}. Make it again, or use another "
            "folder"
        )
    if "seed" in made_as and str(attrs.get("seed", made_as["seed"])) != made_as["seed"]:
        raise InputError(
            f"{path}: expected a file made with seed {made_as['seed']}; it was made with {attrs['seed']}. "
            "Make it again"
        )
    sums = from_json(attrs.get("inputs"))
    for source in inputs:
        if sums and source.is_file() and sum_of(source) not in sums.values():
            raise InputError(
                f"{path}: expected it to be made from {source}; it was made from another file than the one "
                f"there now (sha256 {sum_of(source)[:16]}). Make it again from this one"
            )


def difference(expected: Any, found: Any, name: str = "") -> str:
    """The first setting of both specifications in which they differ, in words; "" if there is none."""
    expected, found = json.loads(json.dumps([expected, found], default=str))
    if isinstance(expected, dict) and isinstance(found, dict):
        common = [key for key in expected if key in found]
        each = (difference(expected[key], found[key], f"{name}.{key}" if name else key) for key in common)
        return next((text for text in each if text), "")
    return "" if expected == found else f"{name} is {json.dumps(found)} instead of {json.dumps(expected)}"
