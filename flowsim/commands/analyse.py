"""TODO"""

from __future__ import annotations

import sys
from argparse import Namespace

from flowsim import ideas, specification
from flowsim.errors import InputError
from flowsim.files import netcdf
from flowsim.files.atomic import exclusive
from flowsim.files.provenance import provenance
from flowsim.progress import Progress, listening
from flowsim.recording.open import open_recording


def analyse(a: Namespace) -> None:
    """Apply one analysis to one recording."""
    analysis, spec = ideas.load("analysis", a.analysis), specification.from_json(a.spec)
    arguments = specification.arguments(
        analysis.analyse, spec, f"analysis {a.analysis}", given=("recording",)
    )
    with exclusive(a.into), open_recording(a.recording) as recording:
        try:
            with Progress(f"{a.analysis} of {a.recording}", 1, "blocks") as bar, listening(bar.told):
                results = analysis.analyse(recording, **arguments).compute()
        except InputError as error:
            raise InputError(f"{a.recording}: {error}") from None
        except (OSError, RuntimeError):
            for variable in recording.variables:  # is the file to blame? If it can be read, the analysis is
                netcdf.load(recording[[variable]], a.recording)
            raise
        attrs = provenance("analysis", {"analysis": a.analysis, **arguments}, [a.recording])
        attrs |= {k: recording.attrs[k] for k in ("network", "seed", "partial") if k in recording.attrs}
        netcdf.write(results, a.into, attrs)
    print(f"wrote {a.into}", file=sys.stderr)
