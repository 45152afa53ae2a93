"""Open recordings lazily, one or several side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import xarray as xr

from flowsim.errors import InputError
from flowsim.files import netcdf
from flowsim.files.checksums import PREFIX
from flowsim.files.checksums import verify as verify_checksums

OPTION = "option"
"""The attribute of a variable that was worked out of the network itself: the setting that asked for it. It
need not have flows, trials and times.
"""


def open_recording(path: str | Path | Iterable[str | Path], *, verify: bool = False) -> xr.Dataset:
    """Open a recording lazily, dask-backed in whole chunks of the file; several side by side along ``run``.

    Coordinates, attributes and structure are compared with the checksums of the file at once, activity and
    frames chunk by chunk as they are read. A part of a recording that was chosen by lists or
    slices and saved, such as by ``recording.isel(trial=[0, 1]).to_netcdf(path)``, is a recording too; it has
    no checksums.

    Parameters
    ----------
    path : path, or several
        Several recordings need the same sizes and coordinates. ``run`` is named by the file's network and
        seed, or by its path.
    verify : bool
        Read all sites and frames at once, and compare them; the file has to have checksums.

    Raises
    ------
    InputError
        If one is missing, damaged or not a recording, or they do not fit together.
    """
    if isinstance(path, (str, Path)):
        recording = netcdf.read(path, "recording")
        if verify:
            verify_checksums(recording, path)
        _check_dims(recording, path)
        # they are those of the file: a part that is saved must not claim them
        recording.attrs = {
            name: value for name, value in recording.attrs.items() if not name.startswith(PREFIX)
        }
        return recording
    paths = [Path(p) for p in path]
    if not paths:
        raise InputError("expected at least one recording; got none")
    recordings = [open_recording(p, verify=verify) for p in paths]
    for other_path, other in zip(paths, recordings, strict=True):
        _check_alike(recordings[0], other, paths[0], other_path)
    run = xr.Variable(("run",), _run_names(recordings, paths))
    return xr.concat(
        recordings,
        run,
        data_vars="all",
        coords="minimal",
        compat="override",
        join="override",
        combine_attrs="drop_conflicts",
    ).rename(run="run")


def _check_dims(recording: xr.Dataset, path: str | Path) -> None:
    """Raise an error if activity or frames lack a dimension that every recording has."""
    for name, variable in recording.data_vars.items():
        if OPTION in variable.attrs:
            continue  # worked out of the network itself
        missing = [dim for dim in ("flow", "trial", "time") if dim not in variable.dims]
        if missing and variable.ndim > 1 and "run" not in variable.dims:
            raise InputError(
                f"{path}: expected {name} over flow, trial and time; it lacks {', '.join(missing)}. To save "
                f"one entry of a recording, choose it by a list: isel({missing[0]}=[0])"
            )


def _check_alike(first: xr.Dataset, other: xr.Dataset, first_path: Path, other_path: Path) -> None:
    """Raise an error if two recordings do not have the same variables, sizes and coordinates."""
    if other.sizes != first.sizes or _dims(other) != _dims(first):
        raise InputError(
            f"recordings side by side need the same variables and sizes; {first_path} has "
            f"{dict(first.sizes)}, {other_path} {dict(other.sizes)}. Open them one by one"
        )
    differing = [str(n) for n, c in other.coords.items() if not c.variable.equals(first[n].variable)]
    if differing:
        raise InputError(
            "recordings side by side need the same trials, frames, velocities and units; "
            f"{', '.join(differing)} of {other_path} and of {first_path} differ. Open them one by one"
        )


def _dims(recording: xr.Dataset) -> dict[object, tuple[object, ...]]:
    return {name: variable.dims for name, variable in recording.variables.items()}


def _run_names(recordings: Sequence[xr.Dataset], paths: Sequence[Path]) -> list[str]:
    """Network and seed of each recording, or its path; paths of all if two would have the same name."""
    names = []
    for recording, path in zip(recordings, paths, strict=True):
        named = {"network", "seed"} <= set(recording.attrs)
        names.append(f"{recording.attrs['network']}-seed{recording.attrs['seed']}" if named else str(path))
    return names if len(set(names)) == len(names) else [str(path) for path in paths]
