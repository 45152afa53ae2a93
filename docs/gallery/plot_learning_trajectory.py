"""
learning_trajectory: what does a network learn first?
=====================================================

Two networks, three seeds each, recorded at five moments of a training. One obeys the law of its state from
the start. The other comes to obey it, late; what it holds is found before.
"""

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

from analysis import learning_trajectory
from flowsim.figures import plot

plt.rcParams.update(plot.STYLE)
rng = np.random.default_rng(0)
flows, times, moments, results = [(0, 0), (0, 1), (1, 0)], range(5), [0, 30, 300, 3000, 30000], []
dims = ("flow", "trial", "time", "velocity", "channel", "y", "x")
coords = {"flow_vy": ("flow", [v[0] for v in flows]), "flow_vx": ("flow", [v[1] for v in flows])}
coords |= {f"velocity_{axis}": ("velocity", [0]) for axis in ("vy", "vx")}
coords |= {"time": list(times), "sequences": ("checkpoint", moments)}
for disturbed in [(0, 0, 0, 0, 0)] * 3 + [(1, 1, 0.9, 0.3, 0.1), (1, 1, 0.8, 0.2, 0.1), (1, 1, 1, 0.5, 0.1)]:
    last, first = rng.standard_normal((2, 4, 1, 2, 9, 9))
    states = []
    for known, noise in zip((0, 0.5, 0.9, 1, 1), disturbed, strict=True):
        held = known * last + (1 - known) * first
        moved = [[np.roll(held, (t * vy, t * vx), (-2, -1)) for t in times] for vy, vx in flows]
        states.append(np.moveaxis(moved, 2, 1) + noise * rng.standard_normal((3, 4, 5, 1, 2, 9, 9)))
    variables = {
        "state": (dims, states[-1]),
        "state_at_checkpoint": (("checkpoint", *dims), np.stack(states)),
    }
    made = xr.Dataset(variables, coords, {"flow_group": "translation"})
    of_run = learning_trajectory.analyse(made, answers=["worst error of the best law that applies"])
    results.append(of_run.expand_dims(run=1))

names = ["lawful from the start"] * 3 + ["comes to obey"] * 3
together = xr.concat(results, "run", join="outer").assign_coords(network=("run", names))
print({label: value.values.round(2) for label, value in learning_trajectory.answers(together).items()})
figure = learning_trajectory.figure(together)
