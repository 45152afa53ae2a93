"""Open recordings lazily, one or several side by side."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import xarray as xr

from flowsim.errors import InputError
from flowsim.files import netcdf
from flowsim.files.checksums import verify as verify_checksums
from flowsim.files.hdf5_chunks import read_in_parallel


def open_recording(path: str | Path | Iterable[str | Path], *, verify: bool = False) -> xr.Dataset:
    """Open a recording lazily, dask-backed and chunked as stored; several ones side by side along ``run``.

    Chunks are decompressed by as many threads as dask has.

    Parameters
    ----------
    path : path, or several
        Several recordings need the same sizes. ``run`` is named by the file's network and seed, or by its
        path.
    verify : bool
        Read all sites and frames and compare them with the checksums that were written with them.

    Raises
    ------
    InputError
        If one is missing, damaged or no recording, or they do not fit together.
    """
    if isinstance(path, (str, Path)):
        opened = read_in_parallel(netcdf.read(path, "recording"), path)
        if verify:
            verify_checksums(opened, path)
        return opened
    paths = [Path(p) for p in path]
    if not paths:
        raise InputError("expected at least one recording; got none")
    each = [open_recording(p, verify=verify) for p in paths]
    for other, own in zip(paths, each, strict=True):
        if own.sizes != each[0].sizes or {n: v.dims for n, v in own.variables.items()} != {
            n: v.dims for n, v in each[0].variables.items()
        }:
            raise InputError(
                f"recordings side by side need the same variables and sizes; {paths[0]} has {dict(each[0].sizes)}, "
                f"{other} {dict(own.sizes)}. Open them one by one"
            )
        differing = [str(n) for n, c in own.coords.items() if not c.variable.equals(each[0][n].variable)]
        if differing:
            raise InputError(
                f"recordings side by side need the same trials, frames, velocities and units; {', '.join(differing)} "
                f"of {other} and of {paths[0]} differ. Open them one by one"
            )
    names = [
        f"{own.attrs['network']}-seed{own.attrs['seed']}" if {"network", "seed"} <= set(own.attrs) else str(p)
        for p, own in zip(paths, each, strict=True)
    ]
    names = names if len(set(names)) == len(names) else [str(p) for p in paths]
    run = xr.Variable(("run",), names)
    return xr.concat(
        each,
        run,
        data_vars="all",
        coords="minimal",
        compat="override",
        join="override",
        combine_attrs="drop_conflicts",
    ).rename(run="run")
