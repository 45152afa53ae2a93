"""Whether a state that was moved moves the prediction, in networks of which it is known and in made-up recordings."""

import json

import matplotlib as mpl
import numpy as np
import pytest
import torch
import xarray as xr

from analysis import causal_law
from flowsim import Flow, InputError, Rotation, Translation, build, from_frames, open_recording, record
from flowsim.files import coordinates
from tests.known.calibration import covered, times

mpl.use("agg")
SHAPE = (7, 6)
CONTEXT, TIME = 4, 9
U = (1, 2)
ASKED = {
    "law": {"law": U},
    "transport": {"law": U, "part": "transport"},
    "shift": {"law": U, "part": "shift"},
    "trial": {"trial": 1},
    "zeros": {"zeros": True},
}


def images(trials=5, flows=None):
    return from_frames(np.random.default_rng(0).random((trials, TIME, *SHAPE)), flows=flows)


def network(name="fernn", **spec):
    torch.manual_seed(0)
    return build(name, SHAPE, **{"channels": 3, "decoder_layers": 0, **spec}).double()


@pytest.fixture
def analysed(tmp_path):
    """What is found in a recording of a network with interventions."""

    def make(subject, asked=None, stimulus=None, **arguments):
        file = tmp_path / "a.h5"
        given = {"context": CONTEXT, "dtype": "float64", **arguments}
        record(subject, stimulus or images(), file, intervene=asked or ASKED, **given)
        return causal_law.analyse(open_recording(file)).compute()

    return make


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_with_all_velocities_the_whole_law_moves_the_prediction_and_nothing_else_does(cell, analysed):
    result = analysed(network(cell=cell, velocities="closed"))
    error = result.error.sel(site="prediction", after=slice(1, None))
    assert (error.sel(action=["transport+shift", "interchange"]) < 1e-12).all()
    controls = error.sel(action=["transport", "shift", "nothing", "opposite velocity"])
    assert (controls.dropna("after", how="all") > 0.5).all()
    state = result.error.sel(site="state")
    assert (state.sel(action=["transport+shift", "interchange"]) < 1e-12).all()
    assert (state.sel(action=["transport", "shift", "nothing"]).mean("after") > 0.5).all()
    assert (result.moved.sel(action="transport+shift") > 1 - 1e-12).all()
    assert (result.moved.sel(action=["transport", "shift"], site="prediction") < 0.6).all()
    assert (result.coverage.dropna("action") == 1).all()
    assert (result.change > 0.1).all()


def test_no_action_moves_the_prediction_of_a_network_without_velocities(analysed):
    """G-RNN and conv_gru: the law has no partner; transport, of any velocity, is far off. An interchange is not."""
    velocities = [(0, 1), (1, 0), (1, 1), (-1, 2), (0, -1)]
    asked = {f"law {v}": {"law": v} for v in velocities}
    asked |= {f"transport {v}": {"law": v, "part": "transport"} for v in velocities}
    for subject in (network(max_speed=0), network("conv_gru", channels=3)):
        result = analysed(subject, asked | {"trial": {"trial": 2}}).sel(site="prediction")
        assert result.error.sel(action=["transport+shift", "shift"]).isnull().all()
        assert result.coverage.sel(action="transport+shift") == 0
        assert float(result.error.sel(action="transport").min()) > 0.5
        assert float(result.moved.sel(action="transport")) < 0.6
        assert float(result.error.sel(action="interchange").max()) < 1e-12
        assert (result.moved_low < result.moved).sel(action="transport")
        assert (result.moved_high > result.moved).sel(action="transport")


def test_with_some_velocities_the_error_comes_in_from_those_without_a_partner(analysed):
    result = analysed(network(max_speed=2))
    assert float(result.coverage.sel(action="transport+shift")) == pytest.approx(
        16 / 25
    )  # -2 - 2 is 2 on 6 px
    moved = result.moved.sel(site="prediction", action="transport+shift")
    assert 0 < float(moved) < 0.99


def test_frames_that_flow_are_as_good_as_predictions(analysed):
    """Within the context the moved state needs the frames of the flow; without these nothing is said."""
    u = [1, 1]
    asked = {"law": {"law": u, "at": 2, "sees": u}, "flow": {"flow": u, "at": 2, "sees": u}}
    subject, shown = network(velocities="closed"), images(flows=[(0, 0), u])
    result = analysed(subject, asked, shown, context=None)
    error = result.error.sel(site="prediction", after=slice(1, None))
    assert (error.sel(action=["transport+shift", "interchange"]) < 1e-12).all()
    without = {name: {k: v for k, v in one.items() if k != "sees"} for name, one in asked.items()}
    assert (
        analysed(subject, without | {"trial": {"trial": 1, "at": 2}}, shown, context=None)
        .error.isnull()
        .all()
    )


def test_an_interchange_between_flows_is_of_those_that_differ(analysed):
    shown = images(flows=[(0, 0), (0, 1)])
    result = analysed(
        network(max_speed=1), {"flow": {"flow": (0, 1)}, "part": {"flow": (0, 1), "channels": [0]}}, shown
    )
    assert (result.error.sel(action="interchange", site="prediction").dropna("after") < 1e-12).all()
    np.testing.assert_array_less(
        result.change.sel(intervention="part"), result.change.sel(intervention="flow")
    )
    assert result.error.sel(action=["transport+shift", "nothing"]).isnull().all()


def synthetic(rng, shown, trials=6, said=None, group=None, **sizes):
    """A recording whose prediction after "law" is ``shown(prediction moved by the law, prediction)``."""
    group = group or Translation()
    shape, time = sizes.get("shape", SHAPE), sizes.get("time", TIME)
    u = said["law"] if said else [1, 2]
    plain = rng.standard_normal((1, trials, time, *shape))
    moved = Flow(group, tuple(u)).transport(torch.from_numpy(plain[0])[:, :, None])[:, :, 0].numpy()[None]
    under = np.array(shown(moved, plain))
    dims = ("flow", "trial", "time", "y", "x")
    made = xr.Dataset(
        {"prediction": (dims, plain), "intervened_prediction": (("intervention", *dims), under[None])}
    )
    made = made.assign_coords(
        time=np.arange(time),
        intervention=["law"],
        **coordinates.velocity_coords("flow", group, [(0,) * len(group.components)]),
    )
    said = said or {"law": u, "part": "transport+shift", "coverage": 1.0, "at": CONTEXT - 1}
    return made.assign_attrs(context=CONTEXT, flow_group=group.name, interventions=json.dumps({"law": said}))


@pytest.mark.parametrize("size", [0.0, 0.1, 1.0])
def test_the_size_of_an_error_is_measured(size, rng):
    made = synthetic(rng, lambda moved, _: moved + size * rng.standard_normal(moved.shape), trials=40)
    result = causal_law.analyse(made).sel(site="prediction")
    np.testing.assert_allclose(result.error.sel(action="transport+shift"), size, rtol=0.1)
    np.testing.assert_allclose(result.error.sel(action="nothing"), np.sqrt(2), rtol=0.1)
    np.testing.assert_allclose(result.error.sel(action="opposite velocity"), np.sqrt(2 + size**2), rtol=0.1)
    assert float(result.moved.sel(action="transport+shift")) == pytest.approx(1 - size**2 / 2, abs=0.03)


def test_a_prediction_that_knows_nothing_of_the_action_makes_no_movement(rng):
    """Unrelated, it is as far as nothing done; the same as without, it is nothing done; and offsets do not count."""
    for offset in (0, 10):
        unrelated = synthetic(rng, lambda moved, _: rng.standard_normal(moved.shape), trials=40)
        same = synthetic(rng, lambda _, plain: plain, trials=40)
        for made, expected in ((unrelated, 0.0), (same, 0.0)):
            made = made.assign(
                prediction=made.prediction + offset, intervened_prediction=made.intervened_prediction + offset
            )
            result = causal_law.analyse(made).sel(site="prediction", action="transport+shift")
            assert float(result.moved) == pytest.approx(expected, abs=0.05)
            np.testing.assert_allclose(result.error, np.sqrt(2), rtol=0.1)
            assert result.moved_low <= 0.02


def test_controls_are_left_out_where_they_cannot_differ(rng):
    """On 8 px, 4 frames at 2 px/frame bring everything back, and 2 frames as far one way as the other."""
    said = {"law": [0, 2], "part": "transport+shift", "coverage": 1.0, "at": CONTEXT - 1}
    made = synthetic(rng, lambda moved, _: moved, said=said, shape=(5, 8))
    error = causal_law.analyse(made).error.sel(site="prediction")
    frame = error.after + CONTEXT - 1
    assert error.sel(action="nothing").isnull().values.tolist() == (frame % 4 == 0).values.tolist()
    assert error.sel(action="opposite velocity").isnull().values.tolist() == (frame % 2 == 0).values.tolist()
    assert (error.sel(action="transport+shift") == 0).all()
    for part, left_out in (("transport", (error.after % 4 == 0)), ("shift", error.after > 99)):
        found = causal_law.analyse(
            synthetic(rng, lambda moved, _: moved, said={**said, "part": part}, shape=(5, 8))
        )
        assert (
            found.error.sel(site="prediction", action=part).isnull().values.tolist()
            == left_out.values.tolist()
        )
    at_rest = causal_law.analyse(
        synthetic(rng, lambda moved, _: moved, said={**said, "law": [0, 0]}, shape=(5, 8))
    )
    assert at_rest.error.isnull().all()  # says nothing


def test_a_prediction_that_was_made_before_does_not_count(rng):
    said = {
        "law": [1, 2],
        "part": "transport+shift",
        "coverage": 1.0,
        "at": 1,
        "sees": [1, 2],
        "prediction_lag": 1,
    }

    def late(moved, plain):
        moved = moved.copy()
        moved[:, :, 2] = plain[:, :, 2]
        return moved

    error = causal_law.analyse(synthetic(rng, late, said=said)).error.sel(
        site="prediction", action="transport+shift"
    )
    assert error.after.values[0] == 2
    assert (error == 0).all()
    said |= {"at": CONTEXT - 1}  # it goes on from a prediction of the old state
    assert causal_law.analyse(synthetic(rng, late, said=said)).error.isnull().all()


def test_turns(rng):
    said = {"law": [90.0], "part": "transport+shift", "coverage": 1.0, "at": CONTEXT - 1}
    made = synthetic(rng, lambda moved, _: moved, said=said, group=Rotation(), shape=(6, 6))
    error = causal_law.analyse(made).error.sel(site="prediction")
    assert (error.sel(action="transport+shift") < 1e-12).all()
    assert error.sel(action="nothing").isnull().sum() == 2  # after 4 and 8 frames
    assert (error.sel(action="nothing").dropna("after") > 1).all()


@times(short=20)
def test_intervals_hold_the_truth(simulations, calibration):
    """Of errors that differ from trial to trial: the share of the movement, and the error of each frame."""
    truth, low, high, error, half = 0.75, [], [], [], []
    for seed in range(simulations):
        rng = np.random.default_rng(seed)
        size = np.sqrt(2 * (1 - truth)) * np.sqrt(rng.gamma(4, 1 / 4, (1, 12, 1, 1, 1)))
        made = synthetic(
            rng,
            lambda moved, _, size=size, rng=rng: moved + size * rng.standard_normal(moved.shape),
            trials=12,
        )
        found = causal_law.analyse(made).sel(site="prediction", action="transport+shift")
        low.append(float(found.moved_low))
        high.append(float(found.moved_high))
        error.append(found.error.values[-1])
        half.append(found.error_interval.values[-1])
    calibration.intervals("causal_law", "moved_low", low, truth, high, "errors that differ by trial")
    error, half = np.array(error), np.array(half)
    calibration.intervals(
        "causal_law",
        "error_interval",
        error - half,
        np.sqrt(2 * (1 - truth)),
        error + half,
        "errors that differ by trial",
    )
    assert covered(low, truth, high, 0.9)


def test_what_cannot_be_said(rng, analysed, recording):
    plain = synthetic(rng, lambda moved, _: moved)
    with pytest.raises(
        InputError, match=r"expected a recording with interventions; it has none. Record with intervene"
    ):
        causal_law.analyse(plain.drop_vars("intervention"))
    with pytest.raises(
        InputError, match="expected intervened_prediction, or intervened_state on the frame, beside"
    ):
        causal_law.analyse(plain.drop_vars("prediction"))
    with pytest.raises(InputError, match="the prediction contains NaN or infinity"):
        causal_law.analyse(plain.assign(intervened_prediction=plain.intervened_prediction * np.nan))
    with pytest.raises(InputError, match="expected states that vary"):
        causal_law.analyse(plain * 0)
    alone = synthetic(rng, lambda moved, _: moved, trials=1)
    result = causal_law.analyse(alone).sel(site="prediction", action="transport+shift")
    assert result.moved == 1
    assert np.isnan(result.moved_low)
    assert result.error_interval.isnull().all()
    chosen = synthetic(rng, lambda moved, _: moved).isel(intervention=[0])
    assert causal_law.analyse(chosen).error.notnull().any()


def test_answers_and_figure(analysed):
    results = [
        analysed(network(**spec)).expand_dims(run=[name]).assign_coords(network=("run", [name]))
        for name, spec in (("fernn", {"velocities": "closed"}), ("grnn", {"max_speed": 0}))
    ]
    together = xr.concat(results, "run", join="outer")
    answers = causal_law.answers(together)
    assert list(answers) == [
        "movement of the prediction made by moving the state by the law",
        "movement of the prediction made by transport alone",
        "movement of the prediction made by shift alone",
        "largest error after an interchange of all that is carried",
    ]
    np.testing.assert_allclose(
        answers["movement of the prediction made by moving the state by the law"], [1, np.nan]
    )
    causal_law.figure(together).draw_without_rendering()
    state = together.drop_sel(site="prediction").reindex(site=["prediction", "state"])
    assert "movement of the state made by moving the state by the law" in causal_law.answers(state)


def shown(**moved):
    """Results of networks of two seeds, with the share of the movement of each and its interval."""
    actions = ["transport+shift", "transport"]
    names = [name for name in moved for _ in range(2)]
    values = np.array(
        [of for of in moved.values() for _ in range(2)], float
    )  # (run, action, [low, mean, high])
    over = ("run", "site", "action")
    data = {
        name: (over, values[:, None, :, i]) for i, name in enumerate(("moved_low", "moved", "moved_high"))
    }
    data["error"] = (over, np.ones((len(names), 1, 2)))
    return xr.Dataset(
        data, {"site": ["prediction"], "action": actions, "network": ("run", names), "run": range(len(names))}
    )


def test_the_sentence_is_what_the_numbers_support():
    none = (np.nan, np.nan, np.nan)
    lawful = shown(fernn=[(0.9, 0.98, 1.0), (-0.3, -0.2, -0.1)], grnn=[none, (-0.3, -0.2, -0.1)])
    assert causal_law.finding(lawful) == [
        "Moving the state by the law moves the prediction of fernn (98% of the movement); moving it in space "
        "alone does not move the prediction of fernn (-20% of the movement) and grnn (-20% of the movement)."
    ]
    otherwise = shown(fernn=[(-0.2, 0.0, 0.2), (0.8, 0.9, 1.0)], grnn=[none, (0.4, 0.6, 0.8)])
    assert causal_law.finding(otherwise) == [
        "Moving the state by the law does not move the prediction of fernn (0% of the movement); moving it in "
        "space alone moves the prediction of fernn (90% of the movement); moving it in space alone may move "
        "the prediction of grnn (60% of the movement)."
    ]
    three = shown(**{name: [none, (0.8, 0.9, 1.0)] for name in "abc"})
    (sentence,) = causal_law.finding(three)
    share = "(90% of the movement)"
    assert sentence.endswith(f"of a {share}, b {share} and c {share}.")
    assert causal_law.finding(shown(grnn=[none, none])) == []
