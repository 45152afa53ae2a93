"""The KTH human action videos (Schuldt, Laptev and Caputo 2004), from a folder that the user names.

25 persons perform six actions in four scenarios: 599 videos (one of 600 is missing) of 160x120 px at 25
frames/s, named ``person<nn>_<action>_d<scenario>_uncomp.avi``. Their annotation, ``00sequences.txt``, gives
the ranges of frames, four in nearly all videos, in which the action is seen; it counts frames from 1 and
names the first and the last. The videos may not be redistributed, and are never downloaded.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from flowsim.errors import InputError
from flowsim.scenes.sources.folders import DATA, named
from flowsim.scenes.sources.videos import decoded, lengths
from flowsim.scenes.sources.videos import windows as _windows
from flowsim.splits import SPLIT_OF, check_split

ACTIONS = ("boxing", "handclapping", "handwaving", "jogging", "running", "walking")
"""By their labels, 0 to 5."""
PERSONS = {
    "train": (11, 12, 13, 14, 15, 16, 17, 18),
    "valid": (19, 20, 21, 23, 24, 25, 1, 4),
    "test": (22, 2, 3, 5, 6, 7, 8, 9, 10),
}
"""Of each split, as the head of ``00sequences.txt`` states it (Schuldt et al. 2004)."""
SPLITS = {
    "schuldt": PERSONS,
    "keller": {"train": tuple(range(1, 17)), "valid": tuple(range(17, 21)), "test": tuple(range(21, 26))},
}
"""Published splits by person: that of the database, and that of the code released with Keller (2025)."""
ANNOTATION = "00sequences.txt"
HOME = "https://www.csc.kth.se/cvap/actions/"
NAMED = 6
"""So many videos are named in a message; of more, only how many."""
LINE = re.compile(rf"(person\d\d_({'|'.join(ACTIONS)})_d\d)\s+(?:frames\s+([\d\s,-]+)|\*missing\*)")
RANGE = re.compile(r"\s*(\d+)\s*-\s*(\d+)\s*")


def found(folder: str | None) -> Path:
    """The folder of the videos: as named, or FLOWSIM_DATA's sub-folder ``kth``, or FLOWSIM_DATA itself.

    Raises
    ------
    InputError
        If it does not hold the annotation.
    """
    places = [Path(folder).expanduser()] if folder is not None else named("kth")
    for place in places:
        if (place / ANNOTATION).is_file():
            return place
    looked = f"found none in {' or '.join(map(str, places))}" if places else "no folder of them was named"
    raise InputError(
        f"expected the KTH action videos and their annotation {ANNOTATION}; {looked}. Get them from {HOME}, unpack "
        f"all into one folder, and name it by the argument folder or the environment variable {DATA}"
    )


def annotated(annotation: Path) -> pd.DataFrame:
    """All annotated ranges: video, person, label, scenario, sequence (from 1), first and last frame (from 1).

    Raises
    ------
    InputError
        If it cannot be understood.
    """
    rows = []
    for number, line in enumerate(annotation.read_text("utf-8", errors="replace").splitlines(), 1):
        if not re.match(r"person\d\d_", line):
            continue
        entry = LINE.fullmatch(line.strip())
        ranges = [RANGE.fullmatch(text) for text in entry[3].split(",")] if entry and entry[3] else []
        if entry is None or not all(r and 1 <= int(r[1]) <= int(r[2]) for r in ranges):
            raise InputError(f"{annotation}, line {number}: expected a video and its ranges, such as "
                             f"'person01_boxing_d1 frames 1-95, 96-185'; got {line!r}. Get it from {HOME}")  # fmt: skip
        name = entry[1]
        of = (name, int(name[6:8]), ACTIONS.index(entry[2]), int(name[-1]))
        rows += [(*of, k, int(r[1]), int(r[2])) for k, r in enumerate(ranges, 1) if r]
    if not rows:
        raise InputError(
            f"{annotation}: expected the annotation of the KTH videos; it names none. Get it from {HOME}"
        )
    return pd.DataFrame(rows, columns=["video", "person", "label", "scenario", "sequence", "first", "last"])


def files(folder: Path) -> dict[str, Path]:
    """The videos in a folder, and in folders within it, by their names without "_uncomp"."""
    paths = sorted(
        [*folder.glob("*.avi"), *folder.glob("*/*.avi")], reverse=True
    )  # of two copies the first counts
    return {path.stem.removesuffix("_uncomp"): path for path in paths}


def kept(folder: str | None, frame_shape: tuple[int, int]) -> Path:
    """The file that keeps the decoded videos; see `flowsim.scenes.sources.videos.decoded`."""
    return decoded(files(found(folder)), frame_shape, "kth")


def ranges(
    split: str,
    folder: str | None,
    frame_shape: tuple[int, int],
    incomplete: bool,
    frames: int,
    persons: str = "schuldt",
) -> pd.DataFrame:
    """The annotated ranges of a split that are at least ``frames`` long, as of `annotated`; decodes the
    videos.

    Raises
    ------
    InputError
        If the folder does not hold all that the annotation names, whole, and no more, unless ``incomplete``,
        which warns instead; or if nothing is left.
    """
    check_split(split)
    where = found(folder)
    table, videos = annotated(where / ANNOTATION), files(where)
    wanted = set(table.video)
    faults = {
        "missing": sorted(wanted - set(videos)),
        "without annotation": sorted(set(videos) - wanted),
        "damaged": [],
        "beyond the end of its video": [],
    }
    if not incomplete:
        complain(where, faults)
    count, broken = lengths(decoded(videos, frame_shape, "kth"))
    faults["damaged"] = [f"{name}: {why}" for name, why in broken.items() if name in wanted]
    table = table[table.video.isin(count)]
    beyond = table["last"] > table.video.map(count)
    past = table.loc[beyond, ["video", "first", "last"]].to_numpy().tolist()
    faults["beyond the end of its video"] = [
        f"{v} {first}-{last} of {count[v]} frames" for v, first, last in past
    ]
    if incomplete:
        warn(where, faults)
    else:
        complain(where, faults)
    own = SPLITS[persons][SPLIT_OF[split]]
    table = table[~beyond & table.person.isin(own)]
    if table.empty:
        raise InputError(f"{where}: expected videos of the persons of split {split!r}, {', '.join(map(str, own))}; "
                         "there is none that can be used")  # fmt: skip
    length = table["last"] - table["first"] + 1
    if length.max() < frames:
        raise InputError(
            f"frames: expected at most {length.max()}, the longest annotated range; got {frames}"
        )
    return table[length >= frames].reset_index(drop=True)


def told(faults: dict[str, list[str]]) -> str:
    """What is wrong, in words; empty if nothing is."""
    parts = []
    for what, names in faults.items():
        if names:
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            thing = "range" if "end" in what else "video"
            parts.append(
                f"{len(names)} {thing}{'s' * (len(names) > 1)} {what} ({', '.join(names[:NAMED])}{more})"
            )
    return "; ".join(parts)


def complain(folder: Path, faults: dict[str, list[str]]) -> None:
    """Raise an error if anything is wrong."""
    if told(faults):
        raise InputError(f"{folder}: expected every annotated video, whole, and no other; {told(faults)}. Get them "
                         f"again from {HOME}, or use the rest by incomplete: true")  # fmt: skip


def warn(folder: Path, faults: dict[str, list[str]]) -> None:
    """Warn of what is left out."""
    if told(faults):
        warnings.warn(f"{folder}: left out {told(faults)}", stacklevel=4)


def windows(
    folder: str | None, person: np.ndarray, label: np.ndarray, scenario: np.ndarray, first: np.ndarray,
    frames: int, frame_shape: tuple[int, int],
) -> np.ndarray:  # fmt: skip
    """Frames (trial, time, y, x) in uint8; ``first`` (trial,) counts as the annotation does, from 1."""
    names = [f"person{p:02}_{ACTIONS[k]}_d{d}" for p, k, d in zip(person, label, scenario, strict=True)]
    return _windows(kept(folder, frame_shape), names, first - 1, frames)
