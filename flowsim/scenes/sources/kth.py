"""The KTH human action videos (Schuldt, Laptev and Caputo 2004), from a folder that the user names.

25 persons perform six actions in four scenarios: 599 videos (one of 600 is missing) of 160x120 px at 25
frames/s, named ``person<nn>_<action>_d<scenario>_uncomp.avi``. Their annotation, ``00sequences.txt``, gives
the ranges of frames in which the action is seen, four in nearly all videos; it counts frames from 1 and
includes both ends. The videos may not be redistributed, and are never downloaded.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from flowsim.errors import InputError
from flowsim.scenes.sources.folders import DATA, candidates
from flowsim.scenes.sources.videos import clips, decoded, lengths
from flowsim.splits import SPLIT_OF, check_split

ACTIONS = ("boxing", "handclapping", "handwaving", "jogging", "running", "walking")
"""In the order of their labels, 0 to 5."""
PERSONS = {
    "train": (11, 12, 13, 14, 15, 16, 17, 18),
    "valid": (19, 20, 21, 23, 24, 25, 1, 4),
    "test": (22, 2, 3, 5, 6, 7, 8, 9, 10),
}
"""Persons of each split, as the head of ``00sequences.txt`` states them (Schuldt et al. 2004)."""
SPLITS = {
    "schuldt": PERSONS,
    "keller": {"train": tuple(range(1, 17)), "valid": tuple(range(17, 21)), "test": tuple(range(21, 26))},
}
"""Published splits by person: that of the database, and that of the code released with Keller (2025)."""
ANNOTATION = "00sequences.txt"
HOME = "https://www.csc.kth.se/cvap/actions/"
NAMED = 6
"""How many videos a message names; it only counts the others."""
LINE = re.compile(rf"(person\d\d_({'|'.join(ACTIONS)})_d\d)\s+(?:frames\s+([\d\s,-]+)|\*missing\*)")
RANGE = re.compile(r"\s*(\d+)\s*-\s*(\d+)\s*")


def find_folder(folder: str | None) -> Path:
    """The folder of the videos: as named, or FLOWSIM_DATA's sub-folder ``kth``, or FLOWSIM_DATA itself.

    Raises
    ------
    InputError
        If none of these holds the annotation.
    """
    folders = [Path(folder).expanduser()] if folder is not None else candidates("kth")
    for candidate in folders:
        if (candidate / ANNOTATION).is_file():
            return candidate
    got = f"found none in {' or '.join(map(str, folders))}" if folders else "no folder of them was named"
    raise InputError(
        f"expected the KTH action videos and their annotation {ANNOTATION}; {got}. Get them from {HOME}, "
        "unpack all into one folder, and name it by the argument folder or the environment variable "
        f"{DATA}"
    )


def annotated(annotation: Path) -> pd.DataFrame:
    """All annotated ranges.

    Returns
    -------
    DataFrame
        One row per range: ``video``, ``person``, ``label``, ``scenario``, ``sequence`` (which of the video's
        ranges, from 1), ``first`` and ``last`` (frames, from 1).

    Raises
    ------
    InputError
        If a line of the annotation cannot be understood, or there is none.
    """
    rows = []
    for number, line in enumerate(annotation.read_text("utf-8", errors="replace").splitlines(), 1):
        if not re.match(r"person\d\d_", line):
            continue
        entry = LINE.fullmatch(line.strip())
        ranges = [RANGE.fullmatch(text) for text in entry[3].split(",")] if entry and entry[3] else []
        if entry is None or not all(r and 1 <= int(r[1]) <= int(r[2]) for r in ranges):
            raise InputError(
                f"{annotation}, line {number}: expected a video and its ranges, such as "
                f"'person01_boxing_d1 frames 1-95, 96-185'; got {line!r}. Get it from {HOME}"
            )
        name = entry[1]
        video = (name, int(name[6:8]), ACTIONS.index(entry[2]), int(name[-1]))
        rows += [(*video, k, int(r[1]), int(r[2])) for k, r in enumerate(ranges, 1) if r]
    if not rows:
        raise InputError(
            f"{annotation}: expected the annotation of the KTH videos; it names none. Get it from {HOME}"
        )
    return pd.DataFrame(rows, columns=["video", "person", "label", "scenario", "sequence", "first", "last"])


def files(folder: Path) -> dict[str, Path]:
    """The videos in a folder, and in folders within it at any depth, by their names without "_uncomp"."""
    paths = [path for path in folder.rglob("*") if path.suffix.lower() == ".avi" and path.is_file()]
    # in reverse, so that the first of two copies is the one that counts
    return {path.stem.removesuffix("_uncomp"): path for path in sorted(paths, reverse=True)}


def decoded_videos(folder: str | None, frame_shape: tuple[int, int]) -> Path:
    """The file of the decoded videos; see `flowsim.scenes.sources.videos.decoded`."""
    return decoded(files(find_folder(folder)), frame_shape, "kth")


def ranges(
    split: str,
    folder: str | None,
    frame_shape: tuple[int, int],
    incomplete: bool,
    frames: int,
    persons: str = "schuldt",
) -> pd.DataFrame:
    """The annotated ranges of a split that are at least ``frames`` long; decodes the videos.

    Parameters
    ----------
    split : str
    folder : str, optional
        See `find_folder`.
    frame_shape : (int, int)
        Of the decoded videos.
    incomplete : bool
        Warn of videos that are missing, damaged or not annotated instead of raising an error.
    frames : int
    persons : str
        Which of the published `SPLITS`.

    Returns
    -------
    DataFrame
        As of `annotated`.

    Raises
    ------
    InputError
        If the folder does not hold all annotated videos, whole, and no others, unless ``incomplete``; or if
        no range is left.
    """
    check_split(split)
    where = find_folder(folder)
    table = annotated(where / ANNOTATION)
    videos = files(where)
    annotated_videos = set(table.video)
    faults = {
        "missing": sorted(annotated_videos - set(videos)),
        "without annotation": sorted(set(videos) - annotated_videos),
    }
    if not incomplete:
        _check_complete(where, faults)  # before all videos are decoded, which takes minutes
    count, damaged = lengths(decoded(videos, frame_shape, "kth"))
    table = table[table.video.isin(count)]
    beyond_end = table["last"] > table.video.map(count)
    faults["damaged"] = [f"{name}: {why}" for name, why in damaged.items() if name in annotated_videos]
    faults["beyond the end of its video"] = [
        f"{video} {first}-{last} of {count[video]} frames"
        for video, first, last in table.loc[beyond_end, ["video", "first", "last"]].to_numpy().tolist()
    ]
    if not incomplete:
        _check_complete(where, faults)
    elif any(faults.values()):
        warnings.warn(f"{where}: left out {_summary(faults)}", stacklevel=3)
    of_split = SPLITS[persons][SPLIT_OF[split]]
    table = table[~beyond_end & table.person.isin(of_split)]
    if table.empty:
        raise InputError(
            f"{where}: expected videos of the persons of split {split!r}, {', '.join(map(str, of_split))}; "
            "there is none that can be used"
        )
    length = table["last"] - table["first"] + 1
    if length.max() < frames:
        raise InputError(
            f"frames: expected at most {length.max()}, the longest annotated range; got {frames}"
        )
    return table[length >= frames].reset_index(drop=True)


def _summary(faults: dict[str, list[str]]) -> str:
    """What is wrong, in words: how many videos or ranges have each fault, and the names of some."""
    parts = []
    for fault, names in faults.items():
        if names:
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            thing = "range" if "end" in fault else "video"
            plural = "s" if len(names) > 1 else ""
            parts.append(f"{len(names)} {thing}{plural} {fault} ({', '.join(names[:NAMED])}{more})")
    return "; ".join(parts)


def _check_complete(folder: Path, faults: dict[str, list[str]]) -> None:
    """Raise an error if there are any faults."""
    if any(faults.values()):
        raise InputError(
            f"{folder}: expected every annotated video, whole, and no other; {_summary(faults)}. Get them "
            f"again from {HOME}, or use the rest by incomplete: true"
        )


def annotated_clips(
    folder: str | None,
    person: np.ndarray,
    label: np.ndarray,
    scenario: np.ndarray,
    first: np.ndarray,
    frames: int,
    frame_shape: tuple[int, int],
) -> np.ndarray:
    """Consecutive frames of the videos of some trials, (trial, time, y, x) in uint8.

    Parameters
    ----------
    folder : str, optional
        See `find_folder`.
    person, label, scenario : array (trial,)
        Of the video.
    first : array (trial,)
        The first frame, counted from 1 as in the annotation.
    frames : int
        How many.
    frame_shape : (int, int)
    """
    names = [f"person{p:02}_{ACTIONS[k]}_d{d}" for p, k, d in zip(person, label, scenario, strict=True)]
    return clips(decoded_videos(folder, frame_shape), names, first - 1, frames)
