"""
stability: does it slip, or leave the world?
============================================

One prediction slips: it shows the right world half a pixel further on with each frame, rounded to pixels.
One leaves the world: noise grows on it by a fifth with each frame. The first error lies along the orbit of
the world, the second across.
"""

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

from analysis import stability
from flowsim.figures import plot

plt.rcParams.update(plot.STYLE)
rng = np.random.default_rng(0)
trials, context, results = 6, 4, []
images, speed = rng.random((trials, 12, 13)), rng.integers(-2, 3, trials)
moved = [[np.roll(image, t * v, -1) for t in range(16)] for image, v in zip(images, speed, strict=True)]
frames = np.array(moved)[None]  # (flow, trial, time, y, x)
ahead = np.maximum(np.arange(16) - context + 1, 0)[:, None, None]
noise = rng.standard_normal(frames.shape)
slipping, noise = frames.copy(), noise / np.linalg.norm(noise, axis=(-2, -1), keepdims=True)
for t in range(context, 16):
    slipping[0, :, t] = np.roll(frames[0, :, t], (t - context + 1) // 2, -1)
both = {"slips": slipping, "leaves": frames + noise * np.exp(0.2 * ahead) * (ahead > 0)}
dims = ("flow", "trial", "time", "y", "x")
coords = {"flow_vy": ("flow", [0]), "flow_vx": ("flow", [0]), "time": np.arange(16)}
attrs = {"flow_group": "translation", "context": context, "horizon": 6}
for prediction in both.values():
    made = xr.Dataset({"frames": (dims, frames), "prediction": (dims, prediction)}, coords, attrs)
    results.append(stability.analyse(made).expand_dims(run=1))

together = xr.concat(results, "run", join="outer").assign_coords(network=("run", list(both)))
for label, value in stability.answers(together).items():
    print(label, value.values.round(3))
figure = stability.figure(together)
