"""TODO"""

from __future__ import annotations

from argparse import Namespace


def models(a: Namespace) -> None:
    """Print a table of every model."""
    from flowsim.views.model_table import table

    print(table())
