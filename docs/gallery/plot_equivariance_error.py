"""
equivariance_error: by which law does the state move?
=====================================================

The answer is known without training: with every velocity of the torus in V, a FERNN follows
*transport+shift* to rounding. A G-RNN (V = {0}) follows no law exactly: the law that comes closest leaves a
large error.
"""

from pathlib import Path
from tempfile import mkdtemp

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

from analysis import equivariance_error
from flowsim import build, open_recording, record
from flowsim.figures import plot
from stimuli import moving_digits

plt.rcParams.update(plot.STYLE)
folder, results = Path(mkdtemp()), []
probe = moving_digits.generate("probe", np.random.default_rng(0), height=8, width=9, trials=4, frames=8)
networks = {
    "fernn": build("fernn", (8, 9), velocities="closed", channels=4),
    "grnn": build("fernn", (8, 9), max_speed=0, channels=4),
}
for name, network in networks.items():
    record(network, probe, folder / f"{name}.h5")
    result = equivariance_error.analyse(open_recording(folder / f"{name}.h5")).compute()
    results.append(result.expand_dims(run=[name]).assign_coords(network=("run", [name])))
together = xr.concat(results, "run", join="outer")
for label, value in equivariance_error.answers(together).items():
    print(label, value.values.round(3))
figure = equivariance_error.figure(together)
