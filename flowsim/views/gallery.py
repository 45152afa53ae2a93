"""What stimuli are there? One page with a picture of each and a table of its arguments, from the stimuli
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
from flowsim.docstrings import described_arguments
from flowsim.errors import InputError
from flowsim.files.atomic import whole
from flowsim.views import preview
from flowsim.views.words import values_in_words

WITHHELD = {"moving_kth": "No picture is shown, since the videos may not be passed on."}
"""What the page says instead of a picture that must not be published."""
GIVEN = ("split", "rng", "frame_shape", "recording")
"""Arguments that no experiment sets."""
WIDTH = 328
"""Width of a picture in px: what a phone shows without shrinking it."""
HEAD = """# Stimuli

<!-- Made by `python -m flowsim gallery --into docs/stimuli.md` from docstrings and signatures. -->

Each stimulus is one file in `stimuli/`; an experiment file names it as its `family`. A picture
shows three trials of the split `test`, with every argument at its default, enlarged so that single pixels
can be seen. The ground truth of each object at the first frame stands below: its label, and its velocity in
the components `vy` (positive down), `vx` (positive right), `omega` (positive counter-clockwise) and
`expansion` (positive growing); components that are 0 are left out where those of another unit are not. To
look at other specifications:

```sh
python -m flowsim preview moving_digits --split probe --spec '{{"objects": 1}}' --into look.png
python -m flowsim preview experiments/digits.yaml --split train --into look.png
```

{contents}"""
REFERENCE = re.compile(r"As in `stimuli\.(\w+)`([.;,]?)")


def write(names: Sequence[str], path: Path) -> None:
    """Write the page of these stimuli, and their pictures into the folder of its name beside it.

    Raises
    ------
    InputError
        If the folder cannot be written to, or a stimulus cannot be made with its defaults.
    """
    text = gallery_page(names, path.stem)
    for name in names:
        if name in WITHHELD:
            continue
        try:
            few = preview.sample(name, "test", {})
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
        preview.write_animation(preview.animation(few, WIDTH), path.with_suffix("") / f"{name}.gif")
    with whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def gallery_page(names: Sequence[str], folder: str) -> str:
    """The page of these stimuli, in Markdown, with pictures in ``folder``."""
    modules = {name: ideas.load("stimuli", name) for name in names}
    contents = "\n".join(f"- [{name}](#{name}): {headline(module)}" for name, module in modules.items())
    parts = [HEAD.format(contents=contents)]
    for name, module in modules.items():
        picture = WITHHELD.get(name, f"![Three trials of {name}, moving]({folder}/{name}.gif)")
        parts += [f"## {name}", *opening(module), picture, argument_table(module.generate)]
        splits = with_links(parameter_texts(module.generate).get("split", ""))
        if splits:
            parts.append(f"**Splits.** {splits}")
    return "\n\n".join(parts) + "\n"


def opening(module: ModuleType) -> list[str]:
    """How its docstring opens: the first line and the first paragraph, with the formula in it, if any."""
    first, *others = (inspect.getdoc(module) or "").split("\n\n")
    parts = [first]
    for text in others:
        if text.endswith(":") or text.startswith(("Source", "After")):
            break
        parts.append(text)
        if text.endswith(".") and not _is_formula(text):
            break
    if len(parts) == 2 and not _is_formula(parts[1]):
        parts = [" ".join(parts)]
    return [text if _is_formula(text) else one_line(text) for text in parts]


def _is_formula(paragraph: str) -> bool:
    """Whether a paragraph of a docstring is indented."""
    return paragraph.startswith(" ")


def headline(module: ModuleType) -> str:
    """The first paragraph of its docstring, as one line of Markdown."""
    return one_line((inspect.getdoc(module) or "").split("\n\n")[0])


def argument_table(function: Callable[..., Any]) -> str:
    """Arguments of ``generate``, or of another function of ideas, that an experiment sets: their values,
    default and meaning.
    """
    hints, texts = get_type_hints(function, include_extras=True), parameter_texts(function)
    rows = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name in GIVEN:
            continue
        meaning = without_reference(texts.get(name, ""), name)
        if not meaning and name.startswith(("sweep_", "probe_")):
            meaning = "See splits."
        values = values_in_words(TypeAdapter(hints[name]).json_schema())
        rows.append((f"`{name}`", values, f"`{json.dumps(parameter.default)}`", meaning))
    return markdown_table(("argument", "values", "default", "meaning"), rows)


def markdown_table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in (heading, ["---"] * len(heading), *rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in escaped)


def parameter_texts(function: Callable[..., Any]) -> dict[str, str]:
    """What a numpy docstring says of each parameter, as one line of Markdown."""
    return {name: one_line(text) for name, text in described_arguments(function).items()}


def without_reference(text: str, name: str) -> str:
    """The description of one parameter, with links.

    If it is nothing but "As in `stimuli.moving_digits`.", it is what is written there.
    """
    reference = REFERENCE.match(text)
    if reference and reference.end() == len(text):
        generate = ideas.load("stimuli", reference[1]).generate
        return without_reference(parameter_texts(generate).get(name, ""), name)
    return with_links(text)


def with_links(text: str) -> str:
    """A description with links to the stimuli it refers to."""
    return REFERENCE.sub(r"As in [\1](#\1)\2", text)


def one_line(text: str) -> str:
    """Text of a docstring as one line of Markdown."""
    return " ".join(text.split()).replace("``", "`")
