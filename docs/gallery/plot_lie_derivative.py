"""
lie_derivative: how far from a law, for slow flows?
===================================================

The local version of a law's error: how much the state and the prediction change beyond the law, per unit of
velocity, between the flows u and -u. With every velocity of the torus in V it is 0 to rounding for a FERNN,
at both sites. For a G-RNN it is not, and larger for the prediction than for the state.
"""

from pathlib import Path
from tempfile import mkdtemp

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

from analysis import lie_derivative
from flowsim import build, open_recording, record
from flowsim.figures import plot
from stimuli import moving_digits

plt.rcParams.update(plot.STYLE)
folder, results = Path(mkdtemp()), []
probe = moving_digits.generate(
    "probe", np.random.default_rng(0), height=8, width=9, trials=4, frames=8, probe_speed=1
)
networks = {
    "fernn": build("fernn", (8, 9), velocities="closed", channels=4),
    "grnn": build("fernn", (8, 9), max_speed=0, channels=4),
}
for name, network in networks.items():
    record(network, probe, folder / f"{name}.h5")
    result = lie_derivative.analyse(open_recording(folder / f"{name}.h5")).compute()
    results.append(result.expand_dims(run=[name]).assign_coords(network=("run", [name])))
together = xr.concat(results, "run", join="outer")
for label, value in lie_derivative.answers(together).items():
    print(label, value.values.round(3))
figure = lie_derivative.figure(together)
