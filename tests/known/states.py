"""States that follow flows by a law or an action that is known."""

import numpy as np
import torch
from scipy.linalg import expm

from flowsim import Flow, Translation, VelocityGrid

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
