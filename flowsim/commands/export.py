"""Write one recording in another format, with the provenance of both files.

A format is a file ``flowsim/exports/as_<format>.py``, found by its name.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from flowsim import ideas
from flowsim.commands.parser import add_into

if TYPE_CHECKING:
    import xarray as xr

    from flowsim.exports.population import Time

PACKAGE, PREFIX = "flowsim.exports", "as_"
ORIGIN = ("specification", "inputs", "versions", "commit")
"""Attributes that say where a recording comes from; an export has them in its attribute ``recording``."""


def formats() -> list[str]:
    """The names of all formats."""
    return [name.removeprefix(PREFIX) for name in ideas.names(PACKAGE) if name.startswith(PREFIX)]


HELP = (
    "Write a recording in the format of another package. Reads a recording; writes one file in one of these "
    f"formats: {', '.join(formats())}."
)


def add_arguments(parser: ArgumentParser) -> None:
    """Add the recording, the format, its options and the file to write."""
    parser.add_argument("recording", type=Path, metavar="RECORDING", help="recording (.h5)")
    parser.add_argument("--as", dest="format", required=True, choices=formats())
    parser.add_argument("--site", help="which site; else state, or every one if the format holds several")
    parser.add_argument(
        "--time",
        metavar="FRAME",
        help="one recorded frame, or mean, for a format that holds one site; else all frames",
    )
    parser.add_argument("--rate", type=float, help="frames per second, for a format with a clock; else 1")
    add_into(parser, "file")


def run(arguments: Namespace) -> None:
    """Write the recording as something else."""
    from flowsim.errors import InputError
    from flowsim.files import netcdf
    from flowsim.files.atomic import exclusive
    from flowsim.files.outputs import protect
    from flowsim.files.provenance import provenance

    path, into = arguments.recording, arguments.into
    writer = _writer(arguments.format)
    if into.suffix not in writer.ENDINGS:
        raise InputError(f"--into: expected a file ending in {' or '.join(writer.ENDINGS)}; got {into}")
    protect((into, "an export"), read=[path])
    given = {"site": arguments.site, "time": _time(arguments.time), "rate": arguments.rate}
    options = {name: value for name, value in given.items() if value is not None}
    for name in options:
        _require_option(name, arguments.format)
    with (
        exclusive(into),
        netcdf.read(path, "recording") as recording,
        disk_errors_explained(recording, path),
    ):
        origin = provenance("export", {"as": arguments.format, **options}, [path])
        writer.write(recording.assign_attrs(_attributes(recording, origin)), into, **options)
    print(f"wrote {into}: {into.stat().st_size / 1e6:.1f} MB", file=sys.stderr)


def _writer(name: str) -> ModuleType:
    """The module of one format."""
    return ideas.load(PACKAGE, f"{PREFIX}{name}")


def _require_option(option: str, name: str) -> None:
    """Raise InputError if the format ``name`` does not take ``option``."""
    from flowsim.errors import InputError

    takers = [known for known in formats() if option in _writer(known).OPTIONS]
    if name not in takers:
        raise InputError(f"--{option} is for {' and '.join(takers)}; leave it out of an export as {name}")


def _attributes(recording: xr.Dataset, origin: dict[str, Any]) -> dict[str, Any]:
    """Attributes of an export: those of the recording, and the provenance of both files."""
    before = {name: _parsed(recording.attrs[name]) for name in ORIGIN if name in recording.attrs}
    own = {"seed": recording.attrs.get("seed", ""), "recording": json.dumps(before)}
    return {**recording.attrs, **origin, **own}


def _parsed(text: str) -> Any:
    """The content of a text in JSON; any other text as it is."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _time(text: str | None) -> Time:
    """The argument of --time."""
    from flowsim.errors import InputError

    if text is None:
        return None
    if text == "mean":
        return "mean"
    if not text.isdigit():
        raise InputError(f"--time: expected a frame, counted from 0, or mean; got {text!r}")
    return int(text)


@contextmanager
def disk_errors_explained(recording: xr.Dataset, path: Path) -> Iterator[None]:
    """Report a read error as a damaged recording and a write error as a full disk.

    Raises
    ------
    InputError
        In these two cases. Any other error passes.
    """
    from flowsim.errors import InputError
    from flowsim.files import netcdf
    from flowsim.files.pieces import pieces

    try:
        yield
    except (OSError, RuntimeError) as error:
        if "No space left" in str(error):
            raise InputError("the disk is full; make room, or export one site or fewer trials") from None
        for variable in recording.variables.values():
            try:
                for _ in pieces(variable.data):
                    pass
            except (OSError, RuntimeError) as damage:
                raise netcdf.damaged(path, damage) from None
        raise
