"""Videos are counted as their annotation counts, split by person, and moved exactly."""

from pathlib import Path

import numpy as np
import pytest

from flowsim import InputError
from flowsim.scenes.sources import kth
from stimuli import moving_kth

REAL = Path(__file__).parents[3] / "shared" / "data" / "kth"
needs_real = pytest.mark.skipif(not REAL.exists(), reason="shared/data/kth is absent")


@pytest.fixture(autouse=True)
def places(monkeypatch, tmp_path):
    """No folder of data is named, and the cache is empty."""
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
    still = kth.annotated_clips(
        str(kth_folder),
        made.person.values,
        made.label.values[:, 0],
        made.scenario.values,
        made.first_frame.values,
        5,
        (32, 32),
    )
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


def test_the_size_is_the_one_asked_for(kth_folder):
    made = generate("train", kth_folder, height=6, width=4, max_speed=0)
    assert made.frames.shape[-2:] == (6, 4)
    row = made.frames.values[0, 0, 3] * 255
    np.testing.assert_allclose(row[1:], row[1], atol=2)
    assert row[1] - row[0] == pytest.approx(40 * 255 / 256, abs=6), "the darker quarter is one column of four"


@needs_real
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
