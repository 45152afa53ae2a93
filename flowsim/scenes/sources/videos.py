"""Videos decoded once: grey frames of the size that is needed, stored in the user's cache.

The whole frame of a video is resized, whatever its proportions: a pixel is the mean over the area that it
covers, rounded to whole numbers from 0 (black) to 255 (white).
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
from flowsim.files.hdf5_disk import Disk, on_disk
from flowsim.files.netcdf import damaged
from flowsim.files.user_cache import cache
from flowsim.progress import Progress

LAYOUT = 1
"""The version of the layout of decoded files; with another one all are decoded again."""


def decoded(videos: Mapping[str, Path], frame_shape: tuple[int, int], data: str) -> Path:
    """The file of the decoded videos, made if it does not exist.

    Parameters
    ----------
    videos : mapping of name to path
    frame_shape : (int, int)
        Of the decoded frames (y, x).
    data : str
        What the videos are, such as "kth": names the folder in the cache.

    Returns
    -------
    path
        HDF5: for each video a dataset of its name, (time, y, x) in uint8. The attribute ``damaged`` says, as
        JSON, why other videos are not there. Another file is made when a video is added, removed or changed.

    Raises
    ------
    InputError
        If PyAV is not installed or the cache cannot be written to.
    """
    stats = {name: path.stat() for name, path in sorted(videos.items())}
    content = {name: (videos[name].name, stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}
    key = hashlib.sha256(json.dumps([LAYOUT, frame_shape, content]).encode()).hexdigest()[:16]
    store = cache(data) / f"{frame_shape[0]}x{frame_shape[1]}-{key}.h5"
    if store.is_file():
        return store
    with exclusive(store):
        if not store.is_file():  # another process may have made it meanwhile
            chosen = {name: videos[name] for name in stats}
            with whole(store) as temporary, on_disk(temporary) as disk, h5py.File(disk, "w") as file:
                _decode_all(chosen, frame_shape, data, file, disk)
    return store


def _decode_all(
    videos: Mapping[str, Path], frame_shape: tuple[int, int], data: str, file: h5py.File, disk: Disk
) -> None:
    reasons = {}
    title = f"decoding {data} to {frame_shape[0]}x{frame_shape[1]} px"
    with Progress(title, len(videos), "videos") as bar:
        for done, (name, path) in enumerate(videos.items(), 1):
            try:
                file[name] = grey(path, frame_shape)
            except DamagedVideo as error:
                reasons[name] = str(error)
            disk.check()
            bar.to(done)
    file.attrs["damaged"] = json.dumps(reasons)


class DamagedVideo(Exception):
    """A video cannot be decoded completely; the message says why."""


def grey_frames(video: Path) -> list[np.ndarray]:
    """All frames of a video as they are, each (y, x) in uint8.

    Raises
    ------
    DamagedVideo
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
    # one reformatter for all frames is several times as fast as frame.to_ndarray(format="gray")
    to_grey = VideoReformatter()
    try:
        with av.open(str(video)) as container:
            if not container.streams.video:
                raise DamagedVideo("it holds no pictures")
            stream = container.streams.video[0]
            promised = stream.frames
            for frame in container.decode(stream):
                if frame.is_corrupt:  # a decoder makes up pixels that it cannot read
                    raise DamagedVideo(f"frame {len(frames) + 1} cannot be decoded")
                frames.append(to_grey.reformat(frame, format="gray").to_ndarray())
    except av.FFmpegError as error:
        raise DamagedVideo(error.strerror or type(error).__name__) from None
    if not frames or len(frames) < promised:
        raise DamagedVideo(f"it ends after {len(frames)} of {promised} frames")
    return frames


def grey(video: Path, frame_shape: tuple[int, int]) -> np.ndarray:
    """All frames of a video in one size, (time, y, x) in uint8; see `grey_frames`."""
    pictures = np.stack(grey_frames(video)).astype(np.float32)
    rows = area_shares(pictures.shape[1], frame_shape[0])
    columns = area_shares(pictures.shape[2], frame_shape[1])
    mean = np.tensordot(np.tensordot(pictures, columns, (2, 1)), rows, (1, 1))  # (time, x, y)
    return np.rint(mean).astype(np.uint8).swapaxes(1, 2)


def area_shares(length: int, parts: int) -> np.ndarray:
    """The share of each of ``parts`` equal parts of a line that lies on each of its pixels, (part, pixel)."""
    edges = np.linspace(0, length, parts + 1)
    pixel = np.arange(length)
    covered = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return (covered.clip(0) * parts / length).astype(np.float32)


def lengths(store: Path) -> tuple[dict[str, int], dict[str, str]]:
    """Number of frames of each decoded video, and why others could not be decoded.

    Raises
    ------
    InputError
        If the file is damaged.
    """
    try:
        with h5py.File(store) as file:
            return {name: len(video) for name, video in file.items()}, json.loads(file.attrs["damaged"])
    except (OSError, KeyError) as error:
        raise damaged(store, error) from None


def clips(store: Path, names: list[str], first: np.ndarray, frames: int) -> np.ndarray:
    """Consecutive frames of some videos, (trial, time, y, x) in uint8.

    Parameters
    ----------
    store : path
        As `decoded` returns it.
    names : list of str
        The video of each trial.
    first : array (trial,)
        The first frame of each trial, counted from 0.
    frames : int
        How many.

    Raises
    ------
    InputError
        If a video is missing or too short, or the file is damaged.
    """
    try:
        with h5py.File(store) as file:
            taken = []
            for name, start in zip(names, first.tolist(), strict=True):
                if name not in file or len(file[name]) < start + frames:
                    raise InputError(
                        f"expected the video {name} with at least {start + frames} frames; the folder has "
                        "none. Was the folder changed after the stimulus was made?"
                    )
                taken.append(file[name][start : start + frames])
            return np.stack(taken)
    except OSError as error:
        raise damaged(store, error) from None
