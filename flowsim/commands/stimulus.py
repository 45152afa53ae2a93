"""TODO"""

from __future__ import annotations

import sys
from argparse import Namespace

import dask
import numpy as np

from flowsim import ideas, specification
from flowsim.files import netcdf
from flowsim.files.atomic import exclusive
from flowsim.files.provenance import provenance


def stimulus(a: Namespace) -> None:
    """Generate one stimulus file."""
    family, spec = ideas.load("stimuli", a.family), specification.from_json(a.spec)
    arguments = specification.arguments(family.generate, spec, f"stimulus {a.family}", given=("split", "rng"))
    with exclusive(a.into):
        made = family.generate(a.split, np.random.default_rng(a.seed), **arguments)
        origin = {"family": a.family, "split": a.split, **arguments}
        with dask.config.set(scheduler="synchronous"):  # rendering has threads of its own
            netcdf.write(made, a.into, provenance("stimulus", origin, seed=a.seed))
    print(f"wrote {a.into}: frames {dict(made.frames.sizes)}", file=sys.stderr)
