"""What each verb of the command line does: read files, call one function of the package, write files."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from typing import Any

import dask
import numpy as np

from flowsim import ideas
from flowsim.errors import InputError
from flowsim.files import netcdf
from flowsim.files.atomic import exclusive
from flowsim.files.provenance import provenance
from flowsim.files.results import runs, write_tidy
from flowsim.progress import Progress, listening
from flowsim.recording.open import open_recording


def specification(text: str) -> dict[str, Any]:
    """The content of --spec.

    Raises
    ------
    InputError
        If it is no JSON object.
    """
    try:
        spec = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"--spec: expected JSON; {error}") from None
    if not isinstance(spec, dict):
        raise InputError(f"--spec: expected a JSON object; got {text!r}")
    return spec


def stimulus(a: Namespace) -> None:
    """Generate one stimulus file."""
    family, spec = ideas.load("stimuli", a.family), specification(a.spec)
    arguments = ideas.arguments(family.generate, spec, f"stimulus {a.family}", given=("split", "rng"))
    with exclusive(a.into):
        made = family.generate(a.split, np.random.default_rng(a.seed), **arguments)
        origin = {"family": a.family, "split": a.split, **arguments}
        with dask.config.set(scheduler="synchronous"):  # rendering has threads of its own
            netcdf.write(made, a.into, provenance("stimulus", origin, seed=a.seed))
    print(f"wrote {a.into}: frames {dict(made.frames.sizes)}", file=sys.stderr)


def train(a: Namespace) -> None:
    """Train one network."""
    from flowsim.commands.running import train as stage

    stage(a)


def record(a: Namespace) -> None:
    """Record one network on one stimulus."""
    from flowsim.commands.running import record as stage

    stage(a)


def analyse(a: Namespace) -> None:
    """Apply one analysis to one recording."""
    analysis, spec = ideas.load("analysis", a.analysis), specification(a.spec)
    arguments = ideas.arguments(analysis.analyse, spec, f"analysis {a.analysis}", given=("recording",))
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


def figure(a: Namespace) -> None:
    """Draw one analysis of several runs."""
    import matplotlib as mpl

    from flowsim.figures import plot

    if a.into.suffix != ".svg":
        raise InputError(f"--into: expected a file ending in .svg (.png and .csv are written beside it); got {a.into}")
    mpl.use("agg")
    analysis = ideas.load("analysis", a.analysis)
    with exclusive(a.into), mpl.rc_context(plot.STYLE):
        results = runs(a.results, a.analysis)
        data = getattr(analysis, analysis.DATA)(results) if hasattr(analysis, "DATA") else results
        write_tidy(data, a.into.with_suffix(".csv"))
        drawn = analysis.figure(results)
        for path in (a.into.with_suffix(".png"), a.into):
            plot.save(drawn, path)
    print(f"wrote {a.into}, .png and .csv", file=sys.stderr)


def report(a: Namespace) -> None:
    """Write the page of one experiment."""
    from flowsim.views.report import page

    with exclusive(a.into):
        page(a.experiment, a.results, a.into)
    print(f"wrote {a.into}", file=sys.stderr)


def plan(a: Namespace) -> None:
    """Print the jobs of an experiment."""
    from flowsim.experiment.plan import jobs

    print(json.dumps(jobs(a.experiment)))


def preview(a: Namespace) -> None:
    """Draw a few trials of a stimulus."""
    from flowsim.views import preview as look

    if a.into.suffix != ".png":
        raise InputError(f"--into: expected a file ending in .png (a .gif is written beside it); got {a.into}")
    family, spec = look.specification(a.stimulus, a.split)
    look.write(look.few(family, a.split, {**spec, **specification(a.spec)}, a.seed), a.into)
    print(f"wrote {a.into} and .gif", file=sys.stderr)


def gallery(a: Namespace) -> None:
    """Write the page of all stimuli."""
    from flowsim.views.gallery import write

    if a.into.suffix != ".md":
        raise InputError(f"--into: expected a file ending in .md; got {a.into}")
    write(ideas.names("stimuli"), a.into)
    print(f"wrote {a.into}", file=sys.stderr)


def export(a: Namespace) -> None:
    """Write a recording in another format."""
    from flowsim.exports.exporting import export as stage

    stage(a)


def inspect(a: Namespace) -> None:
    """Print what a file is."""
    from flowsim.views.inspection import describe

    print(describe(a.file, a.check))


def models(a: Namespace) -> None:
    """Print a table of every model."""
    from flowsim.views.model_table import table

    print(table())
