"""What does a stimulus look like? A contact sheet of a few trials, and the same trials as an animation.

Whatever the specification says, only a few trials are made: a look takes seconds. Frames are enlarged by
whole factors, so that single pixels are seen, and what is known of each trial is written beside it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from math import ceil
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
from flowsim.files.outputs import MARK
from flowsim.scenes.control import drawn

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image, ImageFont

TRIALS = 3
"""Rows at most, where a row is a trial."""
VELOCITIES = 9
"""Rows at most, where a row is a flow of a probe or a velocity of a sweep."""
FRAMES = 60
"""Frames of a trial at most."""
OBJECTS = 3
"""Objects at most whose truth is written beside a trial."""
KEEP = "\N{NO-BREAK SPACE}"
"""Keeps words on one line, such as a number and its unit."""

DPI = int(plot.STYLE["savefig.dpi"])
SHEET_WIDTH = 1200
"""Of the frames on the contact sheet, in px, as are the next three."""
SHEET_TOP = 60
LINE_HEIGHT = 24
LETTER_WIDTH = 11
LINE_LETTERS = 38
"""Letters of a line of text at most."""
COLUMNS = 8
"""Frames in a row of the contact sheet at most; half as many at least."""
GROUND = "#d5e3f0"
"""Behind the frames, which are grey."""

SCREEN = 960
"""Width of the animation in px, as are the next two."""
GAP = 6
FONT = 10
TEXT_GREY, EDGE_GREY = 40, 128
FRAME_MS, LAST_FRAME_MS = 120, 700
"""How long a frame of the animation is seen, and the last one."""


class Sample(NamedTuple):
    """A few trials of a stimulus.

    Attributes
    ----------
    frames : array (row, time, y, x)
        In [0, 1].
    names : list of str
        What each row is.
    truth : list of list of str
        What is known of each row, in lines of text.
    """

    frames: np.ndarray
    names: list[str]
    truth: list[list[str]]


def family_and_spec(name: str, split: str) -> tuple[str, dict[str, Any]]:
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


def sample(family: str, split: str, spec: Mapping[str, Any], seed: int = 0) -> Sample:
    """A few trials of a stimulus, or one trial under the flows of its probe.

    Raises
    ------
    InputError
        If there is no such family or split, or the specification does not fit it.
    """
    generate = ideas.load("stimuli", family).generate
    arguments = specification.arguments(generate, spec, f"stimulus {family}", given=("split", "rng"))
    rows_are_trials = split in ("train", "valid", "test")
    if "trials" in arguments:
        arguments["trials"] = TRIALS if rows_are_trials else 1
    stimulus = drawn(generate, split, np.random.default_rng(seed), **arguments)
    axis = "flow" if "flow" in stimulus.dims else "trial"
    if axis == "flow":
        stimulus = stimulus.isel(trial=0)
    count = min(stimulus.sizes[axis], TRIALS if rows_are_trials else VELOCITIES)
    rows = np.linspace(0, stimulus.sizes[axis] - 1, count).round().astype(int)
    stimulus = stimulus.isel({axis: rows, "time": slice(FRAMES)})
    with dask.config.set(scheduler="synchronous"):  # rendering has threads of its own
        frames = stimulus.frames.transpose(axis, "time", "y", "x").values
    each = [stimulus.isel({axis: i}) for i in range(count)]
    if "condition" in stimulus.coords:
        truth = [[named_value(one.condition), *trial_truth(one)] for one in each]
    elif axis == "flow":
        truth = [
            ["reference", *trial_truth(one)] if _at_rest(one) else [velocity_text(one, "flow_", "")]
            for one in each
        ]
    else:
        truth = [trial_truth(one) for one in each]
    return Sample(frames, [f"{axis} {row}" for row in rows], truth)


def _at_rest(one: xr.Dataset) -> bool:
    """Whether one flow of a probe has velocity 0: it is the reference, wherever it stands."""
    components = [c for name, c in one.coords.items() if str(name).startswith("flow_") and not c.ndim]
    return not any(bool(component) for component in components)


def trial_truth(trial: xr.Dataset) -> list[str]:
    """Label and velocity of each object of one trial, where there are any, one line each."""
    objects = [trial]
    if "object" in trial.dims:
        objects = [trial.isel(object=k) for k in range(trial.sizes["object"])]
    lines = []
    for one in objects:
        at_start = one.isel(time=0)
        parts = [label_text(at_start), velocity_text(at_start, "velocity_", "at rest")]
        lines.append(": ".join(part for part in parts if part))
    lines = [line for line in lines if line]
    if len(lines) > OBJECTS:
        lines = [*lines[:OBJECTS], f"and {len(lines) - OBJECTS} more"]
    velocities = [coord for name, coord in trial.coords.items() if str(name).startswith("velocity_")]
    if any("time" in velocity.dims for velocity in velocities):
        lines.append("at frame 0")
    return lines


def label_text(one: xr.Dataset) -> str:
    """The label of one object in words, "" if it has none.

    The words are those of the label's attributes, where they name each value: ``flag_meanings``, or a
    ``long_name`` such as "action: 0 walking, 1 running".
    """
    if "label" not in one.coords or one.label.ndim:
        return ""
    return named_value(one.label)


def named_value(coordinate: xr.DataArray) -> str:
    """One whole number in the words of its attributes; see `label_text`."""
    value, attrs = int(coordinate), coordinate.attrs
    if "flag_meanings" in attrs:
        meanings = attrs["flag_meanings"].split()
        values = list(attrs.get("flag_values", range(len(meanings))))
        return str(meanings[values.index(value)])
    meaning = attrs.get("long_name", str(coordinate.name))
    word = re.search(rf"(?:^|[\s,:]){value} ([^\W\d]\w*)", meaning)
    return word[1] if word else f"{meaning} {value}"


def velocity_text(one: xr.Dataset, prefix: str, at_rest: str) -> str:
    """Velocity of one object or flow, with units; ``at_rest`` where all components are 0.

    Components of the same unit stand together; they are left out where they are 0 and others are not.
    """
    by_unit: dict[str, list[tuple[str, float]]] = {}
    for name, coord in one.coords.items():
        if str(name).startswith(prefix) and not coord.ndim:
            component = str(name).removeprefix(prefix)
            by_unit.setdefault(coord.attrs.get("units", ""), []).append((component, float(coord)))
    if not by_unit:
        return ""
    texts = []
    for unit, components in by_unit.items():
        if any(value for _, value in components):
            numbers = [f"{name}{KEEP}{f'{value:+.3g}' if value else 0}" for name, value in components]
            texts.append(f"{', '.join(numbers)}{KEEP}{unit}")
    return ", ".join(texts) if texts else at_rest


class _Layout(NamedTuple):
    """Of a contact sheet: which frames are columns, the texts of its rows, and sizes in pixels of a frame."""

    times: range
    texts: list[str]
    factor: int
    across: int
    down: int
    gap: int
    longest_line: int


def contact_sheet(few: Sample) -> Figure:
    """A row per trial or flow, its frames from left to right: each, or every so many if there are many."""
    from matplotlib.figure import Figure

    layout = _layout(few)
    times, gap, across, down = layout.times, layout.gap, layout.across, layout.down
    rows = {text: [frames[t] for t in times] for text, frames in zip(layout.texts, few.frames, strict=True)}
    margin = LETTER_WIDTH * (2 + layout.longest_line)
    frames_width = (across + 2 * gap) * layout.factor
    frames_height = (down + 2 * gap) * layout.factor
    width, height = margin + frames_width, SHEET_TOP + frames_height
    figure = Figure(figsize=(width / DPI, height / DPI))
    place = (margin / width, 0, frames_width / width, frames_height / height)
    ax = figure.add_axes(place, facecolor=GROUND)
    plot.mosaic(ax, rows, [f"frame {times[0]}", *map(str, times[1:])], "gray")
    ax.set(xlim=(-0.5 - gap, across + gap - 0.5), ylim=(down + gap - 0.5, -0.5 - gap))
    ax.tick_params(axis="y", labelsize=7)
    return figure


def _layout(few: Sample) -> _Layout:
    """As many columns as leave rows high enough for their texts; texts that still do not fit are cut."""
    rows, duration, height, width = few.frames.shape
    gap = max(1, width // 8)
    lines_of_rows = [
        [name, *(part for line in truth for part in wrap(line, LINE_LETTERS))]
        for name, truth in zip(few.names, few.truth, strict=True)
    ]
    most_lines = max(map(len, lines_of_rows))
    for columns in range(COLUMNS, COLUMNS // 2 - 1, -1):
        times = range(0, duration, ceil(duration / columns))
        across = len(times) * (width + gap) - gap
        factor = max(1, SHEET_WIDTH // across)
        fitting_lines = max(1, (height + gap) * factor // LINE_HEIGHT)
        if most_lines <= fitting_lines:
            break
    return _Layout(
        times=times,
        texts=["\n".join(lines[:fitting_lines]) for lines in lines_of_rows],
        factor=factor,
        across=across,
        down=rows * (height + gap) - gap,
        gap=gap,
        longest_line=max(len(line) for lines in lines_of_rows for line in lines),
    )


def animation(few: Sample, width: int = SCREEN) -> list[Image.Image]:
    """The rows side by side, about ``width`` px wide, one image per frame.

    More than four rows are put in a square.
    """
    from PIL import Image

    count, duration, frame_height, frame_width = few.frames.shape
    across = count if count <= TRIALS + 1 else ceil(np.sqrt(count))
    factor = max(1, (width - 2 - GAP * (across - 1)) // (across * frame_width))
    panel = frame_width * factor, frame_height * factor
    background, corners = _background(few.truth, across, panel)
    pixels = (255 * few.frames).round().astype(np.uint8)
    images = []
    for t in range(duration):
        image = background.copy()
        for corner, frames in zip(corners, pixels, strict=True):
            image.paste(Image.fromarray(frames[t]).resize(panel, Image.Resampling.NEAREST), corner)
        images.append(image)
    return images


def _background(
    truth: Sequence[Sequence[str]], across: int, panel: tuple[int, int]
) -> tuple[Image.Image, list[tuple[int, int]]]:
    """What does not move: outlines of the panels with the truth beneath; and the corner of each panel."""
    from matplotlib import get_data_path
    from PIL import Image, ImageDraw, ImageFont

    width, height = panel
    line_height = FONT + 3
    font = ImageFont.truetype(str(Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), FONT)
    captions = [[part for line in lines for part in wrapped(line, font, width)] for lines in truth]
    step_x = width + GAP
    step_y = height + GAP + max(map(len, captions)) * line_height
    down = ceil(len(captions) / across)
    image = Image.new("L", (across * step_x - GAP + 2, down * step_y), 255)
    pen = ImageDraw.Draw(image)
    corners = []
    for i, lines in enumerate(captions):
        row, column = divmod(i, across)
        left, top = 1 + column * step_x, 1 + row * step_y
        corners.append((left, top))
        pen.rectangle((left - 1, top - 1, left + width, top + height), outline=EDGE_GREY)
        for number, line in enumerate(lines):
            place = (left, top + height + 2 + number * line_height)
            pen.text(place, line.replace(KEEP, " "), fill=TEXT_GREY, font=font)
    return image, corners


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


def write_animation(images: Sequence[Image.Image], path: Path) -> None:
    """Write an animated GIF that starts again and again, with a pause before it does."""
    durations = [FRAME_MS] * (len(images) - 1) + [LAST_FRAME_MS]
    content = io.BytesIO()
    images[0].save(
        content,
        format="GIF",
        save_all=True,
        append_images=images[1:],
        duration=durations,
        loop=0,
        comment=MARK.encode(),
    )
    with whole(path, content.getbuffer().nbytes) as temporary:
        temporary.write_bytes(content.getbuffer())


def write(few: Sample, path: Path) -> None:
    """Write the contact sheet (.png), and the animation (.gif) beside it.

    Both are drawn before either is written.
    """
    figure, images = contact_sheet(few), animation(few)
    write_animation(images, path.with_suffix(".gif"))
    plot.save(figure, path)
