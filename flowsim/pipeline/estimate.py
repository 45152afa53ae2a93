"""How long the jobs of an experiment take, from earlier runs if there were any, and how large files get."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flowsim import usage
from flowsim.experiment.places import VARIANT
from flowsim.progress import duration


def seconds_expected(plan: Mapping[str, Any], results: Path) -> tuple[dict[str, float], int]:
    """Seconds of every job, by its verb and what it is about ("train fernn-seed0"), and how many are known.

    A job that was done before with the same settings takes as long as it took then, which its log says. Any
    other takes as long as its plan says.

    Parameters
    ----------
    plan : mapping
        See `flowsim.experiment.plan.jobs`.
    results : path
        The folder of the experiment's results, which need not exist.
    """
    expected = {name: cost["seconds"] for name, cost in plan["costs"].items()}
    known = 0
    for name in expected:
        seconds = seconds_before(name, _specification(plan, name), results)
        if seconds is not None:
            expected[name] = seconds
            known += 1
    return expected, known


def _specification(plan: Mapping[str, Any], name: str) -> str | None:
    """The settings of a job, if it has any."""
    verb, *about = name.split()
    if verb == "stimulus":
        return str(plan["stimuli"][about[0]]["spec"])
    if verb == "train":
        return str(plan["runs"][about[0]]["spec"])
    if verb == "record":
        return str(plan["recordings"][about[1].partition(VARIANT)[0]]["spec"])
    return str(plan["analyses"][about[0]]["spec"]) if verb == "analyse" else None


def seconds_before(name: str, spec: str | None, results: Path) -> float | None:
    """How long a job took in an earlier run with the same settings; None if there was none."""
    verb, *about = name.split()
    log = results / "logs" / verb / f"{'-'.join(about)}.log"
    used = usage.read(log)
    try:
        with log.open(encoding="utf-8", errors="replace") as file:
            words = shlex.split(file.readline())
        same = spec is None or json.loads(words[words.index("--spec") + 1]) == json.loads(spec)
    except (OSError, ValueError, IndexError):
        return None
    return used.seconds if used and same else None


def cost_in_words(plan: Mapping[str, Any], results: Path) -> str:
    """How long an experiment takes and how large its files get, said as what it is: an estimate."""
    expected, known = seconds_expected(plan, results)
    hours = duration(sum(expected.values()))
    size = sum(cost["bytes"] for cost in plan["costs"].values())
    memory = max(cost["mem_mb"] for cost in plan["costs"].values())
    room = f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
    origin = f"{known} of {len(expected)} jobs as in earlier runs, the others" if known else "all"
    return (
        f"estimated at {hours} of one core ({origin} by arithmetic, which can be wrong by a factor of 3; a "
        f"GPU trains faster), at most {memory / 1000:.1f} GB of memory in a job, and at most {room} of "
        "stimuli and recordings before compression"
    )
