"""
causal_law: is the law what the network uses?
=============================================

The answer is known without training. With every velocity of the torus in V, a FERNN whose state was moved
by the law predicts a world that moves, to rounding; moved by a part of the law, it does not. No action on the
state of a G-RNN (V = {0}) does that. The state of another run makes both go on as that run.
"""

from pathlib import Path
from tempfile import mkdtemp

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

from analysis import causal_law
from flowsim import build, open_recording, record
from flowsim.figures import plot
from stimuli import moving_digits

plt.rcParams.update(plot.STYLE)
file, results = Path(mkdtemp()) / "test.h5", []
test = moving_digits.generate("test", np.random.default_rng(0), height=8, width=9, trials=6, frames=10)
u = (1, 2)
interventions = {part: {"law": u, "part": part} for part in ("transport+shift", "transport", "shift")}
for name, velocities in {"fernn": "closed", "grnn": [(0, 0)]}.items():
    network = build("fernn", (8, 9), velocities=velocities, channels=4, decoder_layers=0).double()
    record(network, test, file, context=4, intervene=interventions | {"other trial": {"trial": 1}})
    result = causal_law.analyse(open_recording(file)).compute()
    results.append(result.expand_dims(run=[name]).assign_coords(network=("run", [name])))
together = xr.concat(results, "run", join="outer")
for label, value in causal_law.answers(together).items():
    print(label, value.values.round(3))
figure = causal_law.figure(together)
