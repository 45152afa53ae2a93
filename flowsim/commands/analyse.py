"""Apply one analysis to one recording.

Where nothing can be said about a network (it diverged, or is dead), the reason is written in place of
results, as the attribute ``refused``, so that figures and the report of all the others can be made.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from flowsim.commands.parser import add_into, add_spec

HELP = "Ask one question of one recording. Reads a recording; writes HDF5 (small labelled results)."
CARRIED = ("network", "seed", "partial")
"""Attributes of a recording that its results carry on."""


def add_arguments(parser: ArgumentParser) -> None:
    """Add the analysis, its settings, the recording and the file to write."""
    parser.add_argument("analysis", help="a file in analysis/, such as equivariance_error")
    add_spec(parser, "arguments of its analyse")
    parser.add_argument("--recording", required=True, type=Path, metavar="FILE")
    add_into(parser, "results (.h5)")


def run(arguments: Namespace) -> None:
    """Analyse the recording and write the results with their provenance."""
    import xarray as xr

    from flowsim import ideas, specification
    from flowsim.errors import CannotJudge, InputError
    from flowsim.files import netcdf
    from flowsim.files.atomic import exclusive
    from flowsim.files.provenance import provenance
    from flowsim.progress import Progress, listening
    from flowsim.recording.open import open_recording

    name, path, into = arguments.analysis, arguments.recording, arguments.into
    analyse = ideas.load("analysis", name).analyse
    settings = specification.arguments(
        analyse, specification.from_json(arguments.spec), f"analysis {name}", given=("recording",)
    )
    with exclusive(into), open_recording(path) as recording:
        try:
            with Progress(f"{name} of {path}", 1, "blocks") as bar, listening(bar.listen):
                results = analyse(recording, **settings).compute()
        except CannotJudge as error:
            results = xr.Dataset(attrs={"refused": str(error)})
            print(f"{path} could not be judged: {error}", file=sys.stderr)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        except (OSError, RuntimeError):
            for variable in recording.variables:  # raises if the recording is damaged
                netcdf.load(recording[[variable]], path)
            raise  # the recording can be read, so the error is one of the analysis
        origin = provenance("analysis", {"analysis": name, **settings}, [path])
        carried = {key: recording.attrs[key] for key in CARRIED if key in recording.attrs}
        netcdf.write(results, into, {**origin, **carried})
    print(f"wrote {into}", file=sys.stderr)
