"""What the tests' simulations counted, read from pytest's report, and whether it bears out the claims."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
from scipy.stats import beta, binom

KEY = ["analysis", "claim", "variable", "part", "null", "level"]
LUCK = 0.001
"""Probability, at each end, of a rate outside of ``least`` to ``most`` where the claim is true."""


def counted(report: Path) -> Iterator[dict[str, Any]]:
    """Every count in a report of pytest (JUnit XML), with the test that made it."""
    for case in ElementTree.parse(report).iter("testcase"):
        test = f"{case.get('classname')}::{case.get('name')}"
        for prop in case.iter("property"):
            if prop.get("name") == "calibration":
                yield json.loads(prop.get("value") or "{}") | {"test": test}


def judged(counts: pd.DataFrame) -> pd.DataFrame:
    """The counts with what they say.

    Parameters
    ----------
    counts : DataFrame
        ``analysis``, ``variable`` and ``part`` of its results, ``null``, the simulated world; ``claim``,
        which is "p" or "interval", and its ``level``; ``simulations`` and ``count``, how many of them had p
        up to the level, or held the truth; and the ``test``. A later row replaces an earlier one of the same.

    Returns
    -------
    DataFrame
        Sorted, with ``rate``, its 95 % interval ``low`` to ``high`` (Clopper and Pearson), the range
        ``least`` to ``most`` in which the rate of a true claim is, but for `LUCK`, and the ``verdict``: "as
        stated", "more often" or "less often".
    """
    table = counts.drop_duplicates(KEY, keep="last").sort_values(KEY, kind="stable").reset_index(drop=True)
    n, count = table.simulations, table["count"]
    table["rate"] = count / n
    table["low"] = np.where(count > 0, beta.ppf(0.025, count, n - count + 1), 0)
    table["high"] = np.where(count < n, beta.ppf(0.975, count + 1, n - count), 1)
    table["least"], table["most"] = (binom.ppf(q, n, table.level) / n for q in (LUCK, 1 - LUCK))
    above, below = table.rate > table.most, table.rate < table.least
    table["verdict"] = np.select([above, below], ["more often", "less often"], "as stated")
    return table[[*KEY, "simulations", "count", "rate", "low", "high", "least", "most", "verdict", "test"]]


def read(file: Path) -> pd.DataFrame:
    """The table in a file; names that are missing are empty."""
    return pd.read_csv(file, keep_default_na=False)
