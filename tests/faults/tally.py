"""What came of tries, kept in a file as they are made, so that a driver that was stopped goes on where it was."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from flowsim.files.provenance import commit

GOOD = ("done", "refused", "detected", "harmless")
"""Outcomes that are no fault."""


class Tally:
    """Counts of outcomes by row of a table.

    Parameters
    ----------
    outcomes : sequence of str
        The columns of the table.
    log : path, optional
        Gets a line of JSON for each try. Tries that are in it already, of this commit, count as made.
    """

    def __init__(self, outcomes: Sequence[str], log: Path | None = None) -> None:
        self.outcomes = outcomes
        self.log = log
        self.made: dict[str, tuple[str, str]] = {}
        if log and log.is_file():
            for line in log.read_text(encoding="utf-8").splitlines():
                entry = json.loads(line)
                if entry["commit"] == commit():
                    self.made[entry["try"]] = entry["row"], entry["outcome"]

    def has(self, name: str) -> bool:
        """Whether a try of this name was made."""
        return name in self.made

    def note(self, name: str, row: str, outcome: str, text: str = "") -> None:
        """Count a try; a fault is printed at once, with the text that tells how to repeat it."""
        self.made[name] = row, outcome
        if outcome not in GOOD:
            print(f"{name}, {row}: {outcome}\n    " + "\n    ".join(text.splitlines()[-6:]), flush=True)
        if self.log:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            entry = {"try": name, "row": row, "outcome": outcome, "text": text, "commit": commit()}
            with self.log.open("a", encoding="utf-8") as file:
                file.write(f"{json.dumps(entry)}\n")

    @property
    def faults(self) -> int:
        """How many tries ended otherwise than they should."""
        return sum(outcome not in GOOD for _, outcome in self.made.values())

    def __str__(self) -> str:
        counts: dict[str, Counter[str]] = {}
        for row, outcome in self.made.values():
            counts.setdefault(row, Counter())[outcome] += 1
        counts["all"] = sum(counts.values(), Counter())
        rows = [["", "tries", *self.outcomes]]
        rows += [[row, str(c.total()), *(str(c[o]) for o in self.outcomes)] for row, c in counts.items()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(
                cell.rjust(width) if at else cell.ljust(width)
                for at, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        )
