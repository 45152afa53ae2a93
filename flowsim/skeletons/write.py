"""Write a working skeleton of an idea of one's own, with its test, into the working directory.

The templates beside this file are complete ideas: they run, and their tests pass, before anything is changed.
"""

from __future__ import annotations

import inspect
import json
import keyword
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment

from flowsim import ideas
from flowsim.errors import InputError
from flowsim.experiment.json_schema import experiment_schema
from flowsim.files.atomic import whole
from flowsim.files.outputs import protect

PACKAGE = {"stimulus": "stimuli", "network": "flowsim.models", "analysis": "analysis"}
"""Where an idea of each kind belongs."""
KINDS = ("experiment", *PACKAGE)
SCHEMA = Path("experiments") / "experiment.schema.json"
"""Beside the experiments, which name it in their first line, so that editors check and complete them."""
LONGEST_NAME = 100
SIZE = {"height": 16, "width": 16}
SPLITS: dict[str, dict[str, int]] = {
    "train": {"trials": 256, "frames": 12},
    "valid": {"trials": 32, "frames": 12},
    "test": {"trials": 32, "frames": 12},
    "probe": {"trials": 8, "frames": 8},
}
"""What the skeleton of an experiment asks of its stimulus, where that has such arguments."""


def write(kind: str, name: str) -> list[Path]:
    """Write an idea and its test; return their paths, from the working directory on.

    Parameters
    ----------
    kind : {"experiment", "stimulus", "network", "analysis"}
        An experiment uses the ideas that are in the working directory, and ours beside them.
    name : str
        By which the command line and experiments call it.

    Raises
    ------
    InputError
        If the name is none that Python takes, or there is an idea or a file of this name.
    """
    if not name.isidentifier() or keyword.iskeyword(name) or not name.isascii() or len(name) > LONGEST_NAME:
        raise InputError(
            f"expected a name of at most {LONGEST_NAME} letters, digits and '_' that does not begin with a "
            f"digit, and is no word of Python; got {name!r}"
        )
    if kind in PACKAGE and name in ideas.names(PACKAGE[kind]):
        raise InputError(f"expected a name that is new; there is a {kind} {name!r}. Choose another one")
    idea, content = _idea(kind, name)
    test = Path("tests") / f"test_{kind}_{name}.py"
    texts = {idea: content, test: _rendered(f"test_{kind}.py", name=name)}
    for path in texts:
        if path.exists():
            raise InputError(f"{path} is there already, and is left as it is; choose another name")
    if kind == "experiment" or SCHEMA.exists():
        protect((SCHEMA, "a schema"))
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    if kind == "experiment" or SCHEMA.exists():
        write_schema(SCHEMA)
    return [*texts, *([SCHEMA] if SCHEMA.exists() else [])]


def write_schema(into: Path) -> None:
    """Write the JSON schema of experiment files, which knows the ideas of the working directory too."""
    with whole(into) as temporary:
        temporary.write_text(f"{json.dumps(experiment_schema(), indent=1)}\n", encoding="utf-8")


def _idea(kind: str, name: str) -> tuple[Path, str]:
    """Path and content of the file that is the idea."""
    if kind in PACKAGE:
        return Path(ideas.FOLDERS[PACKAGE[kind]]) / f"{name}.py", _rendered(f"{kind}.py")
    family = next(iter(ideas.own("stimuli")), "moving_digits")
    takes = inspect.signature(ideas.load("stimuli", family).generate).parameters
    analyses = ideas.own("analysis")
    reads = {ideas.load("analysis", analysis).READS for analysis in analyses}
    text = _rendered(
        "experiment.yaml",
        name=name,
        family=family,
        own_family=family in ideas.own("stimuli"),
        all=_in_a_line({key: value for key, value in SIZE.items() if key in takes}),
        splits={
            split: _in_a_line({key: value for key, value in settings.items() if key in takes})
            for split, settings in SPLITS.items()
        },
        models=ideas.own("flowsim.models"),
        analyses=analyses,
        recorded=sorted({"probe"} | reads - {"test"}),
    )
    return Path("experiments") / f"{name}.yaml", text


def _in_a_line(settings: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(settings), default_flow_style=True, sort_keys=False).strip()


def _rendered(template: str, **values: Any) -> str:
    text = files("flowsim.skeletons").joinpath(f"{template}.j2").read_text(encoding="utf-8")
    return Environment(keep_trailing_newline=True).from_string(text).render(values)
