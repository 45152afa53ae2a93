"""Progress: a bar when a person watches, plain lines when a log does."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from tqdm import tqdm

LOG_EVERY = 10.0
"""Seconds between two plain lines."""


class Progress:
    """Use as a context manager and call `to` with the amount done so far.

    Parameters
    ----------
    title : str
    total : int
        Amount in all.
    unit : str
        Of the amount, in the plural.
    """

    def __init__(self, title: str, total: int, unit: str) -> None:
        self.title, self.total, self.unit = title, total, unit
        self.watched = sys.stderr.isatty()
        self.started = self.logged = time.monotonic()
        self.first: int | None = None

    def __enter__(self) -> Progress:
        self.bar = tqdm(
            desc=self.title,
            total=self.total,
            unit=f" {self.unit}",
            disable=not self.watched,
            dynamic_ncols=True,
        )
        return self

    def to(self, done: int, note: str = "", force: bool = False) -> None:
        """``done`` of the total is done; ``force`` a line into the log even if there was one just now."""
        self.first = done if self.first is None else self.first
        if self.watched:
            self.bar.set_postfix_str(note, refresh=False)
            self.bar.update(done - self.bar.n)
            return
        now = time.monotonic()
        if force or done >= self.total or now - self.logged > LOG_EVERY:
            self.logged = now
            rate = (done - self.first) / (now - self.started)
            left = f", {tqdm.format_interval((self.total - done) / rate)} left" if rate > 0 else ""
            text = f"{self.title}: {done}/{self.total} {self.unit}{', ' + note if note else ''}{left}"
            print(text, file=sys.stderr, flush=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()
