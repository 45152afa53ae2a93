"""
motion_controls: is it named by its motion, or by a posture?
============================================================

Trials are shown as they are and with parts of their motion taken out. One network names the object all the
same: a posture is enough for it. The other falls to chance (1/3) where there is no motion, and below where
it is reversed.
"""

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

from analysis import motion_controls
from flowsim.figures import plot

plt.rcParams.update(plot.STYLE)
rng = np.random.default_rng(0)
conditions = "intact reversed shuffled one_posture one_frame"
label, person, results = np.arange(216) % 3, np.arange(216) // 3 % 8, []
posture = np.tile(np.where(rng.random(216) < 0.8, label, (label + 1) % 3), (5, 1))
motion = np.tile(label, (5, 1))
motion[1] = (label + 1) % 3
motion[2:] = rng.integers(0, 3, (3, 216))
both = {"by posture": posture, "by motion": motion}
flags = {"flag_values": np.arange(5, dtype=np.int8), "flag_meanings": conditions}
coords = {"condition": ("flow", np.arange(5, dtype=np.int8), flags), "time": [0, 1]}
coords |= {"object_label": (("trial", "object"), label[:, None])}
coords |= {"object_person": (("trial", "object"), person[:, None])}
frames = ("flow", "trial", "time", "y", "x"), rng.random((5, 216, 2, 6, 6))
for named in both.values():
    logits = ("flow", "trial", "time", "class"), np.repeat(np.eye(3)[named][:, :, None], 2, 2)
    made = xr.Dataset({"logits": logits, "frames": frames}, coords)
    results.append(motion_controls.analyse(made).expand_dims(run=1))

together = xr.concat(results, "run", join="outer").assign_coords(network=("run", list(both)))
for label, value in motion_controls.answers(together).items():
    print(label, value.values.round(3))
figure = motion_controls.figure(together)
