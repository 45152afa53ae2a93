"""Apply one analysis to one recording.

Where nothing can be said about a network (it diverged, or is dead), the reason is written in place of
results, as the attribute ``refused``, so that figures and the report of all the others can be made. So it is
where an analysis of the user's fails, or returns what cannot be written: that costs its section of the
report. The log has the traceback.
"""

from __future__ import annotations

import sys
import traceback
from argparse import ArgumentParser, Namespace
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from flowsim.commands.parser import add_into, add_spec

if TYPE_CHECKING:
    import xarray as xr

HELP = "Ask one question of one recording. Reads a recording; writes HDF5 (small labelled results)."
CARRIED = ("network", "seed", "partial", "stimulus")
"""Attributes of a recording that its results carry on."""


def add_arguments(parser: ArgumentParser) -> None:
    """Add the analysis, its settings, the recording and the file to write."""
    parser.add_argument("analysis", help="a file in analysis/, such as equivariance_error")
    add_spec(parser, "arguments of its analyse")
    parser.add_argument("--recording", required=True, type=Path, metavar="FILE")
    add_into(parser, "results (.h5)")
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="of a dask cluster whose workers read and compute blocks, such as tcp://node1:8786; they have "
        "to see the recording. If not given, threads of this process do",
    )


def run(arguments: Namespace) -> None:
    """Analyse the recording and write the results with their provenance."""
    from flowsim import ideas, specification
    from flowsim.errors import CannotJudge, ClusterFailed, Damaged, InputError
    from flowsim.experiment.places import Said, require_place, require_split, said_by
    from flowsim.files import netcdf
    from flowsim.files.atomic import exclusive
    from flowsim.files.code_hash import analysis_modules, own_sources
    from flowsim.files.outputs import protect
    from flowsim.files.provenance import provenance
    from flowsim.files.results import results_of
    from flowsim.progress import Progress, listening
    from flowsim.recording.open import open_recording

    name, path, into = arguments.analysis, arguments.recording, arguments.into
    protect((into, "results of an analysis"), read=[path])
    analysis = ideas.load("analysis", name)
    settings = specification.arguments(
        analysis.analyse, specification.from_json(arguments.spec), f"analysis {name}", given=("recording",)
    )
    own = ideas.is_own(str(analysis.__file__))
    opened = open_recording(path)
    said = said_by(opened.attrs)
    require_place(path, said)
    require_split(path, said, analysis.READS, f"the analysis {name}")
    require_place(into, Said(run=said.run, analysis=name), written=True)
    with exclusive(into), opened as recording:
        try:
            with (
                _computing_at(arguments.scheduler, path, analysis if own else None),
                Progress(f"{name} of {path}", 1, "blocks") as bar,
                listening(bar.listen),
            ):
                results = results_of(analysis, recording, settings)
            netcdf.storable(results)
        except CannotJudge as error:
            results = refused(str(error), path)
        except (ClusterFailed, Damaged):
            raise
        except InputError as error:
            if not own:
                raise InputError(f"{path}: {error}") from None
            results = refused(_naming(analysis, error), path)
        except MemoryError:
            raise
        except Exception as error:
            for variable in recording.variables:  # raises if the recording is damaged
                netcdf.load(recording[[variable]], path)
            if not own:
                raise  # the recording can be read, so the error is one of the analysis
            traceback.print_exception(error)
            results = refused(ideas.fault(Path(str(analysis.__file__)), error), path)
        sources = own_sources(*analysis_modules(name, settings))
        origin = provenance("analysis", {"analysis": name, **settings}, [path, *sources])
        carried = {key: recording.attrs[key] for key in CARRIED if key in recording.attrs}
        netcdf.write(results, into, {**origin, **carried})
    print(f"wrote {into}", file=sys.stderr)


def _computing_at(
    address: str | None, recording: Path, own: ModuleType | None
) -> AbstractContextManager[None]:
    """On a cluster, to which functions of an analysis of the user's ``own`` are sent, or in this process.

    Here dask is told that its own threads compute, if nobody has told it what does: it would look for a
    cluster instead, and for that import distributed.
    """
    if address is None:
        import dask
        from dask import threaded

        return dask.config.set(scheduler=dask.config.get("scheduler", threaded.get))
    from flowsim.measures.dask_cluster import computing_at

    return computing_at(address, recording, own)


def refused(reason: str, path: Path) -> xr.Dataset:
    """Results that say why there are none."""
    import xarray as xr

    print(f"{path} could not be judged: {reason}", file=sys.stderr)
    return xr.Dataset(attrs={"refused": reason})


def _naming(analysis: ModuleType, error: Exception) -> str:
    """An error that names the file of the analysis."""
    from flowsim import ideas

    file, text = ideas.file_of(analysis), str(error)
    return text if text.startswith(file) else f"{file}: {text}"
