"""Stimuli from arrays, movies and folders of one's own."""

import json

import numpy as np
import pytest
import torch
import xarray as xr
from PIL import Image

from flowsim import Flow, InputError, Rotation, from_frames
from flowsim.files import coordinates, netcdf
from flowsim.scenes.velocities import probes

FLOWS = [(0, 1), (0, 0), (-2, 1)]


@pytest.fixture
def frames(rng):
    return rng.random((3, 5, 6, 7)).astype(np.float32)


def test_the_probe_of_a_library_stimulus_comes_out_the_same(probe):
    made = from_frames(probe.frames[0].values, flows=probes(1), truth={"label": probe.label.values})
    np.testing.assert_array_equal(made.frames, probe.frames)
    for name in ("time", "flow_vy", "flow_vx", "label"):
        np.testing.assert_array_equal(made[name], probe[name])
        assert made[name].dims == probe[name].dims
        assert made[name].attrs["units"] == probe[name].attrs["units"]
    assert made.attrs["flow_group"] == probe.attrs["flow_group"]


def test_rest_comes_first_and_transports_are_exact(frames):
    made = from_frames(frames, flows=FLOWS)
    assert [flow.velocity for flow in coordinates.flows(made)] == [(0, 0), (0, 1), (-2, 1)]
    np.testing.assert_array_equal(made.frames[0], frames)
    for t in range(5):
        np.testing.assert_array_equal(made.frames[2, :, t], np.roll(frames[:, t], (-2 * t, t), (-2, -1)))


@pytest.mark.parametrize(
    "form",
    [
        lambda f: f[:, :, None],
        torch.from_numpy,
        lambda f: torch.from_numpy(f)[:, :, None].requires_grad_(),
        lambda f: f.tolist(),
        np.asfortranarray,
    ],
)
def test_the_same_frames_in_another_form(form, frames):
    np.testing.assert_array_equal(
        from_frames(form(frames), flows=FLOWS).frames, from_frames(frames, flows=FLOWS).frames
    )


def test_frames_that_are_moved_already_keep_their_order(frames):
    moved = from_frames(frames, flows=FLOWS).frames.values[[1, 0, 2]]
    made = from_frames(moved, flows=FLOWS)
    np.testing.assert_array_equal(made.frames, moved)
    assert [flow.velocity for flow in coordinates.flows(made)] == FLOWS


def test_without_flows_and_in_float64(frames):
    made = from_frames(frames.astype(np.float64))
    assert made.frames.dims == ("trial", "time", "y", "x")
    assert made.frames.dtype == np.float64
    assert from_frames(frames.astype(np.float64), flows=FLOWS).frames.values.dtype == np.float64


def test_another_group_of_flows(frames):
    made = from_frames(frames, flows=[10.0], group=Rotation())
    expected = Flow(Rotation(), (10,)).transport(torch.from_numpy(frames)).clamp(0, 1)
    np.testing.assert_array_equal(made.frames[1], expected)
    assert made.flow_omega.values.tolist() == [0, 10]


def test_trials_are_cut_and_frames_resized(frames):
    made = from_frames(frames, length=2, frame_shape=(3, 7))
    np.testing.assert_allclose(made.frames[1], frames[0, 2:4].reshape(2, 3, 2, 7).mean(2), atol=1e-6)
    assert made.sizes == {"trial": 6, "time": 2, "y": 3, "x": 7}


def test_it_says_what_it_was_made_of_and_can_be_written(frames, tmp_path):
    made = from_frames(
        frames,
        flows=FLOWS,
        truth={"label": [0, 1, 2], "trained": [True, False, True], "colour": list(range(3))},
    )
    said = json.loads(made.attrs["specification"])["from_frames"]
    assert said["shape"] == [3, 5, 6, 7]
    assert (
        said["sha256"] != json.loads(from_frames(1 - frames).attrs["specification"])["from_frames"]["sha256"]
    )
    netcdf.write(made, tmp_path / "own.h5", {"stage": "stimulus"})
    again = netcdf.read(tmp_path / "own.h5", "stimulus")
    assert again.label.dims == ("trial", "object")
    assert again.trained.dims == again.colour.dims == ("trial",)
    np.testing.assert_array_equal(again.frames, made.frames)


SMALL = np.zeros((2, 3, 4, 5), np.float32)
REFUSED = [
    (SMALL[0], {}, r"expected frames \(trial, time, y, x\), .*; got \(3, 4, 5\). Add a missing axis"),
    (np.zeros((2, 3, 3, 4, 5)), {}, "make colour grey, by mean"),
    (np.zeros((2, 3, 3, 4, 5)), {"flows": FLOWS}, r"with 3 flows, as many as velocities; got \(2, 3, 3"),
    (
        np.zeros((2, 3, 3, 4, 5)),
        {"flows": [(0, 1), (1, 0)]},
        "expected rest among the flows of frames that are",
    ),
    (SMALL + 200, {}, r"from 0 \(black\) to 1 \(white\); got 200 to 200. Scale them"),
    (SMALL * np.nan, {}, "120 of 120 values are not finite"),
    (SMALL, {"flows": [(0, 0)]}, "each velocity once, and one that moves; none of"),
    (SMALL, {"flows": [(0, 1), (0, 1)]}, r"one that moves; \(0, 1\) comes twice"),
    (
        SMALL,
        {"flows": 2},
        r"flows: expected a list of velocities \(vy, vx\), such as \[\(0, 0\), \(1, 2\)\]; got 2",
    ),
    (SMALL, {"flows": [1, 2]}, r"list of velocities \(vy, vx\), .*; got \[1, 2\]"),
    (
        SMALL,
        {"flows": [(0, 0), (0, np.nan)]},
        r"flows: expected finite velocities; got \[\(0, 0\), \(0, nan\)",
    ),
    (SMALL, {"length": 4}, "length: expected 1 to 3 frames, as many as a trial has; got 4"),
    (SMALL, {"frame_shape": (0, 4)}, "frame_shape: expected a height and a width"),
    (SMALL, {"truth": {"label": [1]}}, "expected label with a value for each of 2 trials; got the shape"),
    ("nowhere.mp4", {}, "nowhere.mp4: expected a movie, or a folder"),
    ([["a"]], {}, "array of real numbers, a tensor or a path; got list of <U1"),
    ([np.zeros((2, 3)), np.zeros((2, 4))], {}, "of one size; the trials have several"),
    (xr.Dataset(), {}, "got xarray's Dataset, whose axes have names already"),
]


@pytest.mark.parametrize(("source", "settings", "message"), REFUSED, ids=[case[2][:40] for case in REFUSED])
def test_what_does_not_fit_is_refused_in_one_line(source, settings, message):
    with pytest.raises(InputError, match=message) as refused:
        from_frames(source, **settings)
    assert "\n" not in str(refused.value)


def pictures(folder, count, size=(6, 8), suffix="png"):
    folder.mkdir(parents=True)
    for t in range(count):
        Image.fromarray(np.full(size, 10 * t, np.uint8)).save(folder / f"frame{t}.{suffix}")


def test_a_folder_of_pictures_in_the_order_of_their_numbers(tmp_path):
    pictures(tmp_path / "clip", 12)
    made = from_frames(tmp_path / "clip", length=4, flows=[(0, 1)])
    assert made.sizes == {"flow": 2, "trial": 3, "time": 4, "y": 6, "x": 8}
    np.testing.assert_allclose(made.frames[0, :, :, 0, 0].values.ravel(), np.arange(12) * 10 / 255, atol=1e-6)


def test_a_folder_of_folders_is_a_trial_each(tmp_path):
    pictures(tmp_path / "clips" / "a", 4)
    pictures(tmp_path / "clips" / "b", 6, (12, 16), "tif")
    with pytest.raises(
        InputError, match=r"trials of one size .*; got \(4, 6, 8\), \(6, 12, 16\). Give `length`"
    ):
        from_frames(tmp_path / "clips")
    assert from_frames(tmp_path / "clips", length=3, frame_shape=(3, 4)).sizes["trial"] == 3


def test_an_animation_and_a_movie(tmp_path):
    pages = [Image.fromarray(np.full((16, 16), value, np.uint8)) for value in (0, 100, 200)]
    pages[0].save(tmp_path / "a.gif", save_all=True, append_images=pages[1:])
    found = from_frames(tmp_path / "a.gif").frames[0, :, 0, 0].values
    np.testing.assert_allclose(found, np.array([0, 100, 200]) / 255, atol=0.01)
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "a.avi"), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuvj420p"
        for page in pages:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(page), format="gray")))
        container.mux(stream.encode())
    found = from_frames(tmp_path / "a.avi", frame_shape=(8, 8)).frames[0, :, 0, 0].values
    np.testing.assert_allclose(found, np.array([0, 100, 200]) / 255, atol=0.03)


def test_files_that_are_no_pictures(tmp_path):
    (tmp_path / "a.png").write_text("no")
    with pytest.raises(InputError, match=r"a.png: expected a picture; it cannot be read"):
        from_frames(tmp_path / "a.png")
    (tmp_path / "b.mp4").write_text("no")
    with pytest.raises(InputError, match=r"b.mp4: expected a movie that can be decoded"):
        from_frames(tmp_path / "b.mp4")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: expected pictures .*; found nothing"):
        from_frames(tmp_path / "empty")
    pictures(tmp_path / "mixed", 2)
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(tmp_path / "mixed" / "z.png")
    with pytest.raises(InputError, match="pictures of one size; got 3x3, 6x8. Give `frame_shape`"):
        from_frames(tmp_path / "mixed")
