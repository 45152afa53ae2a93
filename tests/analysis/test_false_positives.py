"""Noise and shuffled flows give no finding more often than stated, and intervals hold the truth as often as
stated.

Each claim is put to 200 simulations, and in the short run to fewer: see `tests.known.calibration`.
"""

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.stats import t

from analysis import (
    classification_accuracy,
    equivariance_error,
    group_structure,
    learned_action,
    length_generalisation,
    lie_derivative,
    linear_decoding,
    model_similarity,
    motion_tuning,
    orbit_geometry,
    prediction_error,
    relative_fixed_points,
    representational_similarity,
    stabilised_maps,
    stability,
    state_shape,
    tangent_exponents,
    velocity_generalisation,
    velocity_readout,
    velocity_tuning,
)
from flowsim import Flow, Law, Translation, VelocityGrid
from flowsim.files import coordinates
from flowsim.measures import orbit
from flowsim.measures.similarity import above_chance, above_chance_error, u_centred
from flowsim.measures.statistics import mean_interval, pseudovalues_of_pairs, wilson_interval
from tests.known import motion_units
from tests.known.calibration import at_most, covered, times
from tests.known.dynamics import fixed_points, followed
from tests.known.states import LINE, NEIGHBOURS, of_digits

FEW = NEIGHBOURS[:5]
RESTING = {f"object_velocity_{c}": 0 for c in ("vy", "vx")}


def of_object(made, **values):
    """With coordinates of object 0 (trial)."""
    trials = made.sizes["trial"]
    wide = {name: (("trial", "object"), np.broadcast_to(v, trials)[:, None]) for name, v in values.items()}
    return made.assign_coords(wide)


def of_units(recording, units, flows, frames=None):
    """A recording of a state (flow, trial, time, unit)."""
    made = recording(np.zeros((*units.shape[:3], 1, 1, 6, 5)), flows).assign(state=(coordinates.UNITS, units))
    if frames is None:
        frames = np.zeros((*units.shape[:3], 6, 5))
    made["frames"] = (("flow", "trial", "time", "y", "x"), frames)
    return made.drop_vars(["velocity_vy", "velocity_vx"])


def moved(flows, rng, shuffled=False, noise=0.0, size=(6, 3, 1, 3, 3, 3)):
    """States (flow, trial, ...) on which each flow acts by an orthogonal matrix of its own, and transport."""
    reference = torch.from_numpy(rng.standard_normal(size))
    matrices = np.random.default_rng(0).standard_normal((len(flows), size[3], size[3]))
    states = []
    for u, matrix in zip(flows, matrices, strict=True):
        turn = torch.from_numpy(np.linalg.qr(matrix)[0])
        turned = torch.einsum("kpvfyx,gf->kpvgyx", reference, turn)
        states.append(Flow(Translation(), u).transport(turned))
    states = np.stack([reference.numpy(), *(s.numpy() for s in states[1:])])
    if shuffled:
        for trial in range(size[0]):
            states[1:, trial] = states[1 + rng.permutation(len(flows) - 1), trial]
    return states + noise * rng.standard_normal(states.shape)


@times(20)
@pytest.mark.parametrize("kind", ["noise", "shuffled"])
def test_learned_action_finds_no_operator(simulations, kind, recording, calibration):
    p = []
    for seed in range(simulations):
        rng = np.random.default_rng(seed)
        states = (
            moved(FEW, rng, shuffled=True)
            if kind == "shuffled"
            else rng.standard_normal((5, 4, 3, 1, 3, 3, 3))
        )
        result = learned_action.analyse(recording(states, FEW), permutations=19, folds=2, seed=seed)
        p.append(result.p.values)
    calibration.p_values("learned_action", "p", p, kind, result.operator.values)
    np.testing.assert_allclose(np.mean(p, 0), 0.525, atol=4 * 0.29 / np.sqrt(simulations))


@times(12)
def test_learned_action_intervals(simulations, recording, calibration):
    """Of what is expected from as many trials."""
    simulated = []
    for seed in range(simulations):
        states = moved(FEW, np.random.default_rng(seed), noise=0.7, size=(8, 3, 1, 3, 3, 3))
        result = learned_action.analyse(recording(states, FEW), permutations=1)
        simulated.append([result.r2_low, result.r2_mean, result.r2_high])
    low, mean, high = np.moveaxis(np.array(simulated), 1, 0)
    of = result.operator.values
    calibration.intervals("learned_action", "r2_low", low, mean.mean(0), high, "an action in noise", of)


@times(8)
def test_group_structure_of_noise_is_that_of_shuffled_flows(simulations, recording, calibration):
    """As often better than the median of shuffled flows as worse."""
    names, better = ("homomorphism", "inverse", "linearity"), []
    for seed in range(simulations):
        states = np.random.default_rng(seed).standard_normal((9, 4, 3, 1, 3, 3, 3))
        result = group_structure.analyse(recording(states, NEIGHBOURS), permutations=11, groups=1, seed=seed)
        better.append([(result[n] < result[f"{n}_null"]) != (n == "linearity") for n in names])
    for name, of_name in zip(names, np.moveaxis(np.array(better), 1, 0), strict=True):
        for operator, found in zip(result.operator.values, of_name.T, strict=True):
            calibration.rate("group_structure", f"{name}_null", found, "noise", operator, level=0.5)


@times(8)
def test_group_structure_intervals(simulations, recording, calibration):
    """Of errors of a group that is disturbed by noise; its linearity is skewed, so that a median stands for
    the truth.
    """
    b = np.random.default_rng(5).standard_normal((4, 4))
    names, simulated = ("homomorphism", "inverse", "linearity"), []
    for seed in range(simulations):
        rng = np.random.default_rng(seed)
        reference = torch.from_numpy(rng.standard_normal((8, 3, 1, 4, 3, 5)))
        states = []
        for u in LINE:
            turn = torch.matrix_exp(torch.from_numpy(0.3 * u[1] * (b - b.T)))
            states.append(
                Flow(Translation(), u).transport(torch.einsum("kpvfyx,gf->kpvgyx", reference, turn)).numpy()
            )
        states = np.stack(states) + 0.5 * rng.standard_normal((5, *reference.shape))
        result = group_structure.analyse(recording(states, LINE), permutations=1)
        simulated.append([[result[n + end].values for end in ("_low", "", "_high")] for n in names])
    low, value, high = np.moveaxis(np.array(simulated), 2, 0)
    for i, name in enumerate(names):
        ends, truth, of = (low[:, i], high[:, i]), np.median(value[:, i], 0), result.operator.values
        calibration.intervals("group_structure", f"{name}_low", ends[0], truth, ends[1], "median", of)
        if name != "linearity":  # an exact group: its errors are 0 whatever the noise
            calibration.intervals("group_structure", f"{name}_low", ends[0], 0, ends[1], "exact group", of)


@times(8)
def test_group_structure_intervals_with_partners(simulations, recording, calibration):
    """Every channel has a partner under every flow: the law holds, up to noise."""
    grid = VelocityGrid(Translation(), tuple((0, x) for x in range(-2, 3)), period=(3, 5))
    law, simulated = Law(transport=True, shift=True), []
    for seed in range(simulations):
        rng = np.random.default_rng(seed)
        reference = torch.from_numpy(rng.standard_normal((8, 3, 5, 2, 3, 5)))
        states = np.stack([law.predict(reference, Flow(Translation(), u), grid).numpy() for u in LINE])
        states = states + 0.5 * rng.standard_normal(states.shape)
        result = group_structure.analyse(recording(states, LINE, grid.velocities), permutations=1)
        simulated.append([result[f"homomorphism_partner{end}"].values for end in ("_low", "", "_high")])
    low, value, high = np.moveaxis(np.array(simulated), 1, 0)
    of, name = result.operator.values, "homomorphism_partner_low"
    calibration.intervals("group_structure", name, low, np.median(value, 0), high, "median", of)
    calibration.intervals("group_structure", name, low, 0, high, "exact group", of)


@times(30)
def test_lie_derivative_intervals(simulations, recording, calibration):
    simulated = []
    for seed in range(simulations):
        states = np.random.default_rng(seed).standard_normal((3, 8, 2, 1, 1, 3, 3))
        result = lie_derivative.analyse(recording(states, [(0, 0), (0, 0.1), (0, -0.1)], times=[0, 4]))
        simulated.append(
            [float(result[n].sel(site="state", law="transport", time=4)[0]) for n in ("error", "interval")]
        )
    value, half = np.array(simulated).T
    ends = value - half, value.mean(), value + half
    calibration.intervals("lie_derivative", "interval", *ends, "noise", ["error of transport"])


@times(20)
@pytest.mark.parametrize("offset", [0, 10])
def test_the_error_of_laws_in_noise_is_its_chance_level(simulations, offset, recording, calibration):
    """As often above it as below; both are sqrt(2), of states and of stabilised maps."""
    below, levels = [], []
    for seed in range(simulations):
        states = offset + np.random.default_rng(seed).standard_normal((5, 4, 2, 1, 3, 6, 5))
        made = of_object(recording(states, FEW), **RESTING)
        laws = equivariance_error.analyse(made).isel(flow=slice(1, None), time=1)
        laws = laws.sel(law=["invariant", "transport"]).mean("flow")
        maps = stabilised_maps.analyse(made).isel(flow=slice(1, None), time=1).mean("flow")
        below.append([*(laws.error < laws.error_chance).values, bool(maps.change < maps.change_chance)])
        levels.append([*laws.error.values, *laws.error_chance.values, maps.change, maps.change_chance])
    of = [
        ("equivariance_error", "error_chance", "invariant"),
        ("equivariance_error", "error_chance", "transport"),
    ]
    of.append(("stabilised_maps", "change_chance", ""))
    for (analysis, name, part), found in zip(of, np.transpose(below), strict=True):
        calibration.rate(analysis, name, found, f"noise, offset {offset}", part, level=0.5)
    assert at_most(~np.array(below), 0.5)
    np.testing.assert_allclose(np.mean(levels, 0), np.sqrt(2), rtol=0.02)


@times(25)
@pytest.mark.parametrize("kind", ["noise", "shuffled", "of each content"])
def test_velocity_tuning_finds_no_tuned_unit(simulations, kind, recording, calibration):
    """After correction for 10 units; without, one in 20."""
    any_tuned, p, of_units, mean, error = [], [], [], [], []
    for seed in range(simulations):
        rng = np.random.default_rng(seed)
        states = rng.random((9, 8, 2, 1, 10, 1, 1)) + rng.random((1, 8, 1, 1, 10, 1, 1))
        if kind == "shuffled":
            curve = np.arange(9.0)[:, None, None, None, None, None, None] * np.ones((1, 8, 2, 1, 10, 1, 1))
            states = rng.permuted(curve, axis=0) + rng.random(curve.shape)
            states[:, :, 1] = states[:, :, 0]
        if kind == "of each content":
            preferred = np.exp(2j * np.pi * rng.random((1, 8, 1, 1, 10, 1, 1)))
            velocity = np.array(NEIGHBOURS) @ [-1j, 1]
            states += 3 + 3 * (velocity[:, None, None, None, None, None, None] * preferred).real / 2**0.5
        made = of_object(recording(states, NEIGHBOURS), **RESTING)
        result = velocity_tuning.analyse(made, permutations=199, splits=1, seed=seed)
        any_tuned.append((result.tuned == 1).any("unit").values)
        p.append((result.p <= 0.05).mean("unit").values)
        of_units.append(result.p.transpose("unit", "test").values)
        mean.append(float(result.response[0, 0]))
        error.append(float(result.sem[0, 0]))
    for test, found in zip(result.test.values, np.transpose(any_tuned), strict=True):
        calibration.rate("velocity_tuning", "p_adjusted", found, kind, f"{test}, any of 10 units")
    of_units, mean, half = np.concatenate(of_units), np.array(mean), t.ppf(0.975, 7) * np.array(error)
    calibration.p_values("velocity_tuning", "p", of_units, kind, result.test.values, levels=(0.05, 0.01))
    calibration.intervals("velocity_tuning", "sem", mean - half, mean.mean(), mean + half, kind, ["response"])
    np.testing.assert_allclose(np.mean(p, 0), 0.05, atol=0.02)


@times(40)
def test_velocity_tuning_to_a_channels_own_velocity(simulations, recording, calibration):
    """Of units that prefer velocities by chance; and the interval of the share that is tuned, where half are
    tuned so that about half of those are found.
    """
    p, low, share, high = [], [], [], []
    for seed in range(simulations):
        rng = np.random.default_rng(seed)
        states = np.tile(rng.random((9, 4, 1, 9, 3, 1, 1)), (3, 3))
        states[..., 0, :, :] += 0.5 * rng.permutation(9)[:, None, None, None, None, None] / 9
        made = of_object(recording(states, NEIGHBOURS, NEIGHBOURS), **RESTING)
        result = velocity_tuning.analyse(made, permutations=199, splits=1, seed=seed)
        p.append(float(result.own_p))
        tuned = result.tuned.sel(test="velocity").values
        share.append(tuned.mean())
        for ends, end in zip((low, high), wilson_interval(int(tuned.sum()), tuned.size), strict=True):
            ends.append(end)
    calibration.p_values("velocity_tuning", "own_p", p, "noise", levels=(0.05, 0.01))
    where, of = "a third of units tuned", ["share of tuned units"]
    calibration.intervals("velocity_tuning", "tuned", low, np.mean(share), high, where, of)


@times(10)
@pytest.mark.parametrize("kind", ["noise", "shuffled"])
def test_linear_decoding_reads_nothing(simulations, kind, recording, calibration):
    """Of label, velocity and position; shuffled are labels among trials, and velocities within each."""
    simulated = []
    for seed in range(simulations):
        rng, label = np.random.default_rng(seed), np.arange(12) % 3
        units = 0.5 * rng.standard_normal((5, 12, 1, 20)) + rng.standard_normal((1, 12, 1, 20))
        if kind == "shuffled":
            units += rng.permuted(np.broadcast_to(np.arange(5.0)[:, None, None, None], (5, 12, 1, 1)), axis=0)
            units[..., 3:6] += 3 * np.eye(3)[rng.permutation(label)][None, :, None]
        named = {"object_label": label, **RESTING}
        named |= {f"object_position_{axis}": rng.integers(0, 5, 12) for axis in "yx"}
        made = of_object(of_units(recording, units, FEW), **named)
        result = linear_decoding.analyse(made, permutations=19, folds=4, seed=seed)
        simulated.append([*result.p[:, 0].values, float(result.carry_p[0])])
    *p, carried = np.transpose(simulated)
    calibration.p_values("linear_decoding", "p", np.transpose(p), kind, result.target.values)
    calibration.p_values("linear_decoding", "carry_p", carried, kind)
    np.testing.assert_allclose(np.mean(simulated, 0), 0.525, atol=4 * 0.29 / np.sqrt(simulations))


@times(6)
@pytest.mark.parametrize(("strength", "accuracy"), [(0.4, 0.7), (0.7, 0.9), (1.0, 0.97), (3.0, 1.0)])
def test_linear_decoding_intervals(simulations, strength, accuracy, recording, calibration):
    """Of label and velocity, as expected from as many trials; also where all labels are named."""
    codes, simulated = np.random.default_rng(1).standard_normal((4, 20)), []
    for seed in range(simulations):
        rng, label = np.random.default_rng(seed), np.arange(12) % 2
        units = strength * (codes[:2][label][:, None] + (np.array(FEW) @ codes[2:])[:, None, None])
        units = units + rng.standard_normal((5, 12, 1, 20)) + rng.standard_normal((1, 12, 1, 20))
        result = linear_decoding.analyse(
            of_object(of_units(recording, units, FEW), object_label=label), permutations=1
        )
        simulated.append([result[n][:2, 0].values for n in ("low", "score", "high")])
    low, score, high = np.moveaxis(np.array(simulated), 1, 0)
    if simulations >= 200:
        np.testing.assert_allclose(score[:, 0].mean(), accuracy, atol=0.03)
    where, of = f"codes in noise, accuracy {accuracy}", ["score of label", "score of velocity"]
    calibration.intervals("linear_decoding", "low", low, score.mean(0), high, where, of)
    assert (low >= [0, -np.inf]).all()
    assert (high <= 1).all()


def geometry(recording, rng, frames, strength):
    """Of a state that codes label and velocity linearly, in noise."""
    codes, label = np.random.default_rng(1).standard_normal((6, 30)), np.arange(8) % 4
    units = strength * (codes[:4][label][:, None] + (np.array(FEW) @ codes[4:])[:, None, None])
    units = units + rng.standard_normal((5, 8, 1, 30)) + 0.3 * rng.standard_normal((1, 8, 1, 30))
    return of_object(of_units(recording, units, FEW, frames), object_label=label)


@times(15)
@pytest.mark.parametrize("kind", ["noise", "shuffled"])
def test_representational_similarity_finds_no_geometry(simulations, kind, recording, calibration):
    """Shuffled are flows and trials together, whose distances stay as they are."""
    simulated = []
    for seed in range(simulations):
        rng = np.random.default_rng(seed)
        made = geometry(recording, rng, rng.random((5, 8, 1, 6, 5)), 0.0 if kind == "noise" else 0.5)
        if kind == "shuffled":
            made["state"] = (made.state.dims, made.state.values[rng.permutation(5)][:, rng.permutation(8)])
        result = representational_similarity.analyse(made, permutations=19, seed=seed)
        p = result.p.stack(comparison=("distance", "model")).dropna("comparison", how="all")
        simulated.append(p.values.ravel())
    assert len(simulated[0]) == 5  # identity, velocity and pixels, of which crossnobis has no identity
    of = [" of ".join(reversed(pair)) for pair in p.comparison.values]
    calibration.p_values("representational_similarity", "p", simulated, kind, of)


@times(10)
def test_representational_similarity_intervals(simulations, recording, calibration):
    """Of what is expected from as many trials, with frames of their own."""
    simulated = []
    for seed in range(simulations):
        rng = np.random.default_rng(seed)
        made = geometry(recording, rng, rng.random((5, 8, 1, 6, 5)), 0.4)
        result = representational_similarity.analyse(made, permutations=1, seed=seed)
        result = result.stack(comparison=("distance", "model")).dropna("comparison", subset=["rho"])
        simulated.append([result[n][0].values for n in ("low", "rho", "high")])
    low, rho, high = np.moveaxis(np.array(simulated), 1, 0)
    of, where = [" of ".join(reversed(pair)) for pair in result.comparison.values], "codes in noise"
    calibration.intervals("representational_similarity", "low", low, rho.mean(0), high, where, of)


@pytest.mark.skipif(not orbit.has_topology(), reason="ripser is not installed")
@times(30)
def test_orbit_geometry_of_noise_has_no_loops(simulations, calibration):
    simulated, shapes = [], ((9, 40), (25, 3), (49, 2))
    for seed in range(simulations):
        for points in shapes:
            noise = np.random.default_rng(seed).standard_normal(points)
            simulated.append(orbit.betti(orbit.distances(orbit.gram(noise)[0]), 2.0, largest=1).any())
    assert at_most(simulated)
    for (points, units), found in zip(shapes, np.reshape(simulated, (-1, 3)).T, strict=True):
        where = f"noise: {points} points in {units} dimensions"
        calibration.rate("orbit_geometry", "betti", found, where, "any loop")


@times(30)
@pytest.mark.parametrize("kind", ["noise", "shuffled"])
def test_orbit_geometry_finds_no_tangent(simulations, kind, recording, calibration):
    """The angle is below that of shuffled flows no more often than above, on the whole."""
    law, grid = Law(True, True), VelocityGrid.closed(Translation(), (3, 3))
    below = []
    for seed in range(simulations):
        rng = np.random.default_rng(seed)
        states = rng.standard_normal((9, 1, 2, 9, 1, 3, 3))
        if kind == "shuffled":
            lawful = [
                law.predict(torch.from_numpy(states[0]), Flow(Translation(), u), grid).numpy()
                for u in NEIGHBOURS
            ]
            states[1:] = np.array(lawful)[1 + rng.permutation(8)]
        result = orbit_geometry.analyse(recording(states, NEIGHBOURS, grid.velocities), seed=seed).isel(
            time=1
        )
        largest = result[["angle", "angle_chance"]].sel(law="transport+shift").max("generator")
        below.append(bool(largest.angle < largest.angle_chance))
    calibration.rate("orbit_geometry", "angle_chance", below, kind, level=0.5)


@times(20)
def test_orbit_geometry_intervals(simulations, recording, calibration):
    """Those in the figure, over trials, of the static frame and the law of transport."""
    names, simulated = ("participation", "curvature", "extent", "angle"), []
    for seed in range(simulations):
        made = recording(np.random.default_rng(seed).standard_normal((9, 4, 2, 1, 4, 3, 3)), NEIGHBOURS)
        result = orbit_geometry.analyse(made, shuffles=1, seed=seed).isel(time=1)
        of_frame = result.sel(frame="static", law="transport").mean("line").max("generator")
        intervals = [mean_interval(of_frame[name], "trial") for name in names]
        simulated.append([(mean - half, mean, mean + half) for mean, half in intervals])
    low, value, high = np.moveaxis(np.array(simulated), 2, 0)
    for i, name in enumerate(names):
        ends = low[:, i], value[:, i].mean(), high[:, i]
        calibration.intervals("orbit_geometry", name, *ends, "noise", ["mean over trials"])


@times(20)
def test_model_similarity_finds_no_pair_alike(simulations, recording, calibration):
    """By `summary`, with all exchanges of 4 trials; and standard errors of CKA above chance are what they
    say.
    """
    p, simulated = [], []
    for seed in range(simulations):
        rng = np.random.default_rng(seed)
        states = rng.standard_normal((2, 2, 4, 3, 1, 5, 1, 1)) + rng.standard_normal((3, 1, 5, 1, 1))
        made = xr.concat(
            [model_similarity.analyse(recording(s, NEIGHBOURS[:2])) for s in states], "run", coords="minimal"
        )
        made = made.assign_coords(network=("run", ["a", "b"]), run=["a-seed0", "b-seed0"])
        p.append(float(model_similarity.summary(made).p[0, 1]))
        trial = np.repeat(np.arange(8), 10)
        one = (rng.standard_normal((80, 6)) + rng.standard_normal((8, 6))[trial]) * np.linspace(2, 0.5, 6)
        first, second = (x @ x.T for x in (one, one + rng.standard_normal(one.shape)))
        value = above_chance(u_centred(first), u_centred(second), trial)
        simulated.append([value, above_chance_error(first, second, trial, trial)])
    calibration.p_values("model_similarity", "p", p, "unrelated codes")
    value, error = np.array(simulated).T
    half = t.ppf(0.975, 7) * error
    ends = value - half, value.mean(), value + half
    calibration.intervals("model_similarity", "error", *ends, "a common code in noise", ["CKA above chance"])


@times(60)
@pytest.mark.parametrize("seeds", [3, 5])
def test_similarity_of_seeds_has_the_error_over_seeds(simulations, seeds, calibration):
    """Jackknife pseudo-values of pairs hold the truth; means over the pairs of each seed do not."""
    held, naive = [], []
    for simulation in range(simulations):
        rng = np.random.default_rng(simulation)
        of_seed, of_pair = rng.standard_normal(seeds), 0.5 * rng.standard_normal((seeds, seeds))
        pairs = 1 + of_seed[:, None] + of_seed + of_pair + of_pair.T
        np.fill_diagonal(pairs, np.nan)
        for values, into in ((pseudovalues_of_pairs(pairs), held), (np.nanmean(pairs, 1), naive)):
            half = t.ppf(0.975, seeds - 1) * values.std(ddof=1) / np.sqrt(seeds)
            into.append([values.mean() - half, values.mean() + half])
    ends = np.array(held)[:, 0], 1, np.array(held)[:, 1]
    calibration.intervals("model_similarity", "mean", *ends, f"{seeds} seeds", ["over pairs of seeds"])
    assert not covered(np.array(naive)[:, 0], 1, np.array(naive)[:, 1])


STABILITY = {
    "error_interval": [
        *({"between": "world", "part": part} for part in ("total", "across", "along")),
        {"between": "flows", "part": "total"},
    ],
    "drift_interval": [{"between": "world"}],
    "indistinct_interval": [{"between": "world"}],
    "growth_interval": [{"between": "world", "part": "total"}],
    "norm_interval": [{"site": "prediction"}, {"site": "state"}],
    "change_interval": [{"site": "world"}, {"site": "prediction"}, {"site": "state"}],
    "unrelated_interval": [{}],
    "mean_frame_interval": [{}],
}
"""What has an interval over trials, at the last predicted frame: names and places in the results."""


def rollouts(recording, rng, slips):
    """Of two flows, whose predictions are wrong by 0.1 with a spread of 0.02; or slip by up to 2 pixels, and in
    four of ten trials are nothing but noise.
    """
    frames, noise, state = (
        rng.standard_normal((1, 12, 9, *shape)) for shape in ((5, 6), (5, 6), (1, 1, 5, 6))
    )
    flow, size = Flow(Translation(), (0, 1)), np.linalg.norm(frames, axis=(-2, -1))
    wrong = (0.1 + 0.02 * rng.standard_normal((1, 12, 9))) * size / np.linalg.norm(noise, axis=(-2, -1))
    predicted = frames + wrong[..., None, None] * noise
    if slips:
        for trial, slip in enumerate(rng.integers(0, 3, (12, 2))):
            predicted[0, trial] = np.roll(predicted[0, trial], slip, (-2, -1))
        unlike = rng.random(12) < 0.4
        predicted[0, unlike] = noise[0, unlike]
    both = [
        np.concatenate([of, flow.transport(torch.from_numpy(of[0][:, :, None])).numpy()[None, :, :, 0]])
        for of in (frames, predicted)
    ]
    both[1][1] += 0.05 * rng.standard_normal(both[1][1].shape)
    states = np.concatenate([state, state + 0.1 * rng.standard_normal(state.shape)])
    made = recording(states, [(0, 0), (0, 1)], frames=both[0], prediction=both[1], context=3)
    return stability.analyse(made)


@times(10)
@pytest.mark.parametrize("slips", [False, True])
def test_stability_intervals(simulations, slips, recording, calibration):
    """Of all that is measured, as expected from as many trials; of the error in all, and of its growth where
    there is none, the truth is known.
    """
    quantities = [(name, place) for name, places in STABILITY.items() for place in places]
    of_slips = [p.get("part") == "along" or n.startswith(("drift", "indistinct")) for n, p in quantities]
    quantities = [quantity for quantity, chosen in zip(quantities, of_slips, strict=True) if chosen == slips]
    simulated = []
    for seed in range(simulations):
        result = rollouts(recording, np.random.default_rng(seed), slips).isel(ahead=-1)
        estimates = [
            [float(result[name].sel(place)) for name in (interval.removesuffix("_interval"), interval)]
            for interval, place in quantities
        ]
        simulated.append(estimates)
    value, half = np.moveaxis(np.array(simulated), 2, 0)
    for i, (name, place) in enumerate(quantities):
        truth = 0 if name == "growth_interval" else value[:, i].mean()
        if name == "error_interval" and place == {"between": "world", "part": "total"} and not slips:
            assert truth == pytest.approx(0.1, rel=0.3)
        ends = value[:, i] - half[:, i], truth, value[:, i] + half[:, i]
        calibration.intervals(
            "stability", name, *ends, "slips" if slips else "errors of 0.1", [" ".join(place.values())]
        )


@times(20)
def test_relative_fixed_points_intervals(simulations, calibration):
    """Of the largest modulus, which differs between trials."""
    ends = []
    for seed in range(simulations):
        rng = np.random.default_rng(seed)
        made = fixed_points(rng.random((1, 8, 1, 1, 2, 2)), [(0, 0)], [(0, 0)])
        moduli = 0.8 + 0.1 * rng.standard_normal((1, 8, 1))
        made["fixed_point_multiplier_real"] = made.fixed_point_multiplier_real.copy(data=moduli)
        result = relative_fixed_points.analyse(made).isel(flow=0)
        ends.append(
            [result.radius_mean - result.radius_interval, result.radius_mean + result.radius_interval]
        )
    low, high = np.array(ends, float).T
    calibration.intervals(
        "relative_fixed_points", "radius_interval", low, 0.8, high, "moduli that differ over trials"
    )


@times(20)
def test_tangent_exponents_intervals(simulations, calibration):
    """Of everything, in trials that differ."""
    names = ["exponent", "orbit_growth", "orbit_lawful", "pseudo_gap", "leak", "fading"]
    ends = []
    for seed in range(simulations):
        made = followed((0.1,), (-0.2,), (-0.1,), leak=0.3, trials=8, noise=0.05, seed=seed)
        result = tangent_exponents.analyse(made).sel(phase="rollout").squeeze()
        of_each = [(result[name], result[f"{name}_interval"]) for name in names]
        ends.append([[mean - half, mean + half] for mean, half in of_each])
    low, high = np.moveaxis(np.array(ends, float), 2, 0)
    truth = {"exponent": 0.1, "orbit_growth": -0.2, "orbit_lawful": -0.1, "pseudo_gap": 0.1}
    truth |= {"leak": 0.3, "fading": -0.1}
    for i, name in enumerate(names):
        calibration.intervals(
            "tangent_exponents", f"{name}_interval", low[:, i], truth[name], high[:, i], "trials that differ"
        )


@times(20)
@pytest.mark.parametrize("accuracy", [0.25, 0.9, 0.99])
@pytest.mark.parametrize("repeats", [1, 5])
def test_classification_accuracy_intervals(simulations, accuracy, repeats, calibration):
    """At trained and novel velocities alike; also of images that are shown several times with one answer."""
    simulated = []
    label, image = np.arange(200) % 4, np.arange(200) // (2 * repeats)
    for seed in range(simulations):
        rng = np.random.default_rng(seed)
        right = (rng.random(200) < accuracy)[image]
        logits = np.eye(4)[np.where(right, label, (label + 1) % 4)][None, :, None]
        made = xr.Dataset({"logits": (("flow", "trial", "time", "class"), logits)}, {"time": [0]})
        velocity = {"object_velocity_vy": np.arange(200) % 2, "object_velocity_vx": 0}
        made = of_object(made, object_label=label, object_image=image, **velocity)
        result = classification_accuracy.analyse(made, trained_speed=0)
        simulated.append([[result[f"{n}_{v}"] for v in ("trained", "novel")] for n in ("low", "high")])
    low, high = np.moveaxis(np.array(simulated), 1, 0)
    world = f"accuracy {accuracy}, each image {repeats} times at a velocity"
    for i, name in enumerate(("low_trained", "low_novel")):
        calibration.intervals("classification_accuracy", name, low[:, i], accuracy, high[:, i], world)


@times(60)
def test_velocity_generalisation_where_velocity_does_not_matter(simulations, recording, calibration):
    """Errors at trained and at novel velocities differ by no more than their standard errors say."""
    simulated, each, velocity = [], [], np.arange(24) // 12
    for seed in range(simulations):
        frames, wrong = np.random.default_rng(seed).standard_normal((2, 1, 24, 5, 3, 3))
        wrong *= 1 + np.random.default_rng(seed).random((1, 24, 1, 1, 1))
        made = recording(frames=frames, prediction=frames + wrong, context=2)
        made = of_object(made, object_velocity_vy=velocity, object_velocity_vx=0)
        result = velocity_generalisation.analyse(made, trained_speed=0)
        simulated.append(
            [result.mse_novel - result.mse_trained, np.hypot(result.sem_novel, result.sem_trained)]
        )
        each.append([[result[f"{n}_{v}"] for v in ("trained", "novel")] for n in ("mse", "sem")])
    difference, error = np.array(simulated).T
    assert at_most(abs(difference) > t.ppf(0.975, 22) * error)
    mse, half = np.moveaxis(np.array(each), 1, 0)
    half = t.ppf(0.975, 11) * half
    for i, name in enumerate(("sem_trained", "sem_novel")):
        ends = mse[:, i] - half[:, i], mse[:, i].mean(), mse[:, i] + half[:, i]
        calibration.intervals(
            "velocity_generalisation", name, *ends, "errors that differ over trials", ["MSE"]
        )


def test_analyses_without_a_verdict_find_nothing_in_noise(recording, rng):
    """And predictions that know nothing are worse than the mean frame, at once and for ever."""
    grid = VelocityGrid.closed(Translation(), (3, 4))
    noise = of_object(
        recording(rng.standard_normal((9, 3, 4, 12, 2, 3, 4)), NEIGHBOURS, grid.velocities), **RESTING
    )
    np.testing.assert_allclose(stabilised_maps.analyse(noise).change[1:], np.sqrt(2), rtol=0.25)
    reference = torch.from_numpy(noise.state.values[0])
    lawful = [Law(True, True).predict(reference, Flow(Translation(), u), grid).numpy() for u in NEIGHBOURS]
    for order, holds in ((np.arange(9), True), (np.array([0, 3, 1, 7, 8, 2, 4, 6, 5]), False)):
        made = of_object(recording(np.array(lawful)[order], NEIGHBOURS, grid.velocities), **RESTING)
        error = equivariance_error.analyse(made).error[:, 1:, 1:]
        change = stabilised_maps.analyse(made).change[1:, 1:]
        if holds:
            assert (error.sel(law="transport+shift") == 0).all()
            assert (change == 0).all()
        else:
            assert (error > 1).all()
            assert (change > 1).all()
    frames, guessed = rng.random((2, 1, 8, 9, 5, 6))
    made = recording(frames=frames, prediction=guessed, context=3, horizon=2)
    for analysis in (prediction_error, length_generalisation):
        result = analysis.analyse(made)
        assert (result.mse > 1.5 * result.predictor_mse.sel(predictor="mean frame")).all()


@times(20)
@pytest.mark.parametrize("kind", ["noise", "a preference of each image"])
def test_velocity_readout_finds_no_velocity(simulations, kind, recording, calibration):
    """In noise, and in channels that each trial has its own preference of; the interval holds the mean error."""
    p, ends = [], []
    for seed in range(simulations):
        rng = np.random.default_rng(seed)

        def state(frames, rng=rng):
            noise = rng.standard_normal((*frames.shape[:3], 9, 2, *frames.shape[-2:]))
            return noise * (
                1 if kind == "noise" else np.exp(rng.standard_normal((len(frames[0]), 1, 9, 1, 1, 1)))
            )

        size = {"height": 8, "width": 9, "frames": 4, "objects": 1, "trials": 10}
        made = of_digits(recording, NEIGHBOURS, state, seed, **size)
        result = velocity_readout.analyse(made, permutations=19, seed=seed)
        p.append(result.p.values)
        ends.append([result.error_low, result.error_mean, result.error_high])
    calibration.p_values("velocity_readout", "p", p, kind)
    low, mean, high = np.array(ends).T
    calibration.intervals("velocity_readout", "error_low", low, mean.mean(), high, kind)


@times(20)
def test_state_shape_finds_no_shape(simulations, recording, calibration):
    """In noise, the overlap is that at another velocity, of the best channel too."""
    simulated = []
    for seed in range(simulations):
        rng = np.random.default_rng(seed)

        def state(frames, rng=rng):
            return rng.standard_normal((*frames.shape[:3], 9, 2, *frames.shape[-2:]))

        size = {"height": 8, "width": 9, "frames": 4, "objects": 1, "trials": 8}
        result = state_shape.analyse(of_digits(recording, NEIGHBOURS, state, seed, **size), seed=seed)
        simulated.append([result.above - result.above_interval, result.above + result.above_interval])
    low, high = np.moveaxis(np.array(simulated), 1, 0)
    calibration.intervals("state_shape", "above_interval", low, [0, 0], high, "noise", result.channel.values)


@times(12)
def test_motion_tuning_finds_no_class(simulations, recording, calibration):
    """Units that are tuned to the direction of gratings and dots, and answer to all else by chance."""
    made, shares, p, adjusted = motion_units.panel(trials=4), [], [], []
    direction = np.deg2rad(made.direction.values)[:, None]
    tuned = np.where(np.isfinite(direction), np.cos(direction - np.arange(12)), 0)
    tuned[(made.components.values == 2) | (made.polarity.values == -1)] = 0
    tests = ["frequency", "reversal", "spiral"]
    for seed in range(simulations):
        rng = np.random.default_rng(seed)
        responses = 5 + 2 * tuned + rng.standard_normal(tuned.shape)
        watched = motion_units.watched(recording, made, responses)
        result = motion_tuning.analyse(watched, permutations=19, seed=seed)
        shares.append(result.share_p.sel({"class": ["component", "pattern"]}).values)
        p.append((result.p.sel(test=tests) <= 0.05).mean("unit").values)
        adjusted.append((result.p_adjusted.sel(test=tests) <= 0.05).any("unit").values)
        assert result.tuned.sel(test=["direction", "translation"]).mean() > 0.9
    calibration.p_values("motion_tuning", "share_p", shares, "chance", ["component", "pattern"])
    for test, rates in zip(tests, np.array(p).T, strict=True):
        calibration.rate("motion_tuning", "p", rates, "chance", test)
    for test, found in zip(tests, np.array(adjusted).T, strict=True):
        calibration.rate("motion_tuning", "p_adjusted", found, "chance", f"{test}, any of 12 units")


@times(12)
@pytest.mark.parametrize("exponent", [0.0, 1.0])
def test_motion_tuning_intervals_hold_the_exponent(simulations, exponent, recording, calibration):
    made, ends = motion_units.panel(trials=4), []
    responses = motion_units.spatiotemporal(made, [exponent])
    for seed in range(simulations):
        noise = 0.15 * np.random.default_rng(seed).standard_normal(responses.shape)
        watched = motion_units.watched(recording, made, (1 + responses + noise).clip(0))
        result = motion_tuning.analyse(watched, permutations=1)
        middle, half = float(result.exponent[0]), float(result.exponent_interval[0])
        ends.append([middle - half, middle + half])
    low, high = np.array(ends).T
    calibration.intervals("motion_tuning", "exponent_interval", low, exponent, high, f"Q = {exponent:g}")
