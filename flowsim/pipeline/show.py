"""How far a run is: a bar on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from types import TracebackType

from tqdm import tqdm

from flowsim.pipeline.follow import Change, Job, Run
from flowsim.progress import duration

SILENCE = 30.0
"""Seconds without a line after which a log is told what is running."""


class Display:
    """A context manager; writes to stderr.

    Parameters
    ----------
    title : str
        Of the bar.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.watched = sys.stderr.isatty()
        self.spoke = time.monotonic()

    def __enter__(self) -> Display:
        layout = "{desc} {n_fmt}/{total_fmt} |{bar:20}| {postfix}"
        self.bar = tqdm(
            desc=self.title, total=0, disable=not self.watched, dynamic_ncols=True, bar_format=layout
        )
        return self

    def line(self, text: str) -> None:
        """Write one line."""
        self.spoke = time.monotonic()
        if self.watched:
            tqdm.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr, flush=True)

    def tell(self, change: Change, run: Run, left: float) -> None:
        """Say what happened to a job: a line for its end, and in a log one for its progress."""
        job, ended = change.job, len(run.finished) + len(run.failed)
        if change.kind == "progress" and not self.watched:
            self.line(f"{' ' * self._width(run)}  {job.name}: {job.note}")
        elif change.kind == "finished":
            rest = f", about {duration(left)} left" if run.total > ended else ""
            self.line(f"{self._count(ended, run)} {job.name}: {duration(job.ended)}{rest}")
            for text in job.unjudged():
                self.line(f"    {text}")
        elif change.kind == "failed":
            self.line(f"{self._count(ended, run)} {job.name}: failed. Its log, {job.log}, ends with")
            for text in job.tail():
                self.line(f"    {text}")

    def status(self, run: Run, left: float) -> None:
        """Redraw the bar, or break a long silence."""
        running = list(run.running.values())
        if self.watched:
            self.bar.total = run.total
            self.bar.n = len(run.finished)
            text = ", ".join(_briefly(job) for job in running)
            self.bar.set_postfix_str(f"about {duration(left)} left | {text}", refresh=False)
            self.bar.refresh()
        elif running and time.monotonic() - self.spoke > SILENCE:
            names = ", ".join(f"{job.name} ({duration(job.seconds)})" for job in running)
            self.line(f"{' ' * self._width(run)}  running: {names}")

    def _width(self, run: Run) -> int:
        return len(self._count(0, run)) - 1

    def _count(self, ended: int, run: Run) -> str:
        return f"[{ended:{len(str(run.total))}}/{run.total}]"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(AttributeError):
            self.bar.leave = False
        self.bar.close()


def _briefly(job: Job) -> str:
    return f"{job.name} {job.share:.0%}" if job.share else job.name
