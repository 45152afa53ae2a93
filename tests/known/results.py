"""Results of an analysis for several runs, as a figure takes them."""

from flowsim.files import netcdf
from flowsim.files.results import side_by_side


def results_of(analysis, runs, tmp_path):
    """Results of an analysis of the recordings of ``runs`` (see the fixture), written to files and read."""
    paths = []
    for run, recordings in runs.items():
        recording = recordings[analysis.READS]
        attrs = {"stage": "analysis", "network": recording.attrs["network"], "seed": recording.attrs["seed"]}
        netcdf.write(analysis.analyse(recording).compute(), tmp_path / f"{run}.h5", attrs)
        paths.append(tmp_path / f"{run}.h5")
    return side_by_side(paths, analysis.__name__.removeprefix("analysis."))
