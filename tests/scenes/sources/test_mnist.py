"""MNIST is read from a folder, from the cache or from mirrors; files that cannot be used are named."""

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pooch
import pytest
import requests

from flowsim import InputError
from flowsim.scenes.sources.mnist import FILES, LAYOUTS, MIRRORS, mnist, path_in

REAL = Path(__file__).parents[4] / "shared" / "data" / "mnist"


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """There is no network."""

    def get(*_, **__):
        raise ConnectionError("no network")

    monkeypatch.setattr(requests, "get", get)


def idx(values):
    return b"\0\0\x08" + bytes([values.ndim]) + np.array(values.shape, ">u4").tobytes() + values.tobytes()


def check(content):
    pixels, labels, published = mnist()
    images = [content["train-images-idx3-ubyte"], content["t10k-images-idx3-ubyte"]]
    assert published == 7
    assert pixels.dtype == np.float32
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(pixels, np.concatenate(images).astype(np.float32) / 255)
    np.testing.assert_array_equal(
        labels, np.concatenate([content["train-labels-idx1-ubyte"], content["t10k-labels-idx1-ubyte"]])
    )


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("within", ["", "mnist"])
def test_from_a_named_folder(tmp_path, monkeypatch, content, within, compressed, place):
    place(tmp_path / "data" / within, content, compressed)
    monkeypatch.setenv("FLOWSIM_DATA", str(tmp_path / "data"))
    check(content)
    assert not (tmp_path / "cache").exists(), "nothing is downloaded"


def test_decompressed_under_the_published_name(tmp_path, monkeypatch, content, place):
    folder = place(tmp_path, content)
    for file in folder.glob("train*.gz"):
        file.write_bytes(gzip.decompress(file.read_bytes()))
    monkeypatch.setenv("FLOWSIM_DATA", str(folder))
    check(content)


def test_a_named_folder_without_the_files(tmp_path, monkeypatch, content, place):
    monkeypatch.setenv("FLOWSIM_DATA", str(tmp_path))
    with pytest.raises(
        InputError, match=r"train-images-idx3-ubyte.gz, .* in .*mnist or .*; did not find them all"
    ):
        mnist()
    place(tmp_path, content)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(InputError, match="did not find them all. Place them there, or unset FLOWSIM_DATA"):
        mnist()
    monkeypatch.setenv("FLOWSIM_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="FLOWSIM_DATA: expected the folder .* there is no folder .*nowhere"):
        mnist()


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (
            "train-images-idx3-ubyte.gz",
            lambda b: b[:200],
            "images of 28x28 px in IDX format, but it cannot be read",
        ),
        (
            "t10k-labels-idx1-ubyte.gz",
            lambda b: b[:9] + b"\xff" * 4 + b[13:],
            "labels in IDX format, but it cannot be",
        ),
        (
            "train-images-idx3-ubyte.gz",
            lambda b: gzip.decompress(b)[:-1],
            "should hold 5488 bytes .* and holds 5487",
        ),
        (
            "t10k-labels-idx1-ubyte.gz",
            lambda b: gzip.decompress(b) + b"\0",
            "hold 3 bytes after its header and holds 4",
        ),
        ("t10k-labels-idx1-ubyte.gz", lambda _: b"", "begins with the number 2049; it begins with 0"),
        (
            "t10k-images-idx3-ubyte.gz",
            lambda _: b"<html>no such",
            "begins with the number 2051; it begins with 1013478509",
        ),
        (
            "train-labels-idx1-ubyte.gz",
            lambda _: idx(np.zeros((7, 28, 28), np.uint8)),
            "2049; it begins with 2051",
        ),
        (
            "t10k-images-idx3-ubyte.gz",
            lambda _: idx(np.zeros((3, 20, 28), np.uint8)),
            "its images are of 20x28 px",
        ),
    ],
)
def test_damaged_files_are_named(tmp_path, monkeypatch, content, file, change, message, place):
    folder = place(tmp_path, content)
    (folder / file).write_bytes(change((folder / file).read_bytes()))
    monkeypatch.setenv("FLOWSIM_DATA", str(folder))
    with pytest.raises(InputError, match=f"{file}: .*{message}") as told:
        mnist()
    assert "\n" not in str(told.value)


def test_files_that_do_not_belong_together(tmp_path, monkeypatch, content, place):
    content["t10k-labels-idx1-ubyte"] = content["t10k-labels-idx1-ubyte"][:2]
    monkeypatch.setenv("FLOWSIM_DATA", str(place(tmp_path, content)))
    with pytest.raises(InputError, match=r"a label for each image; t10k-\* hold 3 images and 2 labels"):
        mnist()


@pytest.fixture
def served(tmp_path, monkeypatch, content, place):
    """Mirrors that serve the small files; calls are listed, and those of mirrors in ``down`` fail."""
    folder, asked, down = place(tmp_path / "server", content), [], {}
    for file in folder.iterdir():
        monkeypatch.setitem(FILES, file.name, hashlib.md5(file.read_bytes()).hexdigest())

    def retrieve(url, known_hash, fname, path, downloader):
        mirror = url.removesuffix(fname)
        asked.append((mirror, fname))
        if mirror in down:
            raise down[mirror]
        assert known_hash == f"md5:{FILES[fname]}"
        Path(path, fname).write_bytes((folder / fname).read_bytes())
        return str(Path(path, fname))

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    return asked, down


def test_the_first_mirror_that_answers(served, content):
    asked, down = served
    check(content)
    assert asked == [(MIRRORS[0], name) for name in FILES]
    asked.clear()
    down[MIRRORS[0]] = ConnectionError("unreachable")
    check(content)
    assert asked == [(mirror, name) for name in FILES for mirror in MIRRORS[:2]]


def test_a_mirror_that_serves_something_else(served, content):
    served[1][MIRRORS[0]] = ValueError("MD5 hash of downloaded file does not match")
    check(content)


def test_no_mirror_answers(served, tmp_path):
    served[1].update({mirror: ConnectionError("unreachable") for mirror in MIRRORS})
    with pytest.raises(InputError, match=r"cannot download .* FLOWSIM_DATA") as told:
        mnist()
    message = str(told.value)
    assert all(
        text in message for text in (*FILES, *MIRRORS, str(tmp_path / "cache" / "mnist"), "unreachable")
    )
    assert "\n" not in message


def test_what_is_in_the_cache_is_not_downloaded_again(tmp_path, monkeypatch, content, place):
    """By pooch itself; a cached file with another checksum is."""
    folder = place(tmp_path / "cache" / "mnist", content)
    for file in folder.iterdir():
        monkeypatch.setitem(FILES, file.name, hashlib.md5(file.read_bytes()).hexdigest())
    check(content)
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(b"changed")
    with pytest.raises(InputError, match="cannot download MNIST's t10k-labels-idx1-ubyte.gz .*no network"):
        mnist()


@pytest.mark.skipif(not REAL.exists(), reason="shared/data/mnist is absent")
def test_the_real_files(monkeypatch):
    monkeypatch.setenv("FLOWSIM_DATA", str(REAL))
    for name, md5 in FILES.items():
        assert hashlib.md5((REAL / name).read_bytes()).hexdigest() == md5
    pixels, labels, published = mnist()
    assert pixels.shape == (70000, 28, 28)
    assert published == 60000
    assert labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert labels[published : published + 5].tolist() == [7, 2, 1, 0, 4]
    assert np.bincount(labels).tolist() == [6903, 7877, 6990, 7141, 6824, 6313, 6876, 7293, 6825, 6958]
    assert 0.13 < pixels[:published].mean() < 0.131, "0.1307, as is well known"


@pytest.mark.parametrize("ending", [".gz", ""])
@pytest.mark.parametrize("layout", ["MNIST/raw", "raw", "."])
@pytest.mark.parametrize("kaggle", [False, True])
def test_layouts_of_torchvision_and_kaggle(layout, kaggle, ending, tmp_path):
    for name in FILES:
        plain = name.removesuffix(".gz")
        assert_found(
            tmp_path / layout / f"{plain.replace('-idx', '.idx') if kaggle else plain}{ending}",
            name,
            tmp_path,
        )
    assert path_in(tmp_path / layout, "train-images-idx2-ubyte.gz") is None


def test_files_in_folders_of_their_name(tmp_path):
    """As some archives unpack."""
    for name in FILES:
        plain = name.removesuffix(".gz")
        assert_found(tmp_path / plain / plain.replace("-idx", ".idx"), name, tmp_path)


def assert_found(file, name, folder):
    """Write a file, and see that it is found as the published one of a name, in one layout of a folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"a")
    assert [found for layout in LAYOUTS if (found := path_in(folder / layout, name))] == [file]
