"""Frames are taken by name, in [0, 1], in a number type that the network computes with; all else is refused in one line."""

import numpy as np
import pytest
import torch
from torch import nn

from flowsim import InputError, Site, build, open_recording, record
from stimuli import digit_world

STATE = {"state": Site("", ("trial", "time", "unit"), (0,))}


def recorded(network, stimulus, file, **arguments):
    record(network, stimulus, file, **arguments)
    return open_recording(file).load()


@pytest.fixture
def expected(fernn, probe, tmp_path):
    return recorded(fernn, probe, tmp_path / "expected.h5")


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p.transpose("x", "time", "y", "trial", "flow", ...),
        lambda p: p.assign(frames=p.frames.copy(data=p.frames.values[..., ::-1].copy()[..., ::-1])),
        lambda p: p.assign(frames=p.frames.astype(">f4")),
        lambda p: p.assign(frames=p.frames.astype("<f8")),
        lambda p: p.assign(frames=p.frames.astype(np.longdouble)),
        lambda p: p.chunk(trial=1),
    ],
    ids=["order", "negative-strides", "big-endian", "float64", "longdouble", "dask"],
)
def test_the_same_frames_in_another_form_give_the_same_recording(change, fernn, probe, expected, file):
    other = recorded(fernn, change(probe), file)
    for name in ("frames", "state", "prediction"):
        assert other[name].dims == expected[name].dims
        np.testing.assert_array_equal(other[name], expected[name])


@pytest.mark.parametrize("dtype", [np.uint8, bool, np.int64, np.float16])
def test_black_and_white_frames_of_any_type(dtype, fernn, probe, file, tmp_path):
    binary = probe.assign(frames=(probe.frames > 0.5).astype(np.float32))
    other = recorded(fernn, binary.assign(frames=binary.frames.astype(dtype)), file)
    own = recorded(fernn, binary, tmp_path / "own.h5")
    np.testing.assert_array_equal(other.frames, own.frames)
    np.testing.assert_array_equal(other.state, own.state)


def with_value(value):
    def change(probe):
        frames = probe.frames.values.copy()
        frames[3, 1, 2, 4, 5] = value
        return probe.assign(frames=probe.frames.copy(data=frames))

    return change


REFUSED = [
    (lambda p: p.assign(frames=(p.frames * 255).astype(np.uint8)), r"from 0 \(black\) to 1 .* got 0 to 255"),
    (lambda p: p.assign(frames=p.frames * 255), "frames / 255"),
    (lambda p: p.assign(frames=2 * p.frames - 1), "got -1 to 1"),
    (with_value(np.nan), "1 of 1296 values are not finite"),
    (with_value(np.inf), "1 of 1296 values are not finite"),
    (with_value(-999), "got -999 to 1.* mask fill values"),
    (lambda p: p.assign(frames=p.frames.expand_dims(colour=3)), "got .colour, .* make colour frames grey"),
    (lambda p: p.rename(y="height"), "Rename dimensions"),
    (lambda p: p.isel(trial=0), "got .flow, time, y, x.* by a list or slice"),
    (lambda p: p.isel(trial=[]), "0 along trial"),
    (lambda p: p.isel(time=[]), "0 along time"),
    (lambda p: p.assign(frames=p.frames.astype(complex)), "real numbers from 0 to 1; got complex128"),
    (lambda p: p.assign(frames=p.frames.astype(str)), "real numbers from 0 to 1; got <U"),
    (lambda p: p.rename(frames="movie"), "a variable frames; it has movie"),
]


@pytest.mark.parametrize(("change", "message"), REFUSED, ids=[m[1][:25] for m in REFUSED])
def test_other_frames_are_refused(change, message, fernn, probe, file):
    with pytest.raises(InputError, match=message) as error:
        record(fernn, change(probe), file)
    assert "\n" not in str(error.value)
    assert not file.exists()


def test_frames_after_the_context_are_checked_too(fernn, probe, file):
    frames = probe.frames.values.copy()
    frames[..., 5, 0, 0] = np.nan
    with pytest.raises(InputError, match="not finite"):
        record(fernn, probe.assign(frames=probe.frames.copy(data=frames)), file, context=3)


def test_interpolated_frames_may_round(fernn, probe, file):
    record(fernn, probe.assign(frames=probe.frames * np.float32(1 + 1e-6)), file)
    assert float(open_recording(file).frames.max()) > 1


class Weighted(nn.Module):
    """A GRU behind weights that are stored as int8, as quantised networks do."""

    def __init__(self, dtype):
        super().__init__()
        self.stored = nn.Parameter(torch.arange(-36, 36, dtype=torch.int8), requires_grad=False)
        self.scale = nn.Parameter(torch.ones((), dtype=dtype))
        self.gru = nn.GRU(72, 5, batch_first=True, dtype=dtype)

    def forward(self, vectors):
        return self.gru(vectors * self.stored * self.scale / 36)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_frames_have_the_type_of_the_first_floating_point_parameter(dtype, probe, file, shown):
    network = Weighted(dtype)
    recording = recorded(network, probe, file, sites=STATE)
    with torch.no_grad():
        expected = network(shown(probe, 1).flatten(2).to(dtype))[0]
    np.testing.assert_allclose(recording.state[1], expected, atol=1e-6)
    assert float(abs(recording.state).max()) > 0.1


def test_a_network_without_parameters(probe, file):
    class Mean(nn.Module):
        def forward(self, vectors):
            return vectors.mean(-1, keepdim=True)

    recording = recorded(Mean(), probe, file, sites={"state": Site("", ("trial", "time", "unit"))})
    np.testing.assert_allclose(recording.state[..., 0], probe.frames.mean(("y", "x")), rtol=1e-6)


def test_a_dynamically_quantised_network(probe, file, shown):
    if "qnnpack" not in torch.backends.quantized.supported_engines and not torch.backends.quantized.engine:
        pytest.skip("no quantised kernels")

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(72, 5)

        def forward(self, vectors):
            return self.linear(vectors)

    network = Encoder()
    quantised = torch.ao.quantization.quantize_dynamic(network, {nn.Linear}, torch.qint8)
    recording = recorded(quantised, probe, file, sites={"state": Site("", ("trial", "time", "unit"))})
    with torch.no_grad():
        np.testing.assert_allclose(recording.state[1], network(shown(probe, 1).flatten(2)), atol=0.05)


def test_actions_are_taken_by_name(file, tmp_path):
    size = {"height": 9, "width": 8, "world_height": 12, "world_width": 11, "trials": 6, "frames": 6}
    made = digit_world.generate("test", np.random.default_rng(0), **size)
    network = build("self_motion", (9, 8), world=(12, 11), max_speed=1, channels=3)
    own = recorded(network, made, tmp_path / "own.h5")
    other = recorded(network, made.transpose("time", "x", "trial", "y", ...), file)
    np.testing.assert_array_equal(other.prediction, own.prediction)


def test_one_flow_chosen_by_its_number_keeps_its_velocity(fernn, probe, file):
    recording = recorded(fernn, probe.isel(flow=3), file)
    assert recording.flow_vx.dims == ("flow",)
    assert recording.flow_vx.values.tolist() == [float(probe.flow_vx[3])]


def test_the_context_is_at_most_what_there_is(fernn, probe, file):
    assert recorded(fernn, probe, file, context=99).attrs["context"] == 6
