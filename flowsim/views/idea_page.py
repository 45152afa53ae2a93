"""One stimulus, network or analysis, with all that one needs to use it in an experiment."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from typing import Any

from tabulate import tabulate

from flowsim import ideas
from flowsim.docstrings import described_arguments
from flowsim.network import begin
from flowsim.specification import model_of
from flowsim.views.model_table import law_and_source
from flowsim.views.words import values_in_words

WIDTH = 100
"""Characters of a line."""
KEYS = {
    "stimuli": "stimulus: {{family: {name}, all: {{...}}}}",
    "flowsim.models": "networks: {{a_name: {{model: {name}, ...}}}}",
    "analysis": "analyse: {{{name}: {{...}}}}",
}
"""Where the idea stands in an experiment file."""


def idea_page(package: str, name: str) -> str:
    """What an idea is, and its arguments with their types, defaults and meanings, as text.

    Raises
    ------
    InputError
        If there is no such idea, or it cannot be used.
    """
    module = ideas.load(package, name)
    function, given = ideas.CONTRACT[package]
    facts = {"file": ideas.file_of(module), "in a file": KEYS[package].format(name=name)}
    common = None
    if package == "flowsim.models":
        facts |= law_and_source(name)
        given, common = (*given, "network", "where"), begin
    if package == "analysis":
        facts |= {
            "reads": f"recordings of {module.READS}",
            "question": module.QUESTION,
            "reading": module.READING,
        }
    lines = [f"{name}: {inspect.getdoc(module) or ''}".rstrip(), ""]
    for label, text in facts.items():
        filled = textwrap.fill(text, WIDTH, initial_indent=f"{label:11}", subsequent_indent=" " * 11)
        lines += [filled] if text else []
    return "\n".join([*lines, "", arguments(getattr(module, function), given, common)])


def arguments(
    function: Callable[..., Any], given: tuple[str, ...], common: Callable[..., Any] | None = None
) -> str:
    """The settings of a function as a table; those of ``common`` are the last."""
    schema = model_of(function, given, common).model_json_schema()
    definitions = schema.get("$defs", {})
    meanings = described_arguments(common) if common else {}
    meanings |= described_arguments(function)
    rows = [
        {
            "argument": name,
            "type": "\n".join(textwrap.wrap(values_in_words(of, definitions).replace("`", ""), 30)),
            "default": "needed" if name in schema.get("required", []) else yaml_value(of.get("default")),
            "meaning": "\n".join(textwrap.wrap(meanings.get(name, ""), 52)),
        }
        for name, of in schema.get("properties", {}).items()
    ]
    return tabulate(rows, headers="keys") if rows else "It has no arguments."


def yaml_value(value: Any) -> str:
    """A default as an experiment file has it."""
    plain = {None: "null", True: "true", False: "false"}
    text = plain[value] if value is None or isinstance(value, bool) else str(value)
    return "\n".join(textwrap.wrap(text, 20))
