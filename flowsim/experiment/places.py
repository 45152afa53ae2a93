"""Is a file what its place says? In a folder of results, the places are

    stimuli/<split>.h5   models/<run>.pt   recordings/<run>/<split>.h5   analyses/<analysis>/<run>.h5

and files say themselves what they are. In a sweep, "@" and what differs may stand behind a split, within a
run, and behind the run that an analysis is of. Files in other places, and those that say nothing, are taken
as they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flowsim.errors import InputError
from flowsim.splits import SPLIT_OF

VARIANT = "@"
"""Between the name of a thing and what differs at a point of a sweep; names of networks do not have it."""


@dataclass(frozen=True)
class Said:
    """What a file is; "" for what is not said.

    Attributes
    ----------
    split : str
        Of the stimulus.
    run : str
        Network and seed, such as fernn-seed0.
    analysis : str
    """

    split: str = ""
    run: str = ""
    analysis: str = ""


def from_json(text: Any) -> dict[str, Any]:
    """The mapping in an attribute; empty where there is none, in files of somebody else."""
    try:
        content = json.loads(text)
    except (TypeError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def said_by(attrs: Mapping[str, Any]) -> Said:
    """What the attributes of a file, or the content of a file of weights, say."""
    own = from_json(attrs.get("specification"))
    of_stimulus = own if attrs.get("stage") == "stimulus" else from_json(attrs.get("stimulus"))
    network, seed = (str(attrs.get(name, "")) for name in ("network", "seed"))
    network = str(attrs["name"]) if "best" in attrs and "name" in attrs else network
    split = str(of_stimulus.get("split", ""))
    return Said(
        split=split if split in SPLIT_OF else "",
        run=f"{network}-seed{seed}" if network and seed else "",
        analysis=str(own.get("analysis", "")),
    )


def place_of(path: Path) -> Said:
    """What the place of a file says."""
    path = path.absolute()
    folder, above = path.parent.name, path.parent.parent.name
    name = path.stem.partition(VARIANT)[0]
    split = name if name in SPLIT_OF else ""
    if folder == "stimuli":
        return Said(split=split)
    if folder == "models":
        return Said(run=run_in(path.stem))
    if above == "recordings" and run_in(folder):
        return Said(split=split, run=run_in(folder))
    if above == "analyses" and run_in(path.stem):
        return Said(run=run_in(path.stem), analysis=folder)
    return Said()


def run_in(name: str) -> str:
    """The run that a name begins with; "" if it is none of a run."""
    found = re.fullmatch(rf"(.+-seed\d+)({VARIANT}.*)?", name)
    return found[1] if found else ""


def require_place(path: Path, said: Said, written: bool = False) -> None:
    """Raise InputError if a file is another than its place says.

    Parameters
    ----------
    path : Path
    said : Said
        What the file is.
    written : bool
        Whether it is still to be written.
    """
    expected = asdict(place_of(path))
    for name, value in asdict(said).items():
        if value and expected[name] and value != expected[name]:
            do = "Write it to a place of its own" if written else "Put the right file there, or make it again"
            verb = "would be" if written else "is"
            raise InputError(
                f"{path}: expected {name} {expected[name]} in this place; the file {verb} of {name} {value}. "
                f"{do}"
            )


def require_split(path: Path, said: Said, split: str, what: str) -> None:
    """Raise InputError if a file says that it is of another split than ``what`` needs."""
    if said.split and said.split != split:
        raise InputError(
            f"{path}: expected split {split}, for {what}; the file is of split {said.split}. Give one of "
            f"split {split}"
        )
