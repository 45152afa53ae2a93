"""
training_speed: how fast does a network learn?
==============================================

Two learning curves, of which one falls twice as fast. The goal is the lowest loss that the first network,
the reference, reaches.
"""

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

from analysis import training_speed
from flowsim.figures import plot

plt.rcParams.update(plot.STYLE)
sequences, results = np.arange(1, 11) * 100, []
curves = {"reference": np.exp(-sequences / 400), "twice as fast": np.exp(-sequences / 200)}
for loss in curves.values():
    made = {"curve_sequences": ("validation", sequences), "curve_valid_loss": ("validation", loss)}
    results.append(training_speed.analyse(xr.Dataset(made)).expand_dims(run=1))

together = xr.concat(results, "run", join="outer").assign_coords(network=("run", list(curves)))
for label, value in training_speed.answers(together).items():
    print(label, value.values.round(3))
figure = training_speed.figure(together)
