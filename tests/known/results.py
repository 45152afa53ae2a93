"""Results of an analysis for several runs, as a figure takes them."""

import inspect

from flowsim.files import netcdf
from flowsim.files.results import side_by_side

DRAWS = ("permutations", "shuffles", "splits")
"""Arguments of analyses that say how often something is drawn at random."""


def results_of(analysis, runs, folder):
    """Results of an analysis of the recordings of ``runs`` (see the fixture), written to files and read: of
    those under its name, or else of the split that it reads.

    What is drawn at random is drawn a few times only: how often it is drawn decides about time and precision.
    """
    few = {name: 10 for name in DRAWS if name in inspect.signature(analysis.analyse).parameters}
    name = analysis.__name__.removeprefix("analysis.")
    paths = []
    for run, recordings in runs.items():
        recording = recordings.get(name, recordings[analysis.READS])
        attrs = {"stage": "analysis", "network": recording.attrs["network"], "seed": recording.attrs["seed"]}
        netcdf.write(analysis.analyse(recording, **few).compute(), folder / f"{run}.h5", attrs)
        paths.append(folder / f"{run}.h5")
    return side_by_side(paths, name)
