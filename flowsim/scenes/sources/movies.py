"""Pictures of one's own, from movies, animations and folders, grey and from 0 (black) to 1 (white)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from flowsim.errors import InputError
from flowsim.scenes.sources.videos import DamagedVideo, area_shares, grey_frames

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".pgm")
"""Names of files that pillow reads; some of them hold several pictures."""
MOVIES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".m4v", ".wmv")


def pictures_of(source: Path, frame_shape: tuple[int, int] | None, length: int | None) -> np.ndarray:
    """Frames (trial, time, y, x) in float32 of what `flowsim.from_frames` may be given as a path.

    Parameters
    ----------
    source : path
        A movie, an animation or a file of numpy (.npy); a folder of pictures; or a folder of movies or of
        such folders, a trial each.
    frame_shape : (int, int), optional
        The size (y, x) to which pictures are resized.
    length : int, optional
        If trials are cut to pieces of so many frames later on, they may be of different lengths.

    Raises
    ------
    InputError
        If there is nothing of the kind, or trials have different sizes or lengths.
    """
    if not source.exists():
        raise InputError(f"{source}: expected a movie, or a folder of pictures or movies; there is none")
    if source.suffix == ".npy":
        return np.load(source)
    if source.is_file():
        return _one_trial(source, frame_shape)[None]
    inside = sorted((path for path in source.iterdir() if not path.name.startswith(".")), key=_in_order)
    if any(path.suffix.lower() in PICTURES for path in inside):
        return _one_trial(source, frame_shape)[None]
    each = [path for path in inside if path.is_dir() or path.suffix.lower() in MOVIES]
    if not each:
        raise InputError(
            f"{source}: expected pictures ({', '.join(PICTURES)}), movies ({', '.join(MOVIES)}) or folders "
            f"of pictures; found {', '.join(path.name for path in inside[:3]) or 'nothing'}"
        )
    trials = [_one_trial(path, frame_shape) for path in each]
    if length is not None:
        trials = [
            trial[first : first + length]
            for trial in trials
            for first in range(0, len(trial) - length + 1, length)
        ]
    shapes = {trial.shape for trial in trials}
    if len(shapes) != 1:
        found = ", ".join(map(str, sorted(shapes))) or "none"
        raise InputError(
            f"{source}: expected trials of one size (time, y, x); got {found}. Give `length`, the frames of "
            "a trial, and `frame_shape`, the size of a frame"
        )
    return np.stack(trials)


def _one_trial(source: Path, frame_shape: tuple[int, int] | None) -> np.ndarray:
    """Frames (time, y, x) of a movie, of an animation, or of all pictures in a folder."""
    if source.is_dir():
        files = sorted((p for p in source.iterdir() if p.suffix.lower() in PICTURES), key=_in_order)
        pictures = [picture for file in files for picture in _pictures(file)]
    elif source.suffix.lower() in PICTURES:
        pictures = _pictures(source)
    else:
        try:
            pictures = [picture.astype(np.float32) / 255 for picture in grey_frames(source)]
        except DamagedVideo as error:
            raise InputError(f"{source}: expected a movie that can be decoded; {error}") from None
    if frame_shape is not None:
        pictures = [resized(picture, frame_shape) for picture in pictures]
    sizes = {picture.shape for picture in pictures}
    if len(sizes) != 1:
        found = ", ".join(f"{y}x{x}" for y, x in sorted(sizes)) or "none"
        raise InputError(
            f"{source}: expected pictures of one size; got {found}. Give `frame_shape`, the size of a frame"
        )
    return np.stack(pictures)


def _in_order(path: Path) -> list[Any]:
    """frame2 comes before frame10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]


def _pictures(file: Path) -> list[np.ndarray]:
    """Every picture (y, x) of a file, grey, from 0 to 1."""
    from PIL import Image, ImageSequence, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            deep = image.mode.startswith(("I", "F"))
            pages = [
                np.asarray(page if deep else page.convert("L")) for page in ImageSequence.Iterator(image)
            ]
    except (UnidentifiedImageError, OSError) as error:
        raise InputError(f"{file}: expected a picture; it cannot be read ({error})") from None
    largest = np.float32(65535 if deep and pages[0].dtype.kind in "iu" else 1 if deep else 255)
    return [page.astype(np.float32) / largest for page in pages]


def resized(frames: np.ndarray, frame_shape: tuple[int, int]) -> np.ndarray:
    """Frames (..., y, x) in another size: a pixel is the mean over the area that it covers.

    Raises
    ------
    InputError
        If the size is not two whole numbers from 1.
    """
    if len(tuple(frame_shape)) != 2 or any(int(size) != size or size < 1 for size in frame_shape):
        raise InputError(
            f"frame_shape: expected a height and a width in px, such as (32, 32); got {frame_shape}"
        )
    rows = area_shares(frames.shape[-2], int(frame_shape[0]))
    columns = area_shares(frames.shape[-1], int(frame_shape[1]))
    return np.einsum("...yx,iy,jx->...ij", frames, rows, columns, optimize=True).astype(frames.dtype)
