"""KTH's videos are found, their annotation is understood, and faults are named."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

from flowsim import InputError
from flowsim.scenes.sources import kth
from stimuli import moving_kth

REAL = Path(__file__).parents[4] / "shared" / "data" / "kth"
needs_real = pytest.mark.skipif(not REAL.exists(), reason="shared/data/kth is absent")


def generate(split="train", folder=None, seed=0, **spec):
    spec = {"trials": 20, "frames": 5, "folder": None if folder is None else str(folder), **spec}
    return moving_kth.generate(split, np.random.default_rng(seed), **spec)


def test_no_folder(tmp_path, monkeypatch):
    with pytest.raises(
        InputError, match="no folder of them was named. Get them from https.* argument folder or .*DATA"
    ):
        moving_kth.generate("probe", np.random.default_rng(0))
    with pytest.raises(InputError, match="00sequences.txt; found none in .*nowhere"):
        generate(folder=tmp_path / "nowhere")
    monkeypatch.setenv("FLOWSIM_DATA", str(tmp_path))
    with pytest.raises(InputError, match=f"found none in {tmp_path}/kth or {tmp_path}. Get"):
        generate()


@pytest.mark.parametrize("place", ["walking/{name}.avi", "kth/all/walking/{name}.avi", "{name}.AVI"])
def test_videos_in_folders_within_the_folder(place, kth_videos, tmp_path, monkeypatch):
    """As the published archives unpack, below FLOWSIM_DATA, and as others lay them."""
    folder = kth_videos(tmp_path / "kth", {"person11_walking_d2": (20, "frames 1-20")})
    (video,) = folder.glob("*.avi")
    there = folder / place.format(name=video.stem)
    there.parent.mkdir(parents=True, exist_ok=True)
    video.rename(there)
    monkeypatch.setenv("FLOWSIM_DATA", str(tmp_path))
    assert generate().frames.shape == (20, 5, 32, 32)


GOOD = {"person11_walking_d2": (20, "frames 1-20"), "person12_boxing_d1": (20, "frames 1-10, 11-20")}
FAULTY = {
    "missing": ({"person12_running_d1": (0, "frames 1-9")}, r"1 video missing \(person12_running_d1\)"),
    "not annotated": (
        {"person12_running_d1": (9, None)},
        r"1 video without annotation \(person12_running_d1\)",
    ),
    "too long": (
        {"person12_running_d1": (9, "frames 1-5, 6-10")},
        r"1 range beyond the end of its video \(person12_running_d1 6-10 of 9 frames\)",
    ),
    "damaged": (
        {"person12_running_d1": (25, "frames 1-25")},
        r"1 video damaged \(person12_running_d1: (frame \d+ cannot be decoded|it ends after \d+ of 25 frames)\)",
    ),
    "empty": (
        {"person12_running_d1": (25, "frames 1-25")},
        r"1 video damaged \(person12_running_d1: Invalid data found",
    ),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_what_is_wrong_is_named_and_can_be_left_out(kth_videos, tmp_path, fault):
    more, message = FAULTY[fault]
    folder = kth_videos(tmp_path, {**GOOD, **more})
    file = folder / "person12_running_d1_uncomp.avi"
    if fault in ("damaged", "empty"):
        file.write_bytes(file.read_bytes()[: 0 if fault == "empty" else file.stat().st_size // 2])
    for split in ("train", "test"):
        with pytest.raises(InputError, match=f"{message}.* use the rest by incomplete: true") as told:
            generate(split, folder)
        assert "\n" not in str(told.value)
    with pytest.warns(UserWarning, match=f"left out {message}"):
        made = generate(folder=folder, incomplete=True, trials=100)
    used = set(
        zip(
            made.person.values.tolist(),
            made.label.values[:, 0].tolist(),
            made.sequence.values.tolist(),
            strict=True,
        )
    )
    assert used == {(11, 5, 1), (12, 0, 1), (12, 0, 2)} | ({(12, 4, 1)} if fault == "too long" else set())
    with (
        pytest.warns(UserWarning, match="left out"),
        pytest.raises(InputError, match="persons of split 'test', 22, 2, .*; there is none"),
    ):
        generate("test", folder, incomplete=True)


def test_a_complete_folder_warns_of_nothing(kth_videos, tmp_path):
    """Also where a video is missing on purpose, as person13_handclapping_d3 is."""
    folder = kth_videos(tmp_path, {**GOOD, "person13_handclapping_d3": (0, "*missing*")})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        generate(folder=folder)
        generate(folder=folder, incomplete=True)


def test_many_missing_videos_are_counted(kth_videos, tmp_path):
    absent = {f"person{p:02}_walking_d1": (0, "frames 1-9") for p in range(1, 10)}
    with pytest.raises(
        InputError, match=r"9 videos missing \(person01_walking_d1, .*, person06_walking_d1 and 3 more\)"
    ):
        generate(folder=kth_videos(tmp_path, {**GOOD, **absent}))


def test_ranges_too_short(kth_videos, tmp_path):
    folder = kth_videos(tmp_path, GOOD)
    assert generate(folder=folder, frames=20).frames.shape[1] == 20
    with pytest.raises(InputError, match="frames: expected at most 20, the longest annotated range; got 21"):
        generate(folder=folder, frames=21)


@pytest.mark.parametrize(
    "line",
    [
        "person11_walking_d2",
        "person11_walking_d2 frames 1-",
        "person11_walking_d2 frames 9-4",
        "person11_walking_d2 frames 0-4",
        "person11_skating_d2 frames 1-4",
    ],
)
def test_an_annotation_that_cannot_be_understood(tmp_path, line):
    (tmp_path / "00sequences.txt").write_text(f"Training: person11\n\n{line}\n")
    with pytest.raises(
        InputError, match=re.escape("00sequences.txt, line 3: expected a video and its ranges")
    ):
        generate(folder=tmp_path)


def test_an_annotation_of_nothing(tmp_path):
    (tmp_path / "00sequences.txt").write_text("<html>not found</html>")
    with pytest.raises(InputError, match="expected the annotation of the KTH videos; it names none"):
        generate(folder=tmp_path)


@needs_real
def test_the_real_annotation():
    table = kth.annotated(REAL / kth.ANNOTATION)
    assert len(table) == 2391
    assert table.video.nunique() == 599
    assert set(table.person) == set(range(1, 26))
    assert set(table.label) == set(range(6))
    head = (REAL / kth.ANNOTATION).read_text()
    for split, word in (("train", "Training"), ("valid", "Validation"), ("test", "Test")):
        stated = re.search(rf"{word}:\s+person(.*)", head)[1]
        assert tuple(map(int, stated.split(","))) == kth.PERSONS[split]


def test_published_splits():
    for persons in kth.SPLITS.values():
        assert sorted(p for split in persons.values() for p in split) == list(range(1, 26))
