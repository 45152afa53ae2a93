"""Where a file comes from, and whether the code that made it has changed in meaning since."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

VERSIONS_OF = ("flowsim", "torch", "numpy", "xarray", "h5netcdf", "scikit-learn")


def provenance(
    stage: str, specification: Mapping[str, Any], inputs: Sequence[Path] = (), seed: int | None = None
) -> dict[str, str]:
    """Attributes for a file: stage, specification and inputs' checksums (JSON), versions, commit and seed."""
    versions = {"python": platform.python_version()}
    versions |= {name: importlib.metadata.version(name) for name in VERSIONS_OF}
    return {
        "stage": stage,
        "specification": json.dumps(specification),
        "inputs": json.dumps({str(path): checksum(path) for path in inputs}),
        "versions": json.dumps(versions),
        "commit": commit(),
        "seed": "" if seed is None else str(seed),
    }


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def commit() -> str:
    """Commit of the flowsim that runs, with "+changes" if its files differ from it; "" where git does not
    hold it.
    """
    described = ["describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+changes"]
    for command in (["ls-files", "--error-unmatch", Path(__file__).name], described):
        try:
            done = subprocess.run(
                ["git", *command], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=20
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        if done.returncode:
            return ""
    return done.stdout.strip()
