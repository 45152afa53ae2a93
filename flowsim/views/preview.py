"""What does a stimulus look like? A contact sheet of a few trials, and the same trials as an animation.

Whatever the specification says, only a few trials are made: a look takes seconds. Frames are enlarged by
whole factors, so that single pixels are seen, and what is known of each trial is written beside it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any, NamedTuple

import dask
import numpy as np
import xarray as xr

from flowsim import ideas, specification
from flowsim.experiment.read import read
from flowsim.figures import plot
from flowsim.files.atomic import whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image, ImageFont

TRIALS, VELOCITIES = 3, 9
"""Rows at most: trials, or flows of a probe and velocities of a sweep."""
OBJECTS, COLUMNS, FRAMES = 3, 8, 60
"""Of so many objects the truth is told; so many frames are on the sheet, and in the animation."""
DPI = int(plot.STYLE["savefig.dpi"])
SHEET, TOP, LINE, LETTER, LETTERS = 1200, 60, 24, 11, 38
"""Px of the contact sheet: width of its frames, margin above, height of a line of text and width of a letter,
of which there are so many in a line.
"""
SCREEN, GAP, FONT, INK, EDGE = 960, 6, 10, 40, 128
"""Px of the animation: its width, distance between panels, size of its letters; and grey of these, and of
outlines.
"""
GROUND = "#d5e3f0"
"""Behind the frames, which are grey."""
KEEP = "\N{NO-BREAK SPACE}"
MS, PAUSE = 120, 700
"""How long a frame of the animation is seen, and the last one, in ms."""


class Shown(NamedTuple):
    """Frames (row, time, y, x) in [0, 1], what each row is, and what is known of it, in lines of text."""

    frames: np.ndarray
    names: list[str]
    truth: list[list[str]]


def chosen(name: str, split: str) -> tuple[str, dict[str, Any]]:
    """The family and the arguments for one split: of a stimulus by its name, or of an experiment by its file.

    Raises
    ------
    InputError
        If the experiment file cannot be used.
    """
    if not name.endswith((".yaml", ".yml")):
        return name, {}
    block = read(name).stimulus
    return block.family, block.spec(split)


def few(family: str, split: str, spec: Mapping[str, Any], seed: int = 0) -> Shown:
    """A few trials of a stimulus, or flows of its probe, which are those of one trial.

    Raises
    ------
    InputError
        If there is no such family or split, or the specification does not fit it.
    """
    generate = ideas.load("stimuli", family).generate
    arguments = specification.arguments(generate, spec, f"stimulus {family}", given=("split", "rng"))
    if "trials" in arguments:
        arguments["trials"] = TRIALS if split in ("train", "valid", "test") else 1
    made = generate(split, np.random.default_rng(seed), **arguments)
    row = "flow" if "flow" in made.dims else "trial"
    if row == "flow":
        made = made.isel(trial=0)
    most = TRIALS if split in ("train", "valid", "test") else VELOCITIES
    chosen = np.linspace(0, made.sizes[row] - 1, min(made.sizes[row], most)).round().astype(int)
    made = made.isel({row: chosen, "time": slice(FRAMES)})
    with dask.config.set(scheduler="synchronous"):  # rendering has threads of its own
        frames = made.frames.transpose(row, "time", "y", "x").values
    each = [made.isel({row: i}) for i in range(len(chosen))]
    truth = [known(one) for one in each]
    if row == "flow":
        truth = [["reference", *truth[0]], *([motion(one, "flow_", "")] for one in each[1:])]
    return Shown(frames, [f"{row} {i}" for i in chosen], truth)


def known(trial: xr.Dataset) -> list[str]:
    """Label and velocity of each object of one trial, where there are any, one line each."""
    objects = (
        [trial.isel(object=k) for k in range(trial.sizes["object"])] if "object" in trial.dims else [trial]
    )
    first = [one.isel(time=0) for one in objects]
    lines = [
        ": ".join(text for text in (named(one), motion(one, "velocity_", "at rest")) if text) for one in first
    ]
    lines = [line for line in lines if line]
    if len(lines) > OBJECTS:
        lines = [*lines[:OBJECTS], f"and {len(lines) - OBJECTS} more"]
    changing = any("time" in c.dims for name, c in trial.coords.items() if str(name).startswith("velocity_"))
    return [*lines, "at frame 0"] if changing else lines


def named(one: xr.Dataset) -> str:
    """The label of one object in words: as its attributes name it (``flag_meanings``, or "0 walking, 1 ..."),
    if so.
    """
    if "label" not in one.coords or one.label.ndim:
        return ""
    value, attrs = int(one.label), one.label.attrs
    if "flag_meanings" in attrs:
        values = list(attrs.get("flag_values", range(len(attrs["flag_meanings"].split()))))
        return str(attrs["flag_meanings"].split()[values.index(value)])
    what = attrs.get("long_name", "label")
    listed = re.search(rf"(?:^|[\s,:]){value} ([^\W\d]\w*)", what)
    return listed[1] if listed else f"{what} {value}"


def motion(one: xr.Dataset, prefix: str, rest: str) -> str:
    """Velocity of one object or flow, with units; ``rest`` where all components are 0. Components of a unit
    are told together, and not at all where they are 0 and others are not.
    """
    parts: dict[str, list[tuple[str, float]]] = {}
    for name, c in one.coords.items():
        if str(name).startswith(prefix) and not c.ndim:
            parts.setdefault(c.attrs.get("units", ""), []).append((str(name).removeprefix(prefix), float(c)))
    moving = {unit: of for unit, of in parts.items() if any(value for _, value in of)}
    texts = [
        ", ".join(f"{name}~{f'{v:+.3g}' if v else 0}" for name, v in of) + f"~{u}" for u, of in moving.items()
    ]
    texts = [text.replace("~", KEEP) for text in texts]
    return ", ".join(texts) if texts or not parts else rest


def sheet(shown: Shown) -> Figure:
    """The contact sheet: a row per trial or flow, its frames from left to right, every so many if there are
    many.
    """
    from matplotlib.figure import Figure

    height, width = shown.frames.shape[2:]
    gap = max(1, width // 8)
    each = zip(shown.names, shown.truth, strict=True)
    told = [[name, *(part for line in truth for part in wrap(line, LETTERS))] for name, truth in each]
    for columns in range(COLUMNS, COLUMNS // 2 - 1, -1):  # fewer where rows would be too low for what is told
        times = range(0, shown.frames.shape[1], -(-shown.frames.shape[1] // columns))
        down, across = len(told) * (height + gap) - gap, len(times) * (width + gap) - gap
        factor = max(1, SHEET // across)
        room = max(1, (height + gap) * factor // LINE)
        if max(map(len, told)) <= room:
            break
    texts = ["\n".join(lines[:room]) for lines in told]
    rows = {text: list(frames[list(times)]) for text, frames in zip(texts, shown.frames, strict=True)}
    margin = LETTER * (2 + max(len(line) for lines in told for line in lines))
    wide, high = (
        (across + 2 * gap) * factor,
        (down + 2 * gap) * factor,
    )  # a pixel of a frame is `factor` of the picture
    size = margin + wide, TOP + high
    figure = Figure(figsize=(size[0] / DPI, size[1] / DPI))
    ax = figure.add_axes((margin / size[0], 0, wide / size[0], high / size[1]), facecolor=GROUND)
    plot.mosaic(ax, rows, [f"frame {times[0]}", *map(str, times[1:])], "gray")
    ax.set(xlim=(-0.5 - gap, across + gap - 0.5), ylim=(down + gap - 0.5, -0.5 - gap))
    ax.tick_params(axis="y", labelsize=7)
    return figure


def animation(shown: Shown, width: int = SCREEN) -> list[Image.Image]:
    """The rows of ``shown`` side by side, about ``width`` px wide, one image per frame.

    More than four rows are put in a square.
    """
    from matplotlib import get_data_path
    from PIL import Image, ImageDraw, ImageFont

    count, times, high, wide = shown.frames.shape
    across = count if count <= TRIALS + 1 else int(np.ceil(np.sqrt(count)))
    factor = max(1, (width - 2 - GAP * (across - 1)) // (across * wide))
    panel = wide * factor, high * factor
    font = ImageFont.truetype(str(Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), FONT)
    captions = [[part for line in truth for part in wrapped(line, font, panel[0])] for truth in shown.truth]
    step = panel[0] + GAP, panel[1] + GAP + max(map(len, captions)) * (FONT + 3)
    corners = [(1 + i % across * step[0], 1 + i // across * step[1]) for i in range(count)]
    ground = Image.new("L", (across * step[0] - GAP + 2, -(-count // across) * step[1]), 255)
    pen = ImageDraw.Draw(ground)
    for (left, top), lines in zip(corners, captions, strict=True):
        pen.rectangle((left - 1, top - 1, left + panel[0], top + panel[1]), outline=EDGE)
        for i, line in enumerate(lines):
            pen.text(
                (left, top + panel[1] + 2 + i * (FONT + 3)), line.replace(KEEP, " "), fill=INK, font=font
            )
    pixels = (255 * shown.frames).round().astype(np.uint8)
    images = []
    for t in range(times):
        image = ground.copy()
        for corner, frames in zip(corners, pixels, strict=True):
            image.paste(Image.fromarray(frames[t]).resize(panel, Image.Resampling.NEAREST), corner)
        images.append(image)
    return images


def wrapped(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """A line of text as lines that are at most ``width`` px wide, if its words are."""
    lines: list[str] = []
    words = [word if font.getlength(word) <= width else word.replace(KEEP, " ") for word in text.split(" ")]
    for word in " ".join(words).split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def animate(images: Sequence[Image.Image], path: Path) -> None:
    """Write an animated GIF that starts again and again, with a pause before it does."""
    durations = [*[MS] * (len(images) - 1), PAUSE]
    with whole(path) as temporary:
        images[0].save(
            temporary, format="GIF", save_all=True, append_images=images[1:], duration=durations, loop=0
        )  # fmt: skip


def write(shown: Shown, path: Path) -> None:
    """Write the contact sheet (.png), and the animation (.gif) beside it; both are drawn before either is
    written.
    """
    figure, images = sheet(shown), animation(shown)
    animate(images, path.with_suffix(".gif"))
    plot.save(figure, path)
