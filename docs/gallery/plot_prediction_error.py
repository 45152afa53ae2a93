"""
prediction_error: how well are the frames to come predicted?
============================================================

Two predictions that are wrong on purpose: by noise of a tenth, and by noise that grows by as much with each
frame. The mean squared error is 0.01 at all frames, and (0.1 n)² at the n-th. A grey line is what is
reached without learning.
"""

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

from analysis import prediction_error
from flowsim.figures import plot

plt.rcParams.update(plot.STYLE)
rng = np.random.default_rng(0)
trials, context, results = 6, 4, []
images, speed = rng.random((trials, 12, 13)), rng.integers(-2, 3, trials)
moved = [[np.roll(image, t * v, -1) for t in range(16)] for image, v in zip(images, speed, strict=True)]
frames = np.array(moved)[None]  # (flow, trial, time, y, x)
ahead = np.maximum(np.arange(16) - context + 1, 0)[:, None, None]
noise = rng.standard_normal(frames.shape)
both = {"wrong by 0.1": frames + 0.1 * noise * (ahead > 0), "by 0.1 n": frames + 0.1 * noise * ahead}
dims = ("flow", "trial", "time", "y", "x")
coords = {"flow_vy": ("flow", [0]), "flow_vx": ("flow", [0]), "time": np.arange(16)}
attrs = {"flow_group": "translation", "context": context, "horizon": 6}
for prediction in both.values():
    made = xr.Dataset({"frames": (dims, frames), "prediction": (dims, prediction)}, coords, attrs)
    results.append(prediction_error.analyse(made).expand_dims(run=1))

together = xr.concat(results, "run", join="outer").assign_coords(network=("run", list(both)))
for label, value in prediction_error.answers(together).items():
    print(label, value.values.round(3))
figure = prediction_error.figure(together)
