"""Write what the pages take from the code.

In docs/architecture.md that is the tree of files, and the table of imports (`MAY_IMPORT` of
tests/test_architecture.py). What is said of a file of a wing is its line in the wing's ``__init__``; of any
other file, the first sentence of its docstring. The pages of docs/reference about networks, analyses and the
keys of an experiment are written as a whole, from docstrings, signatures and models.

Run ``make docs`` after a file was added, renamed or described anew.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, TypeAdapter
from pydantic_core import PydanticUndefined

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # for `analysis`, which is no part of the package flowsim

from flowsim import ideas  # noqa: E402
from flowsim.experiment.schema import Experiment, RangeBlock, StimulusBlock, SweepBlock  # noqa: E402
from flowsim.recording.settings import (  # noqa: E402
    BlankBlock,
    ExponentsBlock,
    FixedPointsBlock,
    InterventionBlock,
    RecordBlock,
    UnitsBlock,
)
from flowsim.training.settings import BudgetBlock, OwnTrainBlock, TrainBlock  # noqa: E402
from flowsim.views import gallery  # noqa: E402

PAGE = ROOT / "docs" / "architecture.md"
REFERENCE = ROOT / "docs" / "reference"
BLOCKS = {
    "The file": Experiment,
    "stimulus": StimulusBlock,
    "train": TrainBlock,
    "budget": BudgetBlock,
    "train of one network": OwnTrainBlock,
    "sweep": SweepBlock,
    "a range of a sweep": RangeBlock,
    "record": RecordBlock,
    "units": UnitsBlock,
    "blank": BlankBlock,
    "intervene": InterventionBlock,
    "fixed_points": FixedPointsBlock,
    "exponents": ExponentsBlock,
}
"""Headings of the page about experiments, and the model of each."""
MADE = "<!-- Made by docs/generate.py from the code. -->"
FOLDERS = ("flowsim", "stimuli", "analysis", "benchmarks")
INDENT = "    "
LONG = 80
"""Characters of a sentence that is shortened."""


def tree() -> str:
    """Every source file with a line about it, folder by folder."""
    lines = [line for folder in FOLDERS for line in lines_of(ROOT / folder)]
    width = max(len(name) for name, _ in lines) + 2
    return "\n".join(f"{name:{width}}{text}".rstrip() for name, text in lines)


def lines_of(folder: Path, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Name and description of a folder, of its files, and of the folders in it."""
    yield f"{INDENT * depth}{folder.name}/", first_sentence(folder / "__init__.py")
    described = rooms(folder / "__init__.py")
    for file in sorted(folder.iterdir()):
        if file.suffix in (".py", ".j2", ".yaml") and file.name != "__init__.py":
            name = file.stem if file.suffix == ".py" else file.name
            text = described.get(name) or first_sentence(file)
            yield f"{INDENT * (depth + 1)}{file.name}", text
    for inner in sorted(path for path in folder.iterdir() if any(path.glob("*.py"))):
        yield from lines_of(inner, depth + 1)


def first_sentence(file: Path) -> str:
    """The first sentence of a module's docstring, up to the first colon if it is long; "" without a file."""
    if file.suffix == ".j2":
        made = file.name.removesuffix(".j2")
        return f"the template of {made.replace('.html', '.py')}"
    if not file.exists():
        return ""
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    paragraph = " ".join(docstring.partition("\n\n")[0].split())
    sentence = re.split(r"(?<=[.?])\s", paragraph)[0].removesuffix(".")
    return sentence if len(sentence) <= LONG else re.split("[:;] ", sentence)[0]


def rooms(init: Path) -> dict[str, str]:
    """What the ``__init__`` of a wing says of each of its files: a name, two spaces or more, a text."""
    if not init.exists():
        return {}
    docstring = ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))) or ""
    return dict(re.findall(r"^(\S+) {2,}(\S.*)$", docstring, re.MULTILINE))


def imports() -> str:
    """The table of imports in Markdown."""
    architecture = runpy.run_path(str(ROOT / "tests" / "test_architecture.py"))
    rows = {name: ", ".join(sorted(others)) for name, others in architecture["MAY_IMPORT"].items()}
    rows |= dict.fromkeys(sorted(architecture["EVERYTHING"]), "everything")
    lines = [f"| `{name}` | {others or 'nothing'} |" for name, others in rows.items()]
    return "\n".join(["| | may import |", "|---|---|", *lines])


def page() -> str:
    """The page as it is, with the tree and the table as they ought to be."""
    text = PAGE.read_text(encoding="utf-8")
    for name, content in (("tree", f"```text\n{tree()}\n```"), ("imports", imports())):
        begin, end = f"<!-- {name}: written by docs/generate.py -->", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{begin}\n\n{content}\n\n{end}{after}"
    return text


def networks() -> str:
    """The page of all networks: what each is, and the arguments of its ``build``."""
    parts = [
        f"# Networks\n\n{MADE}",
        "Each network is one file in `flowsim/models/`; an experiment names it as `model`, and its arguments "
        "beside that. `flowsim models` prints parameters and laws.",
    ]
    for name in ideas.names("flowsim.models"):
        module = ideas.load("flowsim.models", name)
        parts += [f"## {name}", *described(module), arguments(module.build)]
    return "\n\n".join(parts) + "\n"


def analyses() -> str:
    """The page of all analyses: question, how to read the figure, and the arguments of ``analyse``."""
    parts = [
        f"# Analyses\n\n{MADE}",
        "Each analysis is one file in `analysis/`; an experiment names it in its block `analyse`. It reads "
        "the recording of one split.",
    ]
    for name in ideas.names("analysis"):
        module = ideas.load("analysis", name)
        parts += [f"## {name}", f"**{module.QUESTION}** It reads the split `{module.READS}`."]
        parts += [*described(module), f"*The figure.* {module.READING}", arguments(module.analyse)]
        parts.append(f"An example: {{doc}}`/gallery_built/plot_{name}`.")
    return "\n\n".join(parts) + "\n"


def described(module: object) -> list[str]:
    """Its docstring in Markdown: paragraphs as lines, indented formulas as code, the text as it stands."""
    paragraphs = (inspect.getdoc(module) or "").split("\n\n")
    return [
        f"```text\n{text}\n```" if text.startswith(" ") else gallery.one_line(text) for text in paragraphs
    ]


def arguments(function: object) -> str:
    """The table of its arguments; a sentence where there is none to set."""
    table = gallery.argument_table(function)
    return table if table.count("\n") > 1 else "There is nothing to set."


def experiment() -> str:
    """The page of all keys of an experiment file."""
    parts = [
        f"# The experiment file\n\n{MADE}",
        "An experiment is one YAML file in `experiments/`. Unknown keys, and values of another type, are "
        "errors that name the key. `flowsim validate FILE` checks one.",
    ]
    for heading, model in BLOCKS.items():
        parts += [f"## {heading}", *described(model), keys(model)]
    return "\n\n".join(parts) + "\n"


def keys(model: type[BaseModel]) -> str:
    """A row for each key of a model: values, default, meaning."""
    rows = []
    for name, field in model.model_fields.items():
        is_block = isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        default = "needed" if field.default is PydanticUndefined else "see below"
        if default != "needed" and not isinstance(field.default, BaseModel):
            default = f"`{json.dumps(field.default)}`"
        annotation = field.annotation
        for constraint in field.metadata:
            annotation = Annotated[annotation, constraint]
        values = "a block, see below" if is_block else values_of(annotation)
        rows.append((f"`{name}`", values, default, gallery.one_line(field.description or "")))
    return gallery.markdown_table(("key", "values", "default", "meaning"), rows)


def values_of(annotation: object) -> str:
    """What a key may be, in words."""
    schema = TypeAdapter(annotation).json_schema()
    if schema.get("type") == "object" or "$defs" in schema:
        return "a block"
    return gallery.values_in_words(schema)


def pages() -> dict[Path, str]:
    """Every page that is written here, as it ought to be."""
    return {
        PAGE: page(),
        REFERENCE / "networks.md": networks(),
        REFERENCE / "analyses.md": analyses(),
        REFERENCE / "experiment.md": experiment(),
    }


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
