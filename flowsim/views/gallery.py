"""What stimuli there are: one page with a picture of each and a table of its arguments, from the stimuli
themselves.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

from pydantic import TypeAdapter

from flowsim import ideas
from flowsim.errors import InputError
from flowsim.files.atomic import whole
from flowsim.views import preview

WITHHELD = {"moving_kth": "No picture is shown, since the videos may not be passed on."}
"""What the page says instead of a picture that must not be published."""
WIDTH = 328
"""Of a picture in px: as much as a phone shows without shrinking it."""
HEAD = """# Stimuli

<!-- Made by `python -m flowsim gallery --into docs/stimuli.md`, from docstrings and signatures. Change those.
-->

Each of these is one file in [`stimuli/`](../stimuli), and what an experiment file calls its `family`. A
picture shows three trials of the split `test`, with every argument at its default, enlarged so that single
pixels are seen. Beneath is the ground truth of each object at the first frame: its label, and its velocity in
the components `vy` (positive down), `vx` (positive right), `omega` (positive counter-clockwise) and
`expansion` (positive growing), of which those of a unit are left out where they are 0. Other specifications
are looked at by

```sh
python -m flowsim preview moving_digits --split probe --spec '{{"objects": 1}}' --into look.png
python -m flowsim preview experiments/digits.yaml --split train --into look.png
```

{contents}"""
KINDS = {
    "integer": "integer",
    "number": "number",
    "boolean": "true or false",
    "string": "text",
    "null": "null",
}
REFERENCE = re.compile(r"As in `stimuli\.(\w+)`([.;,]?)")


def write(names: Sequence[str], path: Path) -> None:
    """Write the page of these stimuli, and their pictures into the folder of its name beside it.

    Raises
    ------
    InputError
        If the folder cannot be written to, or a stimulus cannot be made by its defaults.
    """
    text = page(names, path.stem)
    for name in (name for name in names if name not in WITHHELD):
        try:
            shown = preview.few(name, "test", {})
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
        preview.animate(preview.animation(shown, WIDTH), path.with_suffix("") / f"{name}.gif")
    with whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def page(names: Sequence[str], folder: str) -> str:
    """The page of these stimuli, in Markdown, with pictures in ``folder``."""
    loaded = {name: ideas.load("stimuli", name) for name in names}
    contents = "\n".join(f"- [{name}](#{name}): {headline(module)}" for name, module in loaded.items())
    sections = [HEAD.format(contents=contents)]
    for name, module in loaded.items():
        picture = WITHHELD.get(name, f"![Three trials of {name}, moving]({folder}/{name}.gif)")
        sections += [f"## {name}", *summary(module), picture, table(module)]
        splits = linked(described(module.generate).get("split", ""))
        if splits:
            sections.append(f"**Splits.** {splits}")
    return "\n\n".join(sections) + "\n"


def summary(module: ModuleType) -> list[str]:
    """What its docstring opens with: one line, and the first paragraph, with the formula it holds, if any."""
    head, *others = (inspect.getdoc(module) or "").split("\n\n")
    parts = [head]
    for text in others:
        if text.endswith(":") or text.startswith(("Source", "After")):
            break
        parts.append(text)
        if text.endswith(".") and not text.startswith(" "):
            break
    if len(parts) == 2 and not parts[1].startswith(" "):
        parts = [" ".join(parts)]
    return [text if text.startswith(" ") else flat(text) for text in parts]


def headline(module: ModuleType) -> str:
    """The first line of its docstring."""
    return flat((inspect.getdoc(module) or "").split("\n\n")[0])


def table(module: ModuleType) -> str:
    """Arguments of ``generate`` with their values, default and meaning."""
    generate = module.generate
    hints, texts = get_type_hints(generate, include_extras=True), described(generate)
    rows = [("argument", "values", "default", "meaning"), ("---",) * 4]
    for name, parameter in inspect.signature(generate).parameters.items():
        if name not in ("split", "rng"):
            meaning = resolved(texts.get(name, ""), name)
            if not meaning and name.startswith(("sweep_", "probe_")):
                meaning = "See splits."
            default = json.dumps(parameter.default)
            rows.append((f"`{name}`", kind(TypeAdapter(hints[name]).json_schema()), f"`{default}`", meaning))
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows)


def described(function: Callable[..., Any]) -> dict[str, str]:
    """The texts of the numpy docstring's section Parameters, by the names of the parameters."""
    section = re.search(
        r"^Parameters\n-+\n(.*?)(?=^\w+\n-+$|\Z)", inspect.getdoc(function) or "", re.DOTALL | re.MULTILINE
    )
    texts: dict[str, str] = {}
    for names, text in re.findall(
        r"^(\S[^:\n]*).*\n((?:[ ]+.*\n|\n)*)", section[1] if section else "", re.MULTILINE
    ):
        texts |= dict.fromkeys((name.strip() for name in names.split(",")), flat(text))
    return texts


def resolved(text: str, name: str) -> str:
    """A description; if it is nothing but "As in `stimuli.moving_digits`.", what is written there."""
    reference = REFERENCE.match(text)
    if reference and reference.end() == len(text):
        return resolved(described(ideas.load("stimuli", reference[1]).generate).get(name, ""), name)
    return linked(text)


def linked(text: str) -> str:
    """A description with links to the stimuli it refers to."""
    return REFERENCE.sub(r"As in [\1](#\1)\2", text)


def flat(text: str) -> str:
    """Text of a docstring as one line of Markdown."""
    return " ".join(text.split()).replace("``", "`")


def kind(schema: dict[str, Any], many: bool = False) -> str:
    """The values that a JSON schema allows, in words; of a list's entries if ``many``."""
    if "anyOf" in schema:
        words = [kind(one) for one in schema["anyOf"]]
        return f"{', '.join(words[:-1])}, or {words[-1]}"
    if "const" in schema or "enum" in schema:
        values = [f"`{json.dumps(value)}`" for value in schema.get("enum", [schema.get("const")])]
        return " or ".join([", ".join(values[:-1]), values[-1]] if values[1:] else values)
    if schema.get("type") == "array":
        fixed = schema.get("prefixItems")
        if fixed:
            return f"[{', '.join(kind(one) for one in fixed)}]"
        return f"list{'s' * many} of {kind(schema.get('items', {}), many=True)}"
    word = KINDS.get(schema.get("type", ""), "anything")
    if word not in ("integer", "number"):
        return word
    word += "s" * many
    low, high = (
        schema.get(key, schema.get(f"exclusive{key.capitalize()}")) for key in ("minimum", "maximum")
    )
    if low is None and high is None:
        return word
    if high is None:
        return f"{word} {'≥' if 'minimum' in schema else '>'} {low:g}"
    if low is None:
        return f"{word} {'≤' if 'maximum' in schema else '<'} {high:g}"
    return f"{word} in {'[' if 'minimum' in schema else '('}{low:g}, {high:g}{']' if 'maximum' in schema else ')'}"
