"""How well are frames predicted without learning anything? What every network is compared with.

last frame      the last frame seen, ever after
mean frame      the mean of the same frame in all other trials, whatever was seen
moved copy      the last frame seen, moved on as a whole at one velocity
layers          what moves at each velocity, taken apart and moved on by itself; for several objects

Velocities of the last two are estimated from the frames seen, or true, which no observer is told: an oracle.
See `flowsim.measures.moved_copies`. A predictor that needs what a recording does not have is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import xarray as xr

from flowsim.measures import recorded
from flowsim.measures.block_map import cuts
from flowsim.measures.image_quality import ssim
from flowsim.measures.moved_copies import FRAME, copies_of

KNOW_NO_MOTION = ("last frame", "mean frame")
ESTIMATE_MOTION = ("moved copy (estimated velocity)", "layers (estimated velocities)")
ORACLES = ("moved copy (true velocity)", "layers (true velocities)")
PREDICTORS = (*KNOW_NO_MOTION, *ESTIMATE_MOTION, *ORACLES)
"""All predictors, in the order of tables."""
EXACT = 1e-9
"""A smaller error counts as 0: rounding of what is exact."""
BLOCK_BYTES = 2**25
"""Size of the frames that are predicted at the same time, in float64."""


def _squared_error(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    return ((predicted - true) ** 2).mean((-2, -1))


MEASURES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {"mse": _squared_error, "ssim": ssim}
"""Measures of predicted and true frames (..., y, x), by name."""


def scores(recording: xr.Dataset, *measures: str) -> xr.Dataset:
    """How well each predictor predicts each frame after the context.

    Parameters
    ----------
    recording : Dataset
        With ``frames`` (flow, trial, time, y, x) and the attribute ``context``; what else a predictor needs
        is in `flowsim.measures.moved_copies.copies_of`.
    *measures : str
        "mse", mean squared error per pixel; "ssim", structural similarity.

    Returns
    -------
    Dataset
        Each measure (predictor, flow, trial, time), of those `PREDICTORS` that can be had of all trials, with
        the coordinate ``ahead`` over time. The last frame and its copies are left out if the last frame seen
        was not recorded, and the mean frame if there is one trial.

    Raises
    ------
    InputError
        If frames or the context were not recorded, or no frame lies after the context.
    """
    frames = recorded.after_context(recording, "frames").transpose(*FRAME)
    frames = frames.drop_vars([name for name in frames.coords if name not in ("time", "ahead")])
    total = frames.mean("flow").sum("trial").compute()
    parts = []
    for trials in _blocks(frames):
        true = frames.isel(trial=trials).compute()
        found = [
            xr.Dataset({name: (FRAME[:3], MEASURES[name](predicted, true.values)) for name in measures})
            .assign_coords(true.coords)
            .expand_dims(predictor=[predictor])
            for predictor, predicted in _predictions(
                recording.isel(trial=trials), true, total, frames.sizes["trial"]
            )
        ]
        parts.append(xr.concat(found, "predictor") if found else _none(true, measures))
    return xr.concat(parts, "trial", join="inner")


def _blocks(frames: xr.DataArray) -> list[slice]:
    """Trials whose frames are predicted at the same time."""
    lengths = frames.chunksizes.get("trial", (1,) * frames.sizes["trial"])
    bytes_of_trial = frames.nbytes // max(1, frames.sizes["trial"])
    return cuts(lengths, max(1, BLOCK_BYTES // max(1, bytes_of_trial)))


def _predictions(
    recording: xr.Dataset, true: xr.DataArray, total: xr.DataArray, trials: int
) -> Iterator[tuple[str, np.ndarray]]:
    """Each predictor, in order, and what it predicts (flow, trial, time, y, x), for a part of the trials.

    ``total`` is the sum over all trials, of which there are so many.
    """
    last = recording.time.values == int(recording.attrs["context"]) - 1
    if last.any():
        seen = recording.frames.transpose(*FRAME).isel(time=last).values
        yield "last frame", np.broadcast_to(seen.astype(np.float64), true.shape)
    if trials > 1:
        others = recorded.mean_of_others(true, total, trials).transpose(*FRAME[1:]).values
        yield "mean frame", np.broadcast_to(others, true.shape)
    copies = copies_of(recording)
    for name in (*ESTIMATE_MOTION, *ORACLES):
        if name in copies:
            yield name, copies[name].transpose(*FRAME).values


def _none(true: xr.DataArray, measures: tuple[str, ...]) -> xr.Dataset:
    """Scores of no predictor."""
    empty = np.empty((0, *true.shape[:3]))
    nothing = dict.fromkeys(measures, (("predictor", *FRAME[:3]), empty))
    return xr.Dataset(nothing, {**true.coords, "predictor": np.array([], str)})


def means(values: xr.DataArray) -> dict[str, float]:
    """Mean over all but ``predictor``, by predictor in order: the attribute ``baseline`` of an answer."""
    known = {str(name): float(values.sel(predictor=name).mean()) for name in values.predictor.values}
    return {name: known[name] for name in PREDICTORS if name in known and np.isfinite(known[name])}


def headroom(errors: dict[str, float]) -> dict[str, float]:
    """By how much the error of the last frame exceeds that of each oracle: what there is to gain from
    knowing the motion, by the name of the oracle; infinite where an oracle is exact.
    """
    last = errors.get("last frame", 0.0)
    if last < EXACT:
        return {}
    return {
        name: last / errors[name] if errors[name] >= EXACT else np.inf for name in ORACLES if name in errors
    }


def representatives(errors: xr.DataArray) -> list[str]:
    """The predictors that stand for all of them in a figure: those that know no motion, the best that
    estimates it, and the best oracle. ``errors`` are over ``predictor`` and whatever else.
    """
    known = means(errors)
    chosen = [name for name in KNOW_NO_MOTION if name in known]
    for alike in (ESTIMATE_MOTION, ORACLES):
        of_kind = {name: known[name] for name in alike if name in known}
        chosen += [min(of_kind, key=of_kind.__getitem__)] if of_kind else []
    return chosen
