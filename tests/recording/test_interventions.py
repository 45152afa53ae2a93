"""What a network carries is replaced as asked, in all kinds of networks, and nothing else is touched."""

import json
from dataclasses import dataclass
from typing import NamedTuple

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from flowsim import (
    Flow,
    InputError,
    Site,
    Translation,
    VelocityGrid,
    build,
    from_frames,
    open_recording,
    record,
)
from flowsim.recording import layout
from flowsim.recording.settings import InterventionBlock, RecordBlock
from flowsim.recording.sites import with_entry
from flowsim.specification import validate

SHAPE = (5, 6)
FLOWS = [(0, 0), (0, 1), (1, 1)]
CONTEXT, TIME, TRIALS = 3, 7, 4
U = (1, 2)
LAW = {
    "law": {"law": U},
    "transport": {"law": U, "part": "transport"},
    "shift": {"law": U, "part": "shift"},
}


def stimulus(dtype=np.float64, flows=FLOWS, trials=TRIALS):
    return from_frames(np.random.default_rng(0).random((trials, TIME, *SHAPE)).astype(dtype), flows=flows)


def network(name="fernn", dtype=torch.float64, **spec):
    torch.manual_seed(0)
    usual = {"velocities": "closed", "channels": 3, "decoder_layers": 0} if name == "fernn" else {}
    return build(name, SHAPE, **usual | spec).to(dtype).eval()


def recorded(subject, intervene, file, frames=None, **arguments):
    given = {"context": CONTEXT, "dtype": "float64", **arguments}
    record(subject, stimulus() if frames is None else frames, file, intervene=intervene, **given)
    return open_recording(file, verify=True).load()


def moved(frames, u=U, times=None):
    """(trial, time, y, x), each frame moved on."""
    return Flow(Translation(), u).transport(torch.from_numpy(frames)[:, :, None], times)[:, :, 0].numpy()


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("layers", [1, 2])
def test_the_law_moves_the_prediction_and_its_parts_do_not(cell, layers, file):
    made = recorded(network(cell=cell, layers=layers), LAW, file)
    plain, after = made.prediction.values[0], slice(CONTEXT, None)
    expected, spread = moved(plain), plain[:, after].std((0, 2, 3))
    for name in LAW:
        found = made.intervened_prediction.sel(intervention=name).values[0]
        np.testing.assert_array_equal(found[:, 1:CONTEXT], plain[:, 1:CONTEXT])
        error = np.sqrt(((found - expected)[:, after] ** 2).mean((0, 2, 3))) / spread
        assert (error < 1e-12).all() if name == "law" else (error > 0.5).all(), name


def test_the_state_at_the_frame_is_the_one_that_was_put_in(file):
    made = recorded(network(), LAW, file)
    state, at = made.state.values, CONTEXT - 1
    grid = network().grid
    expected = grid.shift(Flow(Translation(), U).act(torch.from_numpy(state[:, :, at]), at)[None], U, 3)[0]
    found = made.intervened_state.sel(intervention="law").values
    np.testing.assert_array_equal(found[:, :, at], expected)
    np.testing.assert_array_equal(found[:, :, :at], state[:, :, :at])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_an_interchange_of_everything_is_the_other_run_to_the_bit(cell, dtype, file):
    subject = network(cell=cell, layers=2, max_speed=1, velocities=None, dtype=dtype)
    asked = {"flow": {"flow": FLOWS[2]}, "trial": {"trial": 1}, "nothing": {"law": (0, 0)}}
    made = recorded(subject, asked, file)
    for site, first in (("prediction", CONTEXT), ("state", CONTEXT - 1)):
        plain, under = made[site].values[:, :, first:], made[f"intervened_{site}"][:, :, :, first:]
        np.testing.assert_array_equal(under.sel(intervention="flow"), np.broadcast_to(plain[2], plain.shape))
        rounding = {torch.float32: 1e-6, torch.float64: 1e-14}[dtype]  # which depends on a trial's place
        np.testing.assert_allclose(
            under.sel(intervention="trial"), np.roll(plain, -1, 1), rtol=0, atol=rounding
        )
        np.testing.assert_array_equal(under.sel(intervention="nothing"), plain)


def test_an_interchange_across_blocks_of_trials(file, monkeypatch):
    monkeypatch.setattr(layout, "MEMORY", 1)
    made = recorded(network(), {"trial": {"trial": 3}}, file)
    np.testing.assert_array_equal(
        made.intervened_prediction[0, :, :, CONTEXT:], np.roll(made.prediction.values[:, :, CONTEXT:], -3, 1)
    )


def test_while_frames_are_shown_the_law_needs_those_of_the_flow(file):
    """What is seen after the intervention flows by u too, and so does what a network makes of it."""
    asked = {"sees": {"law": FLOWS[2], "at": 2, "sees": FLOWS[2]}, "does not": {"law": FLOWS[2], "at": 2}}
    made = recorded(network(), asked, file, context=None)
    expected = made.prediction.values[2, :, 3:]
    assert abs(made.intervened_prediction.sel(intervention="sees").values[0, :, 3:] - expected).max() < 1e-12
    assert (
        abs(made.intervened_prediction.sel(intervention="does not").values[0, :, 3:] - expected).max() > 0.01
    )
    np.testing.assert_array_equal(made.intervention_time, [2, 2])


def test_channels_without_a_partner_hold_zeros_and_are_counted(file):
    made = recorded(network(velocities=None, max_speed=1), {"law": {"law": (0, 1)}}, file)
    at = made.intervened_state.values[0][:, :, CONTEXT - 1]
    missing = made.velocity_vx.values == -1
    assert (at[:, :, missing] == 0).all()
    assert (at[:, :, ~missing] != 0).any((0, 1, 3, 4, 5)).all()
    assert json.loads(made.attrs["interventions"])["law"]["coverage"] == pytest.approx(6 / 9)


def test_parts_that_are_chosen_are_replaced_and_no_others(file):
    asked = {
        "zeros": {"zeros": True, "channels": [1]},
        "noise": {"noise": 2.0, "velocities": [[0, 1], [1, 1]]},
        "flow": {"flow": FLOWS[1], "channels": [0, 2], "velocities": [[0, 0]]},
        "memory": {"zeros": True, "sites": ["state_memory"]},
    }
    made = recorded(network(cell="lstm"), asked, file)
    before, at = made.state.values[:, :, CONTEXT - 1], made.intervened_state.values[:, :, :, CONTEXT - 1]
    velocities = list(zip(made.velocity_vy.values, made.velocity_vx.values, strict=True))
    change = {name: (one != before).any((0, 1, 4, 5)) for name, one in zip(asked, at, strict=True)}
    assert change["zeros"].sum(0).tolist() == [0, len(velocities), 0]
    assert (at[0][:, :, :, 1] == 0).all()
    assert [v for v, changed in zip(velocities, change["noise"].any(1), strict=True) if changed] == [
        (0, 1),
        (1, 1),
    ]
    chosen = at[1][:, :, [velocities.index((0, 1)), velocities.index((1, 1))]]
    assert chosen.std() == pytest.approx(2, rel=0.1)
    np.testing.assert_array_equal(chosen[0], chosen[1])  # the same under all flows
    assert (chosen[0, 0] != chosen[0, 1]).any()
    rest = velocities.index((0, 0))
    np.testing.assert_array_equal(
        at[2][:, :, rest, ::2], np.broadcast_to(before[1][:, rest, ::2], before[:, :, rest, ::2].shape)
    )
    assert change["flow"].sum() == 2
    assert not change["memory"].any()  # of the state; but what follows changes
    later = made.intervened_state.values[3][:, :, CONTEXT:] != made.state.values[:, :, CONTEXT:]
    assert later.any()


def test_values_of_another_recording(file, tmp_path):
    recorded(network(), None, tmp_path / "donor.h5", frames=stimulus()[{"trial": [1, 2, 3, 0]}])
    made = recorded(network(), {"other": {"recording": str(tmp_path / "donor.h5")}}, file)
    # the state is all that an rnn of one layer carries
    np.testing.assert_allclose(
        made.intervened_prediction[0, :, :, CONTEXT:],
        np.roll(made.prediction.values[:, :, CONTEXT:], -1, 1),
        atol=1e-14,
    )


def test_the_file_says_what_was_done_and_announces_its_size(file):
    said, done = [], []
    made = recorded(
        *(network(), LAW | {"n": {"noise": 1.0, "at": 4}}, file),
        announce=said.append,
        report=lambda *progress: done.append(progress),
        intervened_sites=["prediction"],
    )
    assert "intervened_prediction 4x3x4x7x5x6 as float64" in said[0]
    assert "intervened_state" not in made
    assert done[-1][0] == done[-1][1] > 0
    assert made.intervention.values.tolist() == [*LAW, "n"]
    assert made.intervention_time.values.tolist() == [2, 2, 2, 4]
    assert json.loads(made.attrs["interventions"]) == {
        "law": {"law": [1, 2], "at": 2, "part": "transport+shift", "coverage": 1},
        "transport": {"law": [1, 2], "at": 2, "part": "transport", "coverage": 1},
        "shift": {"law": [1, 2], "at": 2, "part": "shift", "coverage": 1},
        "n": {"noise": 1, "at": 4},
    }
    with h5py.File(file) as h5:
        assert h5["intervened_prediction"].chunks[:2] == (1, 3)  # one intervention, all flows


def test_a_recording_without_interventions_is_as_it_was(file, tmp_path):
    plain = recorded(network(), None, file)
    assert "intervention" not in plain.dims
    beside = recorded(network(), LAW, tmp_path / "with.h5")
    for name in ("state", "prediction", "frames"):
        np.testing.assert_array_equal(plain[name], beside[name])


class Accumulator(nn.Module):
    """h_t(v) = psi_1(v) h_(t-1)(v) / 2 + f_t; a prediction from the state that was moved on."""

    grid = VelocityGrid.closed(Translation(), SHAPE)

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, frame, state=None):
        if frame.ndim != 4:
            raise ValueError("one frame at a time")
        flows = [Flow(Translation(), v) for v in self.grid.velocities]
        if state is None:
            state = frame.new_zeros(len(frame), len(flows), *frame.shape[1:])
        state = torch.stack([flow.act(state[:, i]) / 2 + frame for i, flow in enumerate(flows)], 1)
        ahead = torch.stack([flow.act(state[:, i]) for i, flow in enumerate(flows)], 1)
        return ahead.amax(1), state


def test_a_network_of_one_s_own_that_goes_on_from_its_state(file, untouched):
    """Its prediction of the frame after t0 was made in the call in which the state was replaced."""
    subject, at, u = Accumulator(), 2, FLOWS[2]
    asked = {name: one | {"law": u, "at": at, "sees": u} for name, one in LAW.items()}
    asked |= {"flow": {"flow": u, "at": at, "sees": u}, "zeros": {"zeros": True, "at": at}}
    made = recorded(subject, asked, file, context=5)
    plain, under, after = made.prediction.values, made.intervened_prediction, slice(at + 2, None)
    np.testing.assert_array_equal(
        under[:, :, :, at + 1], np.broadcast_to(plain[:, :, at + 1], (5, *plain[:, :, 0].shape))
    )
    for name in LAW:
        error = abs(under.sel(intervention=name).values[0][:, after] - moved(plain[0], u)[:, after])
        assert error.max() < 1e-12 if name == "law" else error.max() > 0.05, name
    np.testing.assert_array_equal(under.sel(intervention="flow")[0, :, after], plain[2][:, after])
    assert (made.intervened_state.sel(intervention="zeros")[:, :, at] == 0).all()
    assert json.loads(made.attrs["interventions"])["law"]["prediction_lag"] == 1
    assert untouched(subject)


@pytest.mark.parametrize("batch_first", [True, False])
def test_a_gru_of_torch(batch_first, file, untouched):
    """Shown one frame at a time, it goes on from the state that was put in."""
    torch.manual_seed(0)
    subject = nn.GRU(30, 8, batch_first=batch_first).double()
    asked = {
        "flow": {"flow": FLOWS[1], "at": 2, "sees": FLOWS[1]},
        "trial": {"trial": 2, "at": 2},
        "zeros": {"zeros": True, "at": 2},
        "first units": {"zeros": True, "at": 2, "channels": [0, 1]},
    }
    made = recorded(subject, asked, file, sites=["state"], context=None)
    assert made.state.sizes["unit"] == 8
    plain, under = made.state.values, made.intervened_state
    frames = torch.from_numpy(made.frames.values).flatten(3)

    def shown(vectors, state=None):
        """States (trial, time, unit) while vectors are shown, from a state (trial, unit)."""
        given = vectors if batch_first else vectors.transpose(0, 1)
        states = subject(given, None if state is None else state[None].contiguous())[0]
        return (states if batch_first else states.transpose(0, 1)).numpy()

    with torch.no_grad():
        for flow in range(3):
            np.testing.assert_allclose(plain[flow], shown(frames[flow]), atol=1e-12)
            at = torch.from_numpy(plain[flow][:, 2])
            for name, state in (("zeros", 0 * at), ("trial", at.roll(-2, 0))):
                expected = shown(frames[flow][:, 3:], state)
                np.testing.assert_allclose(under.sel(intervention=name)[flow, :, 3:], expected, atol=1e-12)
    np.testing.assert_array_equal(
        under.sel(intervention="flow")[:, :, 2:], np.broadcast_to(plain[1], plain.shape)[:, :, 2:]
    )
    at = under.sel(intervention="first units")[:, :, 2]
    assert (at[..., :2] == 0).all()
    np.testing.assert_array_equal(at[..., 2:], plain[:, :, 2, 2:])
    assert untouched(subject)


def test_an_lstm_of_torch_carries_two_things(file):
    subject = nn.LSTM(30, 8, batch_first=True).double()
    made = recorded(
        subject, {"flow": {"flow": FLOWS[1], "at": 2, "sees": FLOWS[1]}}, file, sites=["state"], context=None
    )
    assert made.state.sizes["unit"] == 16
    plain = made.state.values
    np.testing.assert_array_equal(
        made.intervened_state[0, :, :, 2:], np.broadcast_to(plain[1], plain.shape)[:, :, 2:]
    )


def test_a_hand_written_conv_lstm(conv, conv_sites, called, file, untouched):
    """On the torus, moving all that it carries moves all that follows by as much, and no more."""
    sites = conv_sites | {"memory_below": Site("cells.0", ("trial", "channel", "y", "x"), (1,))}
    everything = list(sites)
    sites["prediction"] = Site("readout", ("trial", "channel", "y", "x"), start=1)
    asked = {
        "transport": {"law": U, "part": "transport", "sites": everything},
        "transport of the state alone": {"law": U, "part": "transport"},
        "law": {"law": U, "sites": everything},
        "flow": {"flow": FLOWS[2], "sites": everything},
        "trial": {"trial": 1, "sites": everything},
    }
    made = recorded(conv.double(), asked, file, sites=sites, feed=called)
    plain, under, after = made.prediction.values, made.intervened_prediction, slice(CONTEXT, None)
    lagging = np.roll(plain, ((CONTEXT - 1) * U[0], (CONTEXT - 1) * U[1]), (-2, -1))[:, :, after]
    np.testing.assert_allclose(under.sel(intervention="transport")[:, :, after], lagging, atol=1e-14)
    for name in ("transport of the state alone", "law"):
        assert abs(under.sel(intervention=name).values[:, :, after] - lagging).max() > 1e-3
    np.testing.assert_allclose(
        under.sel(intervention="trial")[:, :, after], np.roll(plain, -1, 1)[:, :, after], atol=1e-14
    )
    np.testing.assert_array_equal(under.sel(intervention="flow")[0, :, after], plain[2][:, after])
    at = CONTEXT - 1
    assert (
        made.intervened_memory_below.sel(intervention="law")[:, :, at] == 0
    ).all()  # no velocity has a partner
    assert untouched(conv)


def test_hooks_are_removed_whatever_fails(conv, conv_sites, called, file, untouched):
    calls = []

    def feed(network, frames, horizon):
        network(frames, horizon)
        calls.append(1)
        if len(calls) > 2:
            raise ValueError("as networks do")

    asked = {"zeros": {"zeros": True, "at": 2}}
    with pytest.raises(ValueError, match="as networks do"):
        recorded(conv.double(), asked, file, sites=conv_sites, feed=feed)
    assert untouched(conv)
    assert not file.exists()
    for wrong, message in (
        ({"zeros": True, "at": 2, "channels": [9]}, "intervene.a: expected channels below 4; got"),
        (
            {"zeros": True, "at": 2, "sites": ["deep"]},
            "expected sites that are recorded, out of state, below",
        ),
        ({"law": U, "at": 2, "velocities": [[1, 1]]}, "a law acts on all channels and velocities"),
        (
            {"zeros": True, "at": 2, "velocities": [[1, 1]]},
            r"expected velocities out of the network's \(0, 0\)",
        ),
    ):
        with pytest.raises(InputError, match=message):
            recorded(conv, {"a": wrong}, file, sites=conv_sites, feed=called)
        assert untouched(conv)
        assert not file.exists()


def test_a_module_that_is_called_for_all_frames_at_once_cannot_go_on(file, untouched):
    subject = nn.GRU(30, 8, batch_first=True).double()
    sites = {"state": Site("", ("trial", "time", "unit"), (0,))}
    with pytest.raises(
        InputError, match="site state to be put out for one frame at a time.*for 7 frames at once"
    ):
        recorded(subject, {"a": {"zeros": True, "at": 2}}, file, sites=sites, context=None)
    assert untouched(subject)
    plain = nn.Sequential(nn.Flatten(2), nn.Linear(30, 4)).double()
    with pytest.raises(InputError, match="expected a network that goes on from the state that it gave"):
        recorded(plain, {"a": {"zeros": True, "at": 2}}, file, sites=["state"], context=None)


WRONG = [
    ({}, "intervene.a: expected one of law, flow, trial, recording, zeros, noise; got none"),
    ({"zeros": True, "noise": 1.0}, "got zeros and noise"),
    ({"law": [1]}, r"law: a velocity of translation has 2 component\(s\) vy, vx; got \(1.0,\)"),
    ({"zeros": True, "part": "shift"}, "part is of a law; got 'shift' without one"),
    ({"law": U, "channels": [0]}, "a law acts on all channels and velocities; leave out channels"),
    ({"zeros": True, "at": 6}, "expected a frame before the last that is recorded, 6, .* got at 6"),
    ({"flow": [5, 5]}, r"flow: expected a recorded flow, of velocity \(0, 0\), .*; got \(5, 5\)"),
    ({"zeros": True, "sees": [5, 5]}, "sees: expected a recorded flow"),
    ({"trial": 4}, "trial 4 of 4 recorded trials is the trial itself; expected another"),
    ({"zeros": True, "channels": [3]}, r"expected channels below 3; got \[3\]"),
    (
        {"zeros": True, "velocities": [[0.5, 0]]},
        r"expected velocities out of the network's \(0, 0\), .*; got \(0.5, 0\)",
    ),
    ({"zeros": True, "sites": ["cortex"]}, "expected sites out of state; got cortex"),
    ({"zero": True}, "intervene.a: unknown key 'zero'; expected one of: at, law"),
    ({"trial": 0}, "intervene.a: trial: input should be greater than or equal to 1; got 0"),
]


@pytest.mark.parametrize(("spec", "message"), WRONG, ids=[m[1][:40] for m in WRONG])
def test_what_makes_no_sense_is_refused_in_one_line(spec, message, file):
    with pytest.raises(InputError, match=message) as error:
        recorded(network(), {"a": spec}, file)
    assert "\n" not in str(error.value)
    assert not file.exists()


def test_networks_that_cannot_be_moved(file):
    with pytest.raises(InputError, match="expected maps of the frame's 5x6 px, which a law moves; state is"):
        recorded(network("rnn", units=7), {"a": {"law": U}}, file)
    with pytest.raises(InputError, match="conv3d carries nothing from frame to frame"):
        recorded(network("conv3d"), {"a": {"zeros": True, "at": 2}}, file, context=None, sites=["state"])
    with pytest.raises(
        InputError, match="intervene.a: expected state on the frame's 5x6 px, which a law moves; it is 1x1"
    ):
        recorded(nn.GRU(30, 8).double(), {"a": {"law": U, "at": 2}}, file, sites=["state"], context=None)
    with pytest.raises(
        InputError, match="intervened_sites: expected some of the recorded sites state, pred.*got logits"
    ):
        recorded(network(), LAW, file, intervened_sites=["logits"])


def test_another_recording_that_does_not_fit(file, tmp_path):
    donor = tmp_path / "donor.h5"
    recorded(network(channels=2), None, donor)
    with pytest.raises(
        InputError, match=r"intervene.a: expected state of \(30, 3, 5, 6\) in .*; it has \(30, 2, 5, 6\)"
    ):
        recorded(network(), {"a": {"recording": str(donor)}}, file)
    recorded(network(), None, donor, trials=2)
    with pytest.raises(
        InputError, match="to hold frame 2 of 4 trials under all flows; it has 2 trials and 7 frames"
    ):
        recorded(network(), {"a": {"recording": str(donor)}}, file)


def test_settings_are_those_of_an_experiment_file(file):
    block = validate(RecordBlock, {"context": 3, "intervene": {"a": {"law": [1, 2]}}}, "record")
    arguments = block.model_dump() | {"dtype": "float64"}
    record(network(), stimulus(), file, **arguments)
    given = recorded(network(), {"a": InterventionBlock(law=[1, 2])}, file.with_name("b.h5"))
    np.testing.assert_array_equal(open_recording(file).intervened_prediction, given.intervened_prediction)


class Pair(NamedTuple):
    h: int
    c: int


@dataclass
class Fields:
    h: int
    c: int


def test_an_entry_is_put_into_outputs_of_any_form():
    assert with_entry((1, [2, 3]), (1, 0), 9) == (1, [9, 3])
    assert with_entry({"a": 1, "b": 2}, ("b",), 9) == {"a": 1, "b": 9}
    assert with_entry(Pair(1, 2), ("c",), 9) == with_entry(Pair(1, 2), (1,), 9) == Pair(1, 9)
    assert with_entry(Fields(1, 2), ("h",), 9) == with_entry(Fields(1, 2), (0,), 9) == Fields(9, 2)
    assert with_entry(1, (), 9) == 9
