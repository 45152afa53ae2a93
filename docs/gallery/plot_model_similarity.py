"""
model_similarity: how alike are networks?
=========================================

Four runs: states, the same states in another basis, the same with noise on them, and unrelated ones. The
first three are alike in pairs (CKA of 1, or near it); the last is like none, so that its distance to the
others is 1.
"""

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

from analysis import model_similarity
from flowsim.figures import plot

plt.rcParams.update(plot.STYLE)
rng = np.random.default_rng(0)
flows, label, results = np.array([[0, 0], [1, 0], [0, 1], [-1, 0], [0, -1]]), np.arange(12) % 3, []
noise = 0.1 * rng.standard_normal((5, 12, 6, 30))  # (flow, trial, time, unit)
one, other = rng.standard_normal((2, 5, 12, 6, 30))
basis = np.linalg.qr(rng.standard_normal((30, 30)))[0]
both = {"states": one, "other basis": one @ basis, "noisy": one + 5 * noise, "unrelated": other}
coords = {"flow_vy": ("flow", flows[:, 0]), "flow_vx": ("flow", flows[:, 1]), "time": np.arange(6)}
truth = {"label": label, "velocity_vy": 0 * label, "velocity_vx": 0 * label, "position_y": label + 1}
truth["position_x"] = rng.integers(0, 5, 12)
coords |= {f"object_{name}": (("trial", "object"), v[:, None]) for name, v in truth.items()}
frames = ("flow", "trial", "time", "y", "x"), rng.random((5, 12, 6, 6, 5))
for states in both.values():
    made = {"frames": frames, "state": (("flow", "trial", "time", "unit"), states)}
    made = xr.Dataset(made, coords, {"flow_group": "translation"})
    results.append(model_similarity.analyse(made).expand_dims(run=1))

together = xr.concat(results, "run", join="outer").assign_coords(network=("run", list(both)))
for label, value in model_similarity.answers(together).items():
    print(label, value.values.round(3))
figure = model_similarity.figure(together)
