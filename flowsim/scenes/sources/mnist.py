"""MNIST (LeCun, Cortes and Burges), from a folder that the user names, or downloaded once.

The four files are in the IDX format: a magic number and the length of each dimension (big-endian, four bytes
each), then a byte per value. They are read as published, compressed by gzip, or decompressed.
"""

from __future__ import annotations

import gzip
import sys
import zlib
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from flowsim.errors import InputError
from flowsim.files.atomic import exclusive
from flowsim.files.user_cache import cache
from flowsim.scenes.sources.folders import DATA, candidates

FILES = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
"""MD5 checksums of the published files."""
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
"""Tried in this order."""
LAYOUTS = (".", "raw", "MNIST/raw")
"""Where in a folder the files may lie: as published, or as torchvision unpacks them."""
SIDE = 28
TIMEOUT = 30.0
"""Seconds after which a mirror that does not answer is given up."""


def mnist() -> tuple[np.ndarray, np.ndarray, int]:
    """All images of MNIST, the published training images first.

    Returns
    -------
    pixels : array (image, y, x)
        28x28 px, float32 in [0, 1].
    labels : array (image,)
        int64.
    published : int
        Number of published training images, 60,000.

    Raises
    ------
    InputError
        If FLOWSIM_DATA is set and does not hold the files, if they cannot be downloaded, or if one is
        damaged.
    """
    train, train_labels, test, test_labels = map(values, paths())
    for images, labels, name in ((train, train_labels, "train"), (test, test_labels, "t10k")):
        if len(images) != len(labels):
            raise InputError(
                f"MNIST: expected a label for each image; {name}-* hold {len(images)} images and "
                f"{len(labels)} labels. Get the files again"
            )
    pixels = np.concatenate([train, test]).astype(np.float32)
    pixels /= 255
    return pixels, np.concatenate([train_labels, test_labels]).astype(np.int64), len(train)


def paths() -> list[Path]:
    """The four files, in the order of `FILES`."""
    folders = candidates("mnist")
    if not folders:
        return [downloaded(name) for name in FILES]
    for folder in (folder / layout for folder in folders for layout in LAYOUTS):
        files = [path_in(folder, name) for name in FILES]
        if all(files):
            return [path for path in files if path]
    raise InputError(
        f"expected MNIST's files {', '.join(FILES)} (or decompressed, without .gz) in {folders[0]} or "
        f"{folders[1]}; did not find them all. Place them there, or unset {DATA} to have them downloaded"
    )


def path_in(folder: Path, name: str) -> Path | None:
    """The path of a file, compressed or not and as published or as Kaggle names it, if the folder has it.

    Some archives unpack to a folder of the file's name with the file in it.
    """
    plain = name.removesuffix(".gz")
    kaggle = plain.replace("-idx", ".idx")
    places = [folder / each for each in (name, plain, f"{kaggle}.gz", kaggle)]
    places += [folder / each / kaggle for each in (plain, kaggle)]
    return next((path for path in places if path.is_file()), None)


def downloaded(name: str) -> Path:
    """A published file in the user's cache, downloaded if it is not there from the first mirror that has it.

    Raises
    ------
    InputError
        If no mirror gives the file with its checksum.
    """
    import pooch

    folder = cache("mnist")
    failed = []
    # a cache that already has the file may be read-only
    with nullcontext() if (folder / name).is_file() else exclusive(folder / name):
        for mirror in MIRRORS:
            try:
                fetch = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=TIMEOUT)
                return Path(
                    pooch.retrieve(mirror + name, f"md5:{FILES[name]}", name, folder, downloader=fetch)
                )
            except (OSError, ValueError) as error:  # of the network, server or disk; or a wrong checksum
                reason = (str(error).splitlines() or [""])[0][:100] or type(error).__name__
                failed.append(f"{mirror}: {reason}")
    raise InputError(
        f"cannot download MNIST's {name} ({'; '.join(failed)}). Place {', '.join(FILES)}, as published or "
        f"decompressed, in a folder of your own and set {DATA} to it, or put them as published into {folder}"
    )


def values(path: Path) -> np.ndarray:
    """The values of an IDX file, (image, y, x) or (image,) in uint8.

    Raises
    ------
    InputError
        If it is not whole, or does not hold what its name says.
    """
    images = "images" in path.name
    what = f"{path}: expected MNIST's {'images of 28x28 px' if images else 'labels'} in IDX format"
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":  # not by name: some programs decompress a file and leave its name
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{what}, but it cannot be read ({error}); get it again") from None
    axes = 3 if images else 1
    head = 4 * (1 + axes)
    magic = 0x0800 + axes  # unsigned bytes, and the number of dimensions
    begin = int.from_bytes(content[:4], "big")
    if len(content) < head or begin != magic:
        raise InputError(
            f"{what}, which begins with the number {magic}; it begins with {begin}. Get it again"
        )
    shape = tuple(int(n) for n in np.frombuffer(content, ">u4", axes, 4))
    if images and shape[1:] != (SIDE, SIDE):
        raise InputError(f"{what}; its images are of {shape[1]}x{shape[2]} px. Get MNIST's")
    size = int(np.prod(shape, dtype=np.int64))
    if len(content) - head != size:
        raise InputError(
            f"{what}; it should hold {size} bytes after its header and holds {len(content) - head}. "
            "Get it again"
        )
    return np.frombuffer(content, np.uint8, offset=head).reshape(shape)
