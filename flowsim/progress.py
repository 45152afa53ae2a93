"""Progress: a bar on a terminal, plain lines in a log.

Code that computes does not print: it reports how far it is (`steps`), and the command line listens
(`listening`).
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
"""Called with the amount done, the total amount and its unit."""
_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call ``listener`` for each of the `steps` that are taken within."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def steps(items: Iterable[Item], total: int, unit: str) -> Iterator[Item]:
    """The same items; a listener is called with how many are done.

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
    """A context manager; call `to` with the amount done so far.

    Parameters
    ----------
    title : str
    total : int
        The total amount.
    unit : str
        Unit of the amount, in the plural.
    """

    def __init__(self, title: str, total: int, unit: str) -> None:
        self.title = title
        self.total = total
        self.unit = unit
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
        """Show that ``done`` of the total is done.

        ``force`` writes a line into a log even if there was one just now.
        """
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

    def set_total(self, total: int) -> None:
        """Change the total amount, where it is known only after the start."""
        self.total = total
        self.bar.total = total

    def listen(self, done: int, total: int, unit: str) -> None:
        """A listener: like `to`, for one amount after another.

        An amount that is soon done leaves no line in a log.
        """
        now = time.monotonic()
        if not done or (total, unit) != (self.total, self.unit):
            self.total = total
            self.unit = unit
            self.first = None
            self.started = self.logged = now
            self.bar.unit = f" {unit}"
            self.bar.reset(total)
        if self.watched or done < total or now - self.started > LOG_EVERY:
            self.to(done)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()


def duration(seconds: float) -> str:
    """A duration in words: "8 s", "12 min", "3.5 h", "4 days"."""
    for unit, size, digits in (("s", 1, 0), ("min", 60, 0), ("h", 3600, 1), ("days", 86400, 0)):
        count = round(seconds / size, digits)
        if count < {"s": 91, "min": 91, "h": 48}.get(unit, float("inf")):
            return f"{count:.{digits}f} {unit}"
    raise AssertionError("every duration has a unit")


def counted(count: int, what: str) -> str:
    """A number and what it is of: "1 core", "2 cores"."""
    return f"{count} {what}{'' if count == 1 else 's'}"
