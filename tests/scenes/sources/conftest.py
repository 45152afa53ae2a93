"""Data are looked for nowhere, the cache is empty, and MNIST's files are small ones."""

import gzip

import numpy as np
import pytest

from flowsim.scenes.sources.mnist import FILES

NUMBER = {"train": 7, "t10k": 3}
"""Of images in the small files."""


@pytest.fixture(autouse=True)
def places(monkeypatch, tmp_path):
    """No folder of data is named, and the cache is empty."""
    monkeypatch.delenv("FLOWSIM_DATA", raising=False)
    monkeypatch.setenv("FLOWSIM_CACHE", str(tmp_path / "cache"))


def idx(values):
    return b"\0\0\x08" + bytes([values.ndim]) + np.array(values.shape, ">u4").tobytes() + values.tobytes()


@pytest.fixture
def content():
    """Small files of MNIST's form, decompressed, by name."""
    rng = np.random.default_rng(0)
    made = {}
    for name in FILES:
        n = NUMBER[name.split("-")[0]]
        values = rng.integers(256, size=(n, 28, 28)) if "images" in name else rng.integers(10, size=n)
        made[name.removesuffix(".gz")] = values.astype(np.uint8)
    return made


@pytest.fixture
def place():
    """A function that writes MNIST's files, of some content, into a folder."""

    def write(folder, content, compressed=True):
        folder.mkdir(parents=True, exist_ok=True)
        for name, values in content.items():
            data = idx(values)
            file = folder / (f"{name}.gz" if compressed else name)
            file.write_bytes(gzip.compress(data) if compressed else data)
        return folder

    return write
