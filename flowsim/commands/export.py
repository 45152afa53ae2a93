"""The stage that exports: one recording into one file of another format, with the provenance of both."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xarray as xr

from flowsim.errors import InputError
from flowsim.exports import as_assembly, as_numpy, as_rsatoolbox
from flowsim.exports.as_nwb import to_nwb
from flowsim.exports.population import Time
from flowsim.files import coordinates, netcdf
from flowsim.files.atomic import exclusive
from flowsim.files.pieces import pieces
from flowsim.files.provenance import provenance

ENDINGS = {"nwb": (".nwb",), "numpy": (".npz",), "assembly": (".nc", ".h5"), "rsatoolbox": (".h5", ".hdf5")}
"""What files of each format end in."""
OF_RECORDING = ("specification", "inputs", "versions", "commit")


def export(a: Namespace) -> None:
    """Write a recording as something else."""
    if a.into.suffix not in ENDINGS[a.format]:
        raise InputError(f"--into: expected a file ending in {' or '.join(ENDINGS[a.format])}; got {a.into}")
    taken = {"site": a.site, "time": _time(a.time), "rate": a.rate}
    for name, of in (("time", ("assembly", "rsatoolbox")), ("rate", ("nwb",))):
        if taken[name] is not None and a.format not in of:
            raise InputError(f"--{name} is for {' and '.join(of)}; leave it out of an export as {a.format}")
    with (
        exclusive(a.into),
        netcdf.read(a.recording, "recording") as recording,
        readable(recording, a.recording),
    ):
        origin = provenance(
            "export", {"as": a.format, **{n: v for n, v in taken.items() if v is not None}}, [a.recording]
        )
        before = {name: _plain(recording.attrs[name]) for name in OF_RECORDING if name in recording.attrs}
        attrs = {
            **recording.attrs,
            **origin,
            "seed": recording.attrs.get("seed", ""),
            "recording": json.dumps(before),
        }
        _write(
            recording.assign_attrs(attrs),
            a.format,
            a.into,
            a.site,
            taken["time"],
            1.0 if a.rate is None else a.rate,
        )
    print(f"wrote {a.into}: {a.into.stat().st_size / 1e6:.1f} MB", file=sys.stderr)


def _write(recording: xr.Dataset, form: str, into: Path, site: str | None, time: Time, rate: float) -> None:
    if form == "nwb":
        to_nwb(recording, into, only=None if site is None else [site], rate=rate)
    elif form == "numpy":
        if site is not None:
            coordinates.variable(recording, site)
        as_numpy.to_numpy(recording if site is None else recording[[site]], into)
    elif form == "assembly":
        as_assembly.write_assembly(as_assembly.to_assembly(recording, site or "state", time), into)
    else:
        as_rsatoolbox.write_rsatoolbox(as_rsatoolbox.to_rsatoolbox(recording, site or "state", time), into)


def _plain(text: str) -> Any:
    """What a text in JSON says, or the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _time(text: str | None) -> Time:
    """The argument of --time."""
    if text is None:
        return None
    if text == "mean":
        return "mean"
    if not text.isdigit():
        raise InputError(f"--time: expected a frame, counted from 0, or mean; got {text!r}")
    return int(text)


@contextmanager
def readable(recording: xr.Dataset, path: Path) -> Iterator[None]:
    """Blame errors of reading on the file, if it cannot be read, and those of writing on a full disk, if it
    is.

    Raises
    ------
    InputError
        In these two cases.
    """
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
