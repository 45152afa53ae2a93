"""KTH's videos: decoded as they are, counted as their annotation counts, and missed by name."""

import builtins
import json
import re
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from flowsim import InputError
from flowsim.scenes.scene import Scene
from flowsim.scenes.sources import kth, videos
from stimuli import moving_kth

REAL = Path(__file__).parents[3] / "shared" / "data" / "kth"
needs_real = pytest.mark.skipif(not REAL.exists(), reason="shared/data/kth is absent")
FRAMES = {
    "person01_handclapping_d1": 378, "person01_jogging_d1": 415, "person15_handwaving_d1": 581,
    "person15_running_d1": 325, "person16_boxing_d4": 460, "person20_walking_d3": 495,
    "person23_running_d3": 280, "person25_boxing_d4": 460,
}  # fmt: skip
"""Of the real videos of the sample."""


@pytest.fixture(autouse=True)
def places(monkeypatch, tmp_path):
    monkeypatch.delenv("FLOWSIM_DATA", raising=False)
    monkeypatch.setenv("FLOWSIM_CACHE", str(tmp_path / "cache"))


def generate(split="train", folder=None, seed=0, **spec):
    spec = {"trials": 20, "frames": 5, "folder": None if folder is None else str(folder), **spec}
    return moving_kth.generate(split, np.random.default_rng(seed), **spec)


def numbers(made):
    """Which frame of its video, from 1, each frame of a trial shows: those of `kth_videos` are of grey 50 +
    4n.
    """
    grey = 255 * np.median(made.frames.values, (2, 3))  # a camera that moves does not change it
    return ((grey - 50) / 4).round()


def test_frames_are_counted_as_the_annotation_counts(kth_videos, tmp_path):
    """From 1, both ends included: the first and the last frame of each range are seen, and none outside."""
    folder = kth_videos(tmp_path, {"person11_walking_d2": (30, "frames\t2-7, 9-9, 20-30")})
    made = generate(folder=folder, trials=200)
    seen = numbers(made)
    np.testing.assert_array_equal(seen, made.first_frame.values[:, None] + np.arange(5))
    assert set(seen.flat) == {2, 3, 4, 5, 6, 7, *range(20, 31)}
    ranges = {1: (2, 7), 3: (20, 30)}
    assert set(made.sequence.values) == set(ranges), "shorter ranges are not used"
    for sequence, (first, last) in ranges.items():
        assert {seen[made.sequence == sequence].min(), seen[made.sequence == sequence].max()} == {first, last}
    assert 0.35 < (made.sequence == 1).mean() < 0.65, "ranges are equally likely"


def test_persons_of_each_split(kth_folder):
    persons = {split: set(generate(split, kth_folder).person.values) for split in ("train", "valid", "test")}
    assert persons == {"train": {11}, "valid": {19}, "test": {22, 2}}
    assert persons["test"] == set(generate("sweep", kth_folder).person.values)
    assert persons["test"] == set(generate("probe", kth_folder).person.values)
    made = generate("train", kth_folder)
    assert set(made.label.values.flat) == {0, 5}
    assert made.label.attrs["flag_meanings"].split()[5] == "walking"
    assert sum(map(len, kth.PERSONS.values())) == len(set().union(*kth.PERSONS.values())) == 25
    with pytest.raises(InputError, match="unknown split 'holdout'"):
        generate("holdout", kth_folder)


def test_the_camera_moves(kth_folder):
    made = generate("test", kth_folder, max_speed=2)
    still = kth.windows(
        str(kth_folder), made.person.values, made.label.values[:, 0], made.scenario.values, made.first_frame.values,
        5, (32, 32),
    )  # fmt: skip
    for trial, (vy, vx) in enumerate(
        zip(made.velocity_vy.values[:, 0], made.velocity_vx.values[:, 0], strict=True)
    ):
        for t in range(5):
            expected = np.roll(still[trial, t].astype(np.float32) / 255, (t * vy, t * vx), (0, 1))
            np.testing.assert_array_equal(made.frames.values[trial, t], expected)
    assert set(made.velocity_vx.values.flat) == {-2, -1, 0, 1, 2}


def test_velocities_of_sweep_and_probe(kth_folder):
    sweep = generate("sweep", kth_folder, trials=2)
    swept = list(zip(sweep.velocity_vy.values[:, 0], sweep.velocity_vx.values[:, 0], strict=True))
    assert len(swept) == 50
    assert all(swept.count((y, x)) == 2 for y in range(-2, 3) for x in range(-2, 3))
    np.testing.assert_array_equal(sweep.trained, [max(map(abs, v)) <= 1 for v in swept])
    probe = generate("probe", kth_folder)
    assert not probe.velocity_vx.values[::2].any()
    assert probe.velocity_vx.values[1::2].any()


def test_frames_are_averaged_over_areas():
    """A pixel of 32x32 is the mean of 3.75x5 of the video's; sums are kept, and edges fall where they should."""
    np.testing.assert_allclose(videos.overlaps(6, 3), np.kron(np.eye(3), [[0.5, 0.5]]))
    np.testing.assert_allclose(videos.overlaps(5, 2), np.array([[1, 1, 0.5, 0, 0], [0, 0, 0.5, 1, 1]]) / 2.5)
    np.testing.assert_allclose(videos.overlaps(2, 4), np.kron(np.eye(2), [[1], [1]]))
    for length, parts in ((120, 32), (160, 32), (7, 5)):
        share = videos.overlaps(length, parts)
        np.testing.assert_allclose(share.sum(1), 1, rtol=1e-6)
        np.testing.assert_allclose(share.sum(0), parts / length, rtol=1e-6)


def test_the_size_is_the_one_asked_for(kth_folder):
    made = generate("train", kth_folder, height=6, width=4, max_speed=0)
    assert made.frames.shape[-2:] == (6, 4)
    row = made.frames.values[0, 0, 3] * 255
    np.testing.assert_allclose(row[1:], row[1], atol=2)
    assert row[1] - row[0] == pytest.approx(40 * 255 / 256, abs=6), "the darker quarter is one column of four"


def kept(tmp_path):
    return sorted((tmp_path / "cache" / "kth").glob("*.h5"))


def test_videos_are_decoded_once(kth_videos, tmp_path, monkeypatch):
    folder = kth_videos(tmp_path / "in", {"person11_walking_d2": (20, "frames 1-20")})
    decoded, grey = [], videos.grey
    monkeypatch.setattr(videos, "grey", lambda *a: decoded.append(a[0].name) or grey(*a))
    first = generate(folder=folder).frames.values
    assert np.array_equal(generate(folder=folder).frames, first)
    assert len(decoded) == 1
    generate(folder=folder, height=16)
    assert len(decoded) == 2, "of another size"
    assert len(kept(tmp_path)) == 2
    kth_videos(folder, {"person11_walking_d2": (30, "frames 1-30")})
    assert numbers(generate(folder=folder, trials=200)).max() == 30
    assert len(decoded) == 3, "changed"


def test_a_killed_decoding_leaves_nothing(kth_videos, tmp_path, monkeypatch):
    folder = kth_videos(tmp_path / "in", {f"person11_walking_d{d}": (20, "frames 1-20") for d in (1, 2)})
    grey = videos.grey

    def killed(path, shape):
        if "d2" in path.name:
            raise KeyboardInterrupt
        return grey(path, shape)

    monkeypatch.setattr(videos, "grey", killed)
    with pytest.raises(KeyboardInterrupt):
        generate(folder=folder)
    assert not kept(tmp_path)
    monkeypatch.setattr(videos, "grey", grey)
    assert generate(folder=folder).frames.shape[0] == 20


def test_a_damaged_cache_is_named(kth_folder, tmp_path):
    made = generate(folder=kth_folder)
    (file,) = kept(tmp_path)
    file.write_bytes(file.read_bytes()[:3000])
    with pytest.raises(InputError, match=f"{file.name}: expected a whole HDF5 file, .*; delete it"):
        generate(folder=kth_folder)
    with pytest.raises(InputError, match=f"{file.name}: expected a whole HDF5 file"):
        moving_kth.render(Scene.of(made), torch.device("cpu"))


def test_frames_follow_from_the_coordinates_after_the_cache_is_gone(kth_folder, tmp_path):
    made = generate(folder=kth_folder)
    frames = made.frames.values
    kept(tmp_path)[0].unlink()
    assert np.array_equal(moving_kth.render(Scene.of(made), torch.device("cpu")), frames)


def test_a_folder_that_changed_since(kth_videos, tmp_path):
    made = generate(folder=kth_videos(tmp_path, {"person11_walking_d2": (30, "frames 20-30")}))
    kth_videos(tmp_path, {"person11_walking_d2": (10, "frames 1-10")})
    with pytest.raises(
        InputError, match=r"expected the video person11_walking_d2, \d+ frames long .* changed after"
    ):
        moving_kth.render(Scene.of(made), torch.device("cpu"))


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


def test_videos_in_folders_of_their_actions(kth_videos, tmp_path, monkeypatch):
    """As the published archives unpack, below FLOWSIM_DATA."""
    folder = kth_videos(tmp_path / "kth", {"person11_walking_d2": (20, "frames 1-20")})
    (folder / "walking").mkdir()
    (video,) = folder.glob("*.avi")
    video.rename(folder / "walking" / video.name)
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
    "line", ["person11_walking_d2", "person11_walking_d2 frames 1-", "person11_walking_d2 frames 9-4",
             "person11_walking_d2 frames 0-4", "person11_skating_d2 frames 1-4"],
)  # fmt: skip
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


def test_without_pyav(kth_folder, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] == "av":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match="not installed; pip install av$"):
        generate(folder=kth_folder)


def test_no_pictures(tmp_path):
    av = pytest.importorskip("av", reason="PyAV is not installed")
    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(videos.Broken, match="it holds no pictures"):
        videos.grey(tmp_path / "sound.wav", (8, 8))


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


@needs_real
def test_the_real_videos(tmp_path):
    """Each has exactly as many frames as its annotation goes to."""
    av = pytest.importorskip("av", reason="PyAV is not installed")
    with pytest.raises(InputError, match=r"591 videos missing \(person01_boxing_d1, .* and 585 more\)"):
        generate(folder=REAL)
    with pytest.warns(UserWarning, match="left out 591 videos missing"):
        made = generate("valid", REAL, incomplete=True, frames=16, trials=64)
    (file,) = kept(tmp_path)
    count, broken = videos.lengths(file)
    assert count == FRAMES
    assert not broken
    table = kth.annotated(REAL / kth.ANNOTATION)
    last = table.groupby("video")["last"].max()
    assert {name: int(last[name]) for name in FRAMES} == FRAMES
    assert set(made.person.values) == {1, 20, 23, 25}
    assert made.frames.values.std() > 0.05
    with av.open(str(REAL / "person20_walking_d3_uncomp.avi")) as container:
        luma = next(container.decode(video=0)).to_ndarray()[:120].astype(float)
    expected = ((luma - 16) / 219 * 255).clip(0, 255).reshape(8, 15, 8, 20).mean((1, 3))
    generate_small = kth.kept(str(REAL), (8, 8))
    with h5py.File(generate_small) as file:
        np.testing.assert_allclose(file["person20_walking_d3"][0], expected, atol=0.8)
        assert json.loads(file.attrs["damaged"]) == {}
    with (
        pytest.warns(UserWarning, match="left out"),
        pytest.raises(InputError, match="persons of split 'test'"),
    ):
        generate("test", REAL, incomplete=True)


@needs_real
def test_a_real_video_cut_short(tmp_path):
    pytest.importorskip("av", reason="PyAV is not installed")
    content = (REAL / "person23_running_d3_uncomp.avi").read_bytes()
    for share in (0.99, 0.5):
        (tmp_path / "cut.avi").write_bytes(content[: int(share * len(content))])
        with pytest.raises(videos.Broken, match="cannot be decoded|it ends after"):
            videos.grey(tmp_path / "cut.avi", (8, 8))
    changed = content[:500_000] + bytes(20_000) + content[520_000:]
    (tmp_path / "changed.avi").write_bytes(changed)
    with pytest.raises(videos.Broken):
        videos.grey(tmp_path / "changed.avi", (8, 8))


def test_published_splits():
    for persons in kth.SPLITS.values():
        assert sorted(p for split in persons.values() for p in split) == list(range(1, 26))


@pytest.mark.skipif(not REAL.is_dir(), reason="the KTH videos are not in ../shared/data")
def test_real_videos_of_every_split(tmp_path, monkeypatch):
    """The eight of the sample have persons in each split of the released code."""
    monkeypatch.setenv("FLOWSIM_CACHE", str(tmp_path))
    for split, who in {"train": {1, 15, 16}, "valid": {20}, "test": {23, 25}, "probe": {23, 25}}.items():
        with pytest.warns(UserWarning, match="left out 591 videos missing"):
            made = moving_kth.generate(
                split,
                np.random.default_rng(0),
                folder=str(REAL),
                incomplete=True,
                persons="keller",
                trials=30,
            )
        assert set(made.person.values) == who
        assert made.frames.values.std() > 0.05
