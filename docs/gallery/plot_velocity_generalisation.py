"""
velocity_generalisation: velocities never trained?
==================================================

Training showed velocities from -1 to 1 (the coordinate `trained`). *Reaches further* is as good at 2; *does
not* is wrong by three times as much there.
"""

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

from analysis import velocity_generalisation
from flowsim.figures import plot

plt.rcParams.update(plot.STYLE)
rng = np.random.default_rng(0)
trials, context, results = 50, 4, []
velocity = np.stack([np.repeat(np.arange(-2, 3), 10), np.resize(np.arange(-2, 3), trials)], -1)
images = rng.random((trials, 12, 13))
moved = [[np.roll(i, t * v, (0, 1)) for t in range(16)] for i, v in zip(images, velocity, strict=True)]
frames = np.array(moved)[None]  # (flow, trial, time, y, x)
noise, trained = rng.standard_normal(frames.shape), (abs(velocity) < 2).all(1)
size = np.where(trained, 0.1, 0.3)[:, None, None, None]
both = {"reaches further": frames + 0.1 * noise, "does not": frames + size * noise}
dims = ("flow", "trial", "time", "y", "x")
coords = {f"flow_v{c}": ("flow", [0]) for c in "yx"} | {"time": np.arange(16), "trained": ("trial", trained)}
coords |= {f"object_velocity_v{c}": (("trial", "object"), velocity[:, [i]]) for i, c in enumerate("yx")}
attrs = {"flow_group": "translation", "context": context, "horizon": 6}
for prediction in both.values():
    made = xr.Dataset({"frames": (dims, frames), "prediction": (dims, prediction)}, coords, attrs)
    results.append(velocity_generalisation.analyse(made).expand_dims(run=1))

together = xr.concat(results, "run", join="outer").assign_coords(network=("run", list(both)))
for label, value in velocity_generalisation.answers(together).items():
    print(label, value.values.round(3))
figure = velocity_generalisation.figure(together)
