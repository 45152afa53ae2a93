"""
velocity_generalisation: velocities never trained?
==================================================

Training showed velocities from -1 to 1 (the coordinate `trained`). *Reaches further* is as good at 2; *does
not* is wrong by three times as much there.
"""

import numpy as np
import xarray as xr

from analysis import velocity_generalisation

rng = np.random.default_rng(0)
trials, context, results = 50, 4, []
images, speed = rng.random((trials, 12, 13)), np.resize(np.arange(-2, 3), trials)
moved = [[np.roll(image, t * v, -1) for t in range(16)] for image, v in zip(images, speed, strict=True)]
frames = np.array(moved)[None]  # (flow, trial, time, y, x)
ahead = np.maximum(np.arange(16) - context + 1, 0)[:, None, None]
noise = rng.standard_normal(frames.shape)
vertical = np.repeat(np.arange(-2, 3), 10)
frames = np.array(
    [[np.roll(f, t * v, 0) for t, f in enumerate(o)] for o, v in zip(moved, vertical, strict=True)]
)[None]
trained = (abs(speed) < 2) & (abs(vertical) < 2)
size = np.where(trained, 0.1, 0.3)[:, None, None, None]
both = {"reaches further": frames + 0.1 * noise, "does not": frames + size * noise}
dims = ("flow", "trial", "time", "y", "x")
coords = {"flow_vy": ("flow", [0]), "flow_vx": ("flow", [0]), "time": np.arange(16)}
coords |= {"trained": ("trial", trained), "object_velocity_vx": (("trial", "object"), speed[:, None])}
coords["object_velocity_vy"] = (("trial", "object"), vertical[:, None])
attrs = {"flow_group": "translation", "context": context, "horizon": 6}
for prediction in both.values():
    made = xr.Dataset({"frames": (dims, frames), "prediction": (dims, prediction)}, coords, attrs)
    results.append(velocity_generalisation.analyse(made).expand_dims(run=1))

together = xr.concat(results, "run", join="outer").assign_coords(network=("run", list(both)))
for label, value in velocity_generalisation.answers(together).items():
    print(label, value.values.round(3))
figure = velocity_generalisation.figure(together)
