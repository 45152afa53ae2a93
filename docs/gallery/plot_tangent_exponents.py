"""
tangent_exponents: is a displacement along the orbit kept?
==========================================================

Growth per frame as two networks would show it. One keeps where things are: what is displaced along the orbit
stays displaced. The other pulls it back by a tenth per frame, and forgets within about ten frames.
"""

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

from analysis import tangent_exponents
from flowsim.figures import plot

plt.rcParams.update(plot.STYLE)
rng = np.random.default_rng(0)
each, trials, times, results = ("exponent_trial", "exponent_time"), 4, 40, []
for gap in (0.0, 0.1):
    along = -gap + 0.01 * rng.standard_normal((trials, times, 2)) * (gap > 0)
    spectrum = np.array([-gap, -0.3, -0.5]) + 0.02 * rng.standard_normal((trials, times, 3))
    variables = {
        "exponent_growth": ((*each, "exponent_number"), spectrum),
        "exponent_orbit_growth": ((*each, "exponent_tangent"), along),
        "exponent_orbit_lawful": ((*each, "exponent_tangent"), 0 * along),
        "exponent_orbit_leak": (each, gap + 0.02 * rng.random((trials, times)) * (gap > 0)),
        "exponent_size": (each, np.ones((trials, times))),
    }
    made = xr.Dataset(variables, {"exponent_time": np.arange(1, times + 1)}, {"context": 12})
    results.append(tangent_exponents.analyse(made).expand_dims(run=1))

together = xr.concat(results, "run").assign_coords(network=("run", ["keeps", "pulls back"]))
for label, value in tangent_exponents.answers(together).items():
    print(label, value.values.round(3))
figure = tangent_exponents.figure(together)
