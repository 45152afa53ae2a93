"""TODO"""

from __future__ import annotations

import sys
from argparse import Namespace

from flowsim import ideas
from flowsim.errors import InputError


def gallery(a: Namespace) -> None:
    """Write the page of all stimuli."""
    from flowsim.views.gallery import write

    if a.into.suffix != ".md":
        raise InputError(f"--into: expected a file ending in .md; got {a.into}")
    write(ideas.names("stimuli"), a.into)
    print(f"wrote {a.into}", file=sys.stderr)
