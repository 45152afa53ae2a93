"""
stabilised_maps: is the state still when one moves along?
=========================================================

The maps of a FERNN, carried back along the flow, are those of the world at rest: change 0. Those of a G-RNN
smear.
"""

from pathlib import Path
from tempfile import mkdtemp

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

from analysis import stabilised_maps
from flowsim import build, open_recording, record
from flowsim.figures import plot
from stimuli import moving_digits

plt.rcParams.update(plot.STYLE)
folder, results = Path(mkdtemp()), []
probe = moving_digits.generate(
    "probe", np.random.default_rng(0), height=8, width=9, objects=1, max_speed=0, trials=4, frames=8
)
networks = {
    "fernn": build("fernn", (8, 9), max_speed=1, channels=4),
    "grnn": build("fernn", (8, 9), max_speed=0, channels=4),
}
for name, network in networks.items():
    record(network, probe, folder / f"{name}.h5")
    result = stabilised_maps.analyse(open_recording(folder / f"{name}.h5")).compute()
    results.append(result.expand_dims(run=[name]).assign_coords(network=("run", [name])))
together = xr.concat(results, "run", join="outer")
for label, value in stabilised_maps.answers(together).items():
    print(label, value.values.round(3))
figure = stabilised_maps.figure(together)
