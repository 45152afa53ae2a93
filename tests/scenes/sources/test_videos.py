"""Videos are decoded once and completely, or named."""

import builtins
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from flowsim import InputError
from flowsim.scenes.scene import Scene
from flowsim.scenes.sources import kth, videos
from stimuli import moving_kth

REAL = Path(__file__).parents[4] / "shared" / "data" / "kth"
needs_real = pytest.mark.skipif(not REAL.exists(), reason="shared/data/kth is absent")
FRAMES = {
    "person01_handclapping_d1": 378,
    "person01_jogging_d1": 415,
    "person15_handwaving_d1": 581,
    "person15_running_d1": 325,
    "person16_boxing_d4": 460,
    "person20_walking_d3": 495,
    "person23_running_d3": 280,
    "person25_boxing_d4": 460,
}
"""Of the real videos of the sample."""


def generate(split="train", folder=None, seed=0, **spec):
    spec = {"trials": 20, "frames": 5, "folder": None if folder is None else str(folder), **spec}
    return moving_kth.generate(split, np.random.default_rng(seed), **spec)


def numbers(made):
    """Which frame of its video, from 1, each frame of a trial shows: those of `kth_videos` are of grey 50 +
    4n.
    """
    grey = 255 * np.median(made.frames.values, (2, 3))  # a camera that moves does not change it
    return ((grey - 50) / 4).round()


def kept(tmp_path):
    return sorted((tmp_path / "cache" / "kth").glob("*.h5"))


def test_frames_are_averaged_over_areas():
    """A pixel of 32x32 is the mean of 3.75x5 of the video's; sums are kept, and edges fall where they should."""
    np.testing.assert_allclose(videos.area_shares(6, 3), np.kron(np.eye(3), [[0.5, 0.5]]))
    np.testing.assert_allclose(
        videos.area_shares(5, 2), np.array([[1, 1, 0.5, 0, 0], [0, 0, 0.5, 1, 1]]) / 2.5
    )
    np.testing.assert_allclose(videos.area_shares(2, 4), np.kron(np.eye(2), [[1], [1]]))
    for length, parts in ((120, 32), (160, 32), (7, 5)):
        share = videos.area_shares(length, parts)
        np.testing.assert_allclose(share.sum(1), 1, rtol=1e-6)
        np.testing.assert_allclose(share.sum(0), parts / length, rtol=1e-6)


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
    with pytest.raises(InputError, match=f"{file.name}: expected a whole HDF5 file, .*If flowsim made it"):
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
        InputError, match=r"expected the video person11_walking_d2 with at least \d+ frames; .* changed after"
    ):
        moving_kth.render(Scene.of(made), torch.device("cpu"))


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
    with pytest.raises(videos.DamagedVideo, match="it holds no pictures"):
        videos.grey(tmp_path / "sound.wav", (8, 8))


@needs_real
def test_the_real_videos(tmp_path):
    """Each has exactly as many frames as its annotation goes to."""
    av = pytest.importorskip("av", reason="PyAV is not installed")
    with pytest.raises(InputError, match=r"591 videos missing \(person01_boxing_d1, .* and 585 more\)"):
        generate(folder=REAL)
    with pytest.warns(UserWarning, match="left out 591 videos missing"):
        made = generate("valid", REAL, incomplete=True, frames=16, trials=64)
    (file,) = kept(tmp_path)
    count, damaged = videos.lengths(file)
    assert count == FRAMES
    assert not damaged
    table = kth.annotated(REAL / kth.ANNOTATION)
    last = table.groupby("video")["last"].max()
    assert {name: int(last[name]) for name in FRAMES} == FRAMES
    assert set(made.person.values) == {1, 20, 23, 25}
    assert made.frames.values.std() > 0.05
    with av.open(str(REAL / "person20_walking_d3_uncomp.avi")) as container:
        luma = next(container.decode(video=0)).to_ndarray()[:120].astype(float)
    expected = ((luma - 16) / 219 * 255).clip(0, 255).reshape(8, 15, 8, 20).mean((1, 3))
    generate_small = kth.decoded_videos(str(REAL), (8, 8))
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
        with pytest.raises(videos.DamagedVideo, match="cannot be decoded|it ends after"):
            videos.grey(tmp_path / "cut.avi", (8, 8))
    changed = content[:500_000] + bytes(20_000) + content[520_000:]
    (tmp_path / "changed.avi").write_bytes(changed)
    with pytest.raises(videos.DamagedVideo):
        videos.grey(tmp_path / "changed.avi", (8, 8))
