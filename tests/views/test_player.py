"""The player has the frames, predictions and maps of a recording, as bytes, and not too many of them."""

import base64
import io
import json

import numpy as np
import pytest
import xarray as xr
from PIL import Image

from flowsim.files import netcdf
from flowsim.views import player
from flowsim.views.player import picture, scene

FLOWS = [(0.0, 0.0), (0.0, 1.0)]


def recording(path, velocities, trials=3, times=4, noise=0.0):
    """A state that moves as the law of transport and shift says, or lags where its only velocity is 0."""
    rng = np.random.default_rng(0)
    image = np.zeros((trials, 6, 6), np.float32)
    image[:, 2, 2] = 1
    frames = np.stack(
        [np.stack([np.roll(image, int(t * vx), -1) for t in range(times)], 1) for _, vx in FLOWS]
    )
    state = np.repeat(frames[:, :, :, None, None], len(velocities), 3)
    state = np.repeat(state, 5, 4) * np.arange(5)[:, None, None] + noise * rng.random(state.shape)
    prediction = frames.copy()
    prediction[:, :, 0] = np.nan
    over = ("flow", "trial", "time")
    dataset = xr.Dataset(
        {
            "frames": ((*over, "y", "x"), frames),
            "prediction": ((*over, "y", "x"), prediction),
            "state": ((*over, "velocity", "channel", "y", "x"), state.astype(np.float32), {"law": ""}),
        },
        {
            "time": np.arange(times),
            "flow_vy": ("flow", [vy for vy, _ in FLOWS]),
            "flow_vx": ("flow", [vx for _, vx in FLOWS]),
            "velocity_vy": ("velocity", [float(vy) for vy, _ in velocities]),
            "velocity_vx": ("velocity", [float(vx) for _, vx in velocities]),
        },
        {"flow_group": "translation", "velocity_group": "translation", "context": 1},
    )
    netcdf.write(dataset, path, {"stage": "recording", "seed": 0, "network": path.stem, "parameters": 7})
    return path


def tiles(shown, rows, times):
    """The picture as an array (row, time, y, x)."""
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(shown["png"]))))
    height, width = shown["height"], shown["width"]
    return sheet.reshape(rows, height, times, width).swapaxes(1, 2)


def test_a_scene_has_what_was_recorded(tmp_path):
    shown = scene("probe", {"a": recording(tmp_path / "a.h5", FLOWS)})
    assert (shown["times"], shown["context"]) == ([0, 1, 2, 3], 1)
    assert shown["flows"][0] == "at rest"
    assert "vx" in shown["flows"][1]
    (network,) = shown["networks"]
    assert network["mse"][0][0] == [None, 0.0, 0.0, 0.0]
    assert network["state"]["channels"] == [4, 3, 2, 1]
    assert network["state"]["has"] == [True, True]
    frames = tiles(shown["frames"], 2 * 3, 4)
    assert frames[3, 2, 2].tolist() == [0, 0, 0, 0, 255, 0]  # the second flow, moved by 2
    raw, carried = (tiles(network["state"][kind], 2 * 3 * 4, 4) for kind in ("raw", "carried"))
    most_active = 3 * 4  # flow 1, trial 0, the first channel
    assert raw[most_active, 3].argmax() == 2 * 6 + 5
    assert [one.argmax() for one in carried[most_active]] == [2 * 6 + 2] * 4
    json.dumps(shown)


def test_a_flow_without_a_velocity_channel_has_no_map(tmp_path):
    shown = scene("probe", {"a": recording(tmp_path / "a.h5", [(0, 0), (1, 0)])})
    assert shown["networks"][0]["state"]["has"] == [True, False]
    single = scene("probe", {"a": recording(tmp_path / "b.h5", [(0, 0)])})
    assert single["networks"][0]["state"]["has"] == [True, True]


def test_trials_and_times_are_left_out_where_there_are_too_many(tmp_path, monkeypatch):
    path = recording(tmp_path / "a.h5", FLOWS, noise=1.0)
    monkeypatch.setattr(player, "BYTES", 3000)
    shown = scene("probe", {"a": path})
    assert len(shown["trials"]) < 3
    monkeypatch.setattr(player, "PIXELS", 1)
    assert (len(scene("probe", {"a": path})["trials"]), scene("probe", {"a": path})["times"]) == (1, [0])


@pytest.mark.parametrize(("low", "levels"), [(0.0, [0, 128, 255]), (-1.0, [128, 192, 255])])
def test_zero_is_one_level_of_a_picture(low, levels):
    values = np.array([0.0, 0.5, 1.0]).reshape(1, 1, 1, 1, 1, 3)
    shown = picture(values, low, 1.0)
    assert tiles(shown, 1, 1).ravel().tolist() == levels
    assert shown["signed"] == (low < 0)


def test_conditions_of_a_control_are_called_by_their_names(tmp_path):
    """They are no flows: nothing is carried back, and the page has its scene."""
    path = recording(tmp_path / "a.h5", [(0, 0)])
    meanings = {"flag_values": np.array([0, 2], np.int8), "flag_meanings": "intact reversed"}
    made = netcdf.read(path, "recording").load().drop_vars(["flow_vy", "flow_vx"])
    made = made.assign_coords(condition=("flow", np.array([0, 2], np.int8), meanings))
    netcdf.write(made, tmp_path / "b.h5", {"stage": "recording", "seed": 0, "network": "b", "parameters": 7})
    shown = scene("control", {"b": tmp_path / "b.h5"})
    assert shown["flows"] == ["intact", "reversed"]
    maps = shown["networks"][0]["state"]
    assert maps["raw"] == maps["carried"]
