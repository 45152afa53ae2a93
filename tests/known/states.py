"""States that follow flows by a law or an action that is known."""

import numpy as np
import torch
from scipy.linalg import expm

from flowsim import Flow, Law, Translation, VelocityGrid
from flowsim.files import coordinates
from stimuli import moving_digits

FLOWS = [(0, 0), (1, 0), (0, -1), (1, 2)]
NEIGHBOURS = [(0, 0), *((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x)]
LINE = [(0, 0), (0, -2), (0, -1), (0, 1), (0, 2)]


def lawful(law, flows=FLOWS, trials=2, times=5, channels=2, shape=(3, 4), noise=0.0):
    """States (flow, trial, time, velocity, channel, y, x) that obey one law exactly, up to ``noise``, on the
    closed grid that is returned too.
    """
    grid = VelocityGrid.closed(Translation(), shape)
    generator = torch.Generator().manual_seed(0)
    size = (trials, times, len(grid), channels, *shape)
    reference = torch.rand(size, dtype=torch.float64, generator=generator)
    states = [law.predict(reference, Flow(Translation(), u), grid) for u in flows]
    disturbed = [s + noise * torch.randn(s.shape, dtype=s.dtype, generator=generator) for s in states]
    return torch.stack(disturbed).numpy(), grid


def acted(action, rng, flows=NEIGHBOURS, trials=4, times=5, features=6, shape=(4, 5)):
    """States (flow, trial, time, 1, feature, y, x): ``action(reference, u)``, carried along by the flow u."""
    reference = torch.from_numpy(rng.standard_normal((trials, times, 1, features, *shape)))
    return np.stack([Flow(Translation(), u).transport(action(reference, u)).numpy() for u in flows])


def mixed(matrix):
    """The action of a matrix, ``matrix(u)``, on features."""
    return lambda state, u: torch.einsum("kpvfyx,gf->kpvgyx", state, torch.from_numpy(matrix(u)))


def turns(rng):
    """u -> exp(u . A) of two commuting antisymmetric matrices (6, 6), and the rates (mode, component) at which
    its planes turn.
    """
    rates = np.array([[0.9, 0.3], [-0.4, 1.1], [0.2, -0.7]])
    basis = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    plane = np.kron(np.eye(3), [[0, -1], [1, 0]])
    generators = [basis @ (np.kron(np.diag(r), np.ones((2, 2))) * plane) @ basis.T for r in rates.T]
    return (lambda u: expm(u[0] * generators[0] + u[1] * generators[1])), rates


def bounded(rng):
    """States that obey transport+shift on a grid that ends, with anything in channels without a partner; and
    the velocities of the grid.
    """
    box = VelocityGrid.box(Translation(), 1)
    reference = torch.from_numpy(rng.standard_normal((4, 5, 9, 1, 5, 6)))
    states = [Law(True, True).predict(reference, Flow(Translation(), u), box) for u in NEIGHBOURS]
    states = np.stack([torch.where(s.isnan(), torch.randn_like(s), s).numpy() for s in states])
    return states, box.velocities


def acting_on_units(recording, rng):
    """A recording of units without space, which are one pixel that no flow moves; a matrix (`turns`) acts on
    them.
    """
    matrix, _ = turns(rng)
    reference = rng.standard_normal((8, 20, 6))
    made = recording(np.zeros((9, 8, 20, 1, 1, 1, 1)), NEIGHBOURS).drop_vars(
        ["state", "velocity_vy", "velocity_vx"]
    )
    made["state"] = (coordinates.UNITS, np.stack([reference @ matrix(u).T for u in NEIGHBOURS]))
    return made


def noise(rng):
    """States (flow, trial, time, 1, feature, y, x) without any relation."""
    return rng.standard_normal((9, 4, 6, 1, 4, 5, 6))


def rotation(rng, units):
    """A random rotation or reflection (units, units)."""
    return np.linalg.qr(rng.standard_normal((units, units)))[0]


def spiral(rng, angle, trials=20, times=30):
    """Paths (trial, time, component) of a noisy rotation."""
    turn = 0.98 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    path = [rng.standard_normal((trials, 2))]
    for _ in range(times - 1):
        path.append(path[-1] @ turn.T + 0.01 * rng.standard_normal((trials, 2)))
    return np.stack(path, 1)


def accumulated(frames, velocities):
    """The state (flow, trial, time, velocity, 1, y, x) of an accumulator of frames (flow, trial, time, y, x):
    h_t(v) = psi_1(v) h_(t-1)(v) + f_t.
    """
    state = np.zeros((*frames.shape[:3], len(velocities), 1, *frames.shape[-2:]))
    for channel, velocity in enumerate(velocities):
        carried = np.zeros(frames[:, :, 0].shape)
        for t in range(frames.shape[2]):
            carried = np.roll(carried, velocity, (-2, -1)) + frames[:, :, t]
            state[:, :, t, channel, 0] = carried
    return state


def of_digits(recording, channels, state=None, seed=0, **spec):
    """A recording of digits that move, with the state of an accumulator at the velocities of these channels, or
    another ``state`` of the frames.
    """
    size = {"height": 11, "width": 13, "trials": 8, "frames": 8}
    made = moving_digits.generate("probe", np.random.default_rng(seed), **{**size, **spec})
    frames = made.frames.values.astype(float)
    activity = accumulated(frames, channels) if state is None else state(frames)
    flows = [flow.velocity for flow in coordinates.flows(made)]
    truth = {
        f"object_{name}": coord.variable
        for name, coord in made.coords.items()
        if coord.dims[:2] == ("trial", "object")
    }
    return recording(activity, flows, channels, frames=frames, prediction=frames).assign_coords(truth)
