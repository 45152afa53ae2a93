"""TODO"""

from __future__ import annotations

import json
from argparse import Namespace


def plan(a: Namespace) -> None:
    """Print the jobs of an experiment."""
    from flowsim.experiment.plan import jobs

    print(json.dumps(jobs(a.experiment)))
