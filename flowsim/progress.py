"""Progress: a bar when a person watches, plain lines when a log does.

What computes does not print. It says how far it is (`steps`), and the command line listens (`listening`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import TypeVar

from tqdm import tqdm

LOG_EVERY = 10.0
"""Seconds between two plain lines."""
Item = TypeVar("Item")
Listener = Callable[[int, int, str], None]
"""Is told the amount done, the amount in all, and its unit."""
_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Have what is computed within tell ``listener`` how far it is."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def steps(items: Iterable[Item], total: int, unit: str) -> Iterator[Item]:
    """The same items; whoever listens is told how many are done.

    Parameters
    ----------
    items : iterable
    total : int
        How many there are.
    unit : str
        What they are, in the plural.
    """
    listener = _listener.get()
    for done, item in enumerate(items):
        if listener:
            listener(done, total, unit)
        yield item
    if listener:
        listener(total, total, unit)


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

    def told(self, done: int, total: int, unit: str) -> None:
        """A listener: as `to`, of one amount after the other. What is soon done leaves no line in a log."""
        now = time.monotonic()
        if not done or (total, unit) != (self.total, self.unit):
            self.total, self.unit, self.first = total, unit, None
            self.started = self.logged = now
            self.bar.unit = f" {unit}"
            self.bar.reset(total)
        if self.watched or done < total or now - self.started > LOG_EVERY:
            self.to(done)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()
