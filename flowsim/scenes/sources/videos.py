"""Videos decoded once: grey frames of the asked size, kept in the user's cache.

A pixel of a kept frame is the mean over the area that it covers of the video's frame, all of which is kept
whatever its proportions; rounded to whole numbers from 0 (black) to 255 (white).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from flowsim.errors import InputError
from flowsim.files.atomic import exclusive, whole
from flowsim.files.netcdf import damaged
from flowsim.progress import Progress
from flowsim.scenes.sources.folders import cache

LAYOUT = 1
"""Of the kept files; a change makes all anew."""


def decoded(videos: Mapping[str, Path], frame_shape: tuple[int, int], data: str) -> Path:
    """The file that keeps these videos, made if it is not there.

    Parameters
    ----------
    videos : mapping of name to path
    frame_shape : (int, int)
        Of the kept frames (y, x).
    data : str
        What the videos are, such as "kth": names the folder in the cache.

    Returns
    -------
    path
        HDF5: per video a dataset of its name, (time, y, x) in uint8. The attribute ``damaged`` holds, as
        JSON, why others are not there. Another file is made when a video is added, removed or changed.

    Raises
    ------
    InputError
        If PyAV is not installed or the cache cannot be written to.
    """
    held = {name: path.stat() for name, path in sorted(videos.items())}
    content = {name: (videos[name].name, stat.st_size, stat.st_mtime_ns) for name, stat in held.items()}
    key = hashlib.sha256(json.dumps([LAYOUT, frame_shape, content]).encode()).hexdigest()[:16]
    store = cache(data) / f"{frame_shape[0]}x{frame_shape[1]}-{key}.h5"
    if store.is_file():
        return store
    with exclusive(store):
        if store.is_file():  # made by another process meanwhile
            return store
        with whole(store) as temporary, h5py.File(temporary, "w") as file:
            broken = {}
            with Progress(
                f"decoding {data} to {frame_shape[0]}x{frame_shape[1]} px", len(videos), "videos"
            ) as bar:
                for done, name in enumerate(held, 1):
                    try:
                        file[name] = grey(videos[name], frame_shape)
                    except Broken as error:
                        broken[name] = str(error)
                    bar.to(done)
            file.attrs["damaged"] = json.dumps(broken)
    return store


class Broken(Exception):
    """A video cannot be decoded whole, and why."""


def grey(video: Path, frame_shape: tuple[int, int]) -> np.ndarray:
    """All frames of a video, (time, y, x) in uint8.

    Raises
    ------
    Broken
        If any frame cannot be decoded, or there are fewer than the file's header says.
    InputError
        If PyAV is not installed.
    """
    try:
        import av
        from av.video.reformatter import VideoReformatter
    except ImportError:
        raise InputError("videos are decoded by PyAV, which is not installed; pip install av") from None
    frames: list[np.ndarray] = []
    to_grey = (
        VideoReformatter()
    )  # one for all frames is several times as fast as frame.to_ndarray(format="gray")
    try:
        with av.open(str(video)) as container:
            if not container.streams.video:
                raise Broken("it holds no pictures")
            stream = container.streams.video[0]
            promised = stream.frames
            for frame in container.decode(stream):
                if frame.is_corrupt:  # what a decoder makes up for what it cannot read
                    raise Broken(f"frame {len(frames) + 1} cannot be decoded")
                frames.append(to_grey.reformat(frame, format="gray").to_ndarray())
    except av.FFmpegError as error:
        raise Broken(error.strerror or type(error).__name__) from None
    if not frames or len(frames) < promised:
        raise Broken(f"it ends after {len(frames)} of {promised} frames")
    picture = np.stack(frames).astype(np.float32)
    rows, columns = (overlaps(n, parts) for n, parts in zip(picture.shape[1:], frame_shape, strict=True))
    mean = np.tensordot(
        np.tensordot(picture, columns, (2, 1)), rows, (1, 1)
    )  # (time, x, y), in two large products
    return np.rint(mean).astype(np.uint8).swapaxes(1, 2)


def overlaps(length: int, parts: int) -> np.ndarray:
    """Which share of each of ``parts`` equal parts of a line lies on each of its pixels, (part, pixel)."""
    edges = np.linspace(0, length, parts + 1)
    pixel = np.arange(length)
    covered = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return (covered.clip(0) * parts / length).astype(np.float32)


def lengths(store: Path) -> tuple[dict[str, int], dict[str, str]]:
    """Number of frames of each kept video, and why others are damaged."""
    try:
        with h5py.File(store) as file:
            return {name: len(video) for name, video in file.items()}, json.loads(file.attrs["damaged"])
    except (OSError, KeyError) as error:
        raise damaged(store, error) from None


def windows(store: Path, names: list[str], first: np.ndarray, frames: int) -> np.ndarray:
    """Consecutive frames of some videos, (trial, time, y, x) in uint8.

    Parameters
    ----------
    store : path
        Of `decoded`.
    names : list of str
        Of the video of each trial.
    first : array (trial,)
        Its first frame, counted from 0.
    frames : int
        How many.

    Raises
    ------
    InputError
        If a video is not there or too short.
    """
    try:
        with h5py.File(store) as file:
            taken = []
            for name, start in zip(names, first.tolist(), strict=True):
                if name not in file or len(file[name]) < start + frames:
                    raise InputError(
                        f"expected the video {name}, {start + frames} frames long or longer; the folder has none such. "
                        "Was it changed after the stimulus was made?"
                    )
                taken.append(file[name][start : start + frames])
            return np.stack(taken)
    except OSError as error:
        raise damaged(store, error) from None
