"""A stimulus is rendered from its truth, lazily and in blocks, and its scene can be read back from it."""

import numpy as np
import pytest
import torch

from flowsim import Translation
from flowsim.scenes import scene
from flowsim.scenes.scene import Scene, stimulus, truth_value


@pytest.fixture
def rendered():
    """How many trials each call of `render` had."""
    return []


@pytest.fixture
def made(rendered):
    """A stimulus of four trials, whose frames are as bright as their trial's ``level``."""

    def render(part, device):
        rendered.append(len(part))
        level = torch.from_numpy(part["level"]).float()[:, None, None, None]
        return (level * part.settings["contrast"]).expand(-1, part.frames, *part.frame_shape).contiguous()

    def make(flows=None):
        truth = {
            "level": (("trial",), np.array([0.0, 0.25, 0.5, 1.0]), "1", "luminance of all pixels"),
            "bright": truth_value(np.array([False, False, False, True]), "whether it is bright"),
        }
        return stimulus(
            truth,
            render,
            frames=3,
            frame_shape=(4, 5),
            group=Translation(),
            flows=flows,
            settings={"contrast": 0.5},
        )

    return make


def test_frames_are_rendered_when_they_are_read(made, rendered):
    dataset = made()
    assert dataset.frames.dims == ("trial", "time", "y", "x")
    assert not rendered
    np.testing.assert_allclose(dataset.frames[:, 2, 3, 4], [0, 0.125, 0.25, 0.5])
    assert sum(rendered) == 4


def test_blocks_hold_few_trials_where_frames_are_large(made, rendered, monkeypatch):
    expected = made().frames.values
    monkeypatch.setattr(scene, "BLOCK_BYTES", 2 * 4 * 3 * 4 * 5)
    rendered.clear()
    np.testing.assert_array_equal(made().frames, expected)
    assert sorted(rendered) == [2, 2]


def test_flows_transport_the_reference(made):
    dataset = made(flows=[(0, 0), (1, 0)])
    assert dataset.frames.dims == ("flow", "trial", "time", "y", "x")
    assert dataset.flow_vy.values.tolist() == [0, 1]
    np.testing.assert_array_equal(dataset.frames[0], dataset.frames[1])


def test_coordinates_say_their_unit_and_meaning(made):
    dataset = made()
    assert dataset.level.attrs == {"units": "1", "long_name": "luminance of all pixels"}
    assert dataset.bright.dtype == np.int8
    assert dataset.bright.values.tolist() == [0, 0, 0, 1]


def test_the_scene_of_a_stimulus(made):
    read = Scene.of(made())
    assert len(read) == 4
    assert (read.frames, read.frame_shape, read.settings) == (3, (4, 5), {"contrast": 0.5})
    assert read["level"].tolist() == [0, 0.25, 0.5, 1]
    assert read.part(slice(1, 3))["level"].tolist() == [0.25, 0.5]
