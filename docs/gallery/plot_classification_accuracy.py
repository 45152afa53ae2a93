"""
classification_accuracy: is it named when it moves anew?
========================================================

One network names the object at every velocity; the other only at those of training, and guesses beyond (one
in three).
"""

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

from analysis import classification_accuracy
from flowsim.figures import plot

plt.rcParams.update(plot.STYLE)
rng = np.random.default_rng(0)
label, results = np.repeat(np.arange(3), 75), []
velocity = np.tile(np.stack(np.meshgrid(*2 * [np.arange(-2, 3)], indexing="ij"), -1).reshape(25, 2), (9, 1))
trained = (abs(velocity) < 2).all(1)
guess = rng.integers(0, 3, 225)
both = {"knows the object": label, "knows it as trained": np.where(trained, label, guess)}
coords = {"time": [0], "trained": ("trial", trained), "object_label": (("trial", "object"), label[:, None])}
coords |= {f"object_velocity_v{c}": (("trial", "object"), velocity[:, [i]]) for i, c in enumerate("yx")}
for named in both.values():
    logits = ("flow", "trial", "time", "class"), np.eye(3)[named][None, :, None]
    made = xr.Dataset({"logits": logits}, coords, {"task": "classify"})
    results.append(classification_accuracy.analyse(made).expand_dims(run=1))

together = xr.concat(results, "run", join="outer").assign_coords(network=("run", list(both)))
for label, value in classification_accuracy.answers(together).items():
    print(label, value.values.round(3))
figure = classification_accuracy.figure(together)
