"""TODO"""

from __future__ import annotations

import sys
from argparse import Namespace

from flowsim import specification
from flowsim.errors import InputError


def preview(a: Namespace) -> None:
    """Draw a few trials of a stimulus."""
    from flowsim.views import preview as look

    if a.into.suffix != ".png":
        raise InputError(
            f"--into: expected a file ending in .png (a .gif is written beside it); got {a.into}"
        )
    family, spec = look.chosen(a.stimulus, a.split)
    look.write(look.few(family, a.split, {**spec, **specification.from_json(a.spec)}, a.seed), a.into)
    print(f"wrote {a.into} and .gif", file=sys.stderr)
