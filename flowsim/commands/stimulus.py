"""Generate one stimulus file."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from flowsim.commands.parser import add_data, add_into, add_seed, add_spec, add_split

HELP = "Generate one file of moving stimuli. Reads nothing; writes HDF5 (frames and ground truth)."


def add_arguments(parser: ArgumentParser) -> None:
    """Add the family, the split, the settings, the seed and the file."""
    parser.add_argument("family", help="a file in stimuli/, such as moving_digits")
    add_split(parser)
    add_spec(parser, "arguments of its generate")
    add_seed(parser)
    add_data(parser)
    add_into(parser, "stimulus file (.h5)")


def run(arguments: Namespace) -> None:
    """Generate the stimulus and write it with its provenance."""
    import dask
    import numpy as np

    from flowsim import ideas, specification
    from flowsim.experiment.places import Said, require_place
    from flowsim.files import netcdf
    from flowsim.files.atomic import exclusive
    from flowsim.files.code_hash import own_sources
    from flowsim.files.outputs import protect
    from flowsim.files.provenance import provenance
    from flowsim.scenes.control import drawn

    family, split, seed, into = arguments.family, arguments.split, arguments.seed, arguments.into
    protect((into, "a stimulus"))
    require_place(into, Said(split=split), written=True)
    generate = ideas.load("stimuli", family).generate
    settings = specification.arguments(
        generate, specification.from_json(arguments.spec), f"stimulus {family}", given=("split", "rng")
    )
    with exclusive(into):
        stimulus = drawn(generate, split, np.random.default_rng(seed), **settings)
        specified = {"family": family, "split": split, **settings}
        origin = provenance("stimulus", specified, own_sources(f"stimuli.{family}"), seed)
        with dask.config.set(scheduler="synchronous"):  # rendering has threads of its own
            netcdf.write(stimulus, into, origin)
    print(f"wrote {into}: frames {dict(stimulus.frames.sizes)}", file=sys.stderr)
