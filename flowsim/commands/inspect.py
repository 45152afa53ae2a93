"""TODO"""

from __future__ import annotations

from argparse import Namespace


def inspect(a: Namespace) -> None:
    """Print what a file is."""
    from flowsim.views.inspection import describe

    print(describe(a.file, a.check))
