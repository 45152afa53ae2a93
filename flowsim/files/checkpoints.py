"""Recordings of a network at several moments of its training: what it did at each, as a recording of its own.

Beside a site stands what it did with the weights of each moment, as ``<site>_at_checkpoint`` (checkpoint,
flow, trial, time, ...), with the coordinate ``sequences`` (checkpoint), the sequences seen until then.
"""

from __future__ import annotations

import xarray as xr

from flowsim.errors import InputError

AT_CHECKPOINT = "_at_checkpoint"
"""How the name of what a site did at each moment ends."""


def sequences_seen(recording: xr.Dataset) -> list[int]:
    """Sequences that the network had seen at each checkpoint of a recording.

    Raises
    ------
    InputError
        If it was recorded at no moment of its training.
    """
    if "checkpoint" not in recording.dims or "sequences" not in recording.coords:
        raise InputError(
            "expected a recording of a network at several moments of its training (checkpoint); this one is "
            "of its best weights alone. Set checkpoints in train, and checkpoints: true in record"
        )
    return [int(seen) for seen in recording.sequences.values]


def at_checkpoint(recording: xr.Dataset, number: int) -> xr.Dataset:
    """What a network did at one checkpoint, as a recording; sites that were not recorded there are left out.

    Parameters
    ----------
    recording : Dataset
        As `flowsim.open_recording` gives it, with ``<site>_at_checkpoint``.
    number : int
        Of the checkpoint, from 0.
    """
    names = [str(name) for name in recording.data_vars if str(name).endswith(AT_CHECKPOINT)]
    others = [name.removesuffix(AT_CHECKPOINT) for name in names]
    then = recording.drop_vars([name for name in others if name in recording]).isel(checkpoint=number)
    return then.rename(dict(zip(names, others, strict=True))).reset_coords("sequences", drop=True)
