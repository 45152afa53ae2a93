"""Snakemake as a process that writes down its events: ``python -m flowsim.pipeline.events FILE ARGUMENT...``.

FILE gets one line of JSON for each event that `flowsim.pipeline.follow` reads; the arguments are those of
``snakemake``. The events come through Snakemake's interface for loggers, so that its own output stays as it
is.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__" and sys.path[:1] == [os.getcwd()]:
    # ``python -m`` looks into the working directory first; a csv.py there must not hide the library's
    sys.path.append(sys.path.pop(0))

import json
from logging import LogRecord
from pathlib import Path

from snakemake.cli import main
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

EVENTS = "FLOWSIM_EVENTS"
"""The environment variable that names the file."""
FIELDS = ("jobid", "job_id", "rule_name", "wildcards", "output", "log", "stats", "dryrun")
"""What is written of an event, where it has it."""


class LogHandler(LogHandlerBase):
    """Writes each event of Snakemake as a line of JSON."""

    writes_to_stream = False
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def emit(self, record: LogRecord) -> None:
        """Write one event; records without one are for people."""
        event = getattr(record, "event", None)
        if event is None:
            return
        fields = {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        line = json.dumps({"event": str(event), **fields}, default=str)
        with Path(os.environ[EVENTS]).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


if __name__ == "__main__":
    os.environ[EVENTS] = sys.argv[1]
    LoggerPluginRegistry().register_plugin("snakemake_logger_plugin_flowsim", sys.modules[__name__])
    main(["--logger", "flowsim", *sys.argv[2:]])
