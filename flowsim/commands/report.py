"""TODO"""

from __future__ import annotations

import sys
from argparse import Namespace

from flowsim.files.atomic import exclusive


def report(a: Namespace) -> None:
    """Write the page of one experiment."""
    from flowsim.views.report import page

    with exclusive(a.into):
        page(a.experiment, a.results, a.into)
    print(f"wrote {a.into}", file=sys.stderr)
