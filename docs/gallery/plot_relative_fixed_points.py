"""
relative_fixed_points: which states travel with the world?
==========================================================

Two small networks watch pictures that move. One keeps its law: its fixed points under moving pictures are
those under resting ones, in the partner channel. In the other channels are permuted, and it has no law.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import xarray as xr

from analysis import relative_fixed_points
from flowsim import build, open_recording, record
from flowsim.figures import plot

plt.rcParams.update(plot.STYLE)
pictures = np.random.default_rng(0).random((3, 2, 4, 5))  # (trial, time, y, x)
flows, results = [(0, 0), (0, 1), (1, -1)], []
with tempfile.TemporaryDirectory() as folder:
    for name, model in {"lawful": "fernn", "permuted": "fernn_permuted"}.items():
        torch.manual_seed(0)
        network = build(model, (4, 5), max_speed=1, channels=2, decoder_layers=0)
        file = Path(folder) / f"{name}.h5"
        record(network, pictures, file, flows=flows, fixed_points={"trials": 3})
        with open_recording(file) as recording:
            results.append(relative_fixed_points.analyse(recording).expand_dims(run=[name]).load())

together = xr.concat(results, "run").assign_coords(network=("run", ["lawful", "permuted"]))
for label, value in relative_fixed_points.answers(together).items():
    print(label, value.values.round(3))
figure = relative_fixed_points.figure(together)
