"""Run the simulations that the tests judge, and write what they counted as a table and a figure.

``python -m benchmarks.calibration`` runs every test with the mark ``calibration``, of 200 simulations or
more, and writes ``calibration.csv``, one row per claim and simulated world, and ``calibration.svg``, a
picture of it, into ``docs``. Name tests, as to pytest, and only these run; their rows replace those of the
table.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

from benchmarks.calibration.figure_of_calibration import draw
from benchmarks.calibration.table import counted, judged, read

ROOT = Path(__file__).resolve().parents[2]


def simulated(tests: list[str], report: Path) -> int:
    """Run tests, and give the exit code of pytest: 1 where a claim does not hold."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "calibration", *(tests or ["tests"])]
    command += ["--junitxml", str(report), "-o", "junit_family=xunit1"]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tests", nargs="*", help="as to pytest; all by default")
    parser.add_argument("--draw", action="store_true", help="run nothing, and draw the table that is there")
    parser.add_argument("--into", type=Path, default=ROOT / "docs")
    arguments = parser.parse_args()
    csv, failed = arguments.into / "calibration.csv", 0
    if not arguments.draw:
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report.xml"
            failed = simulated(arguments.tests, report)
            counts = pd.DataFrame(list(counted(report)))
        if counts.empty:
            raise SystemExit("expected tests with the mark `calibration`; none of those named has it")
        before = [read(csv)] if arguments.tests and csv.is_file() else []
        judged(pd.concat([*before, counts], ignore_index=True)).to_csv(csv, index=False, float_format="%.4g")
    draw(read(csv), arguments.into / "calibration.svg")
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
