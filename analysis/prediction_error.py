"""How well does a network predict the frames to come, and what do its predictions look like?

Mean squared error per pixel of each predicted frame, with the peak signal-to-noise ratio and the structural
similarity (`flowsim.measures.image_quality`), against predictors that learn nothing: those that know no
motion, and copies of what was seen that move on (`flowsim.measures.predictors`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from flowsim.errors import InputError
from flowsim.figures import panels, plot
from flowsim.measures import image_quality, predictors, recorded
from flowsim.specification import checked

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

READS = "test"
QUESTION = "How well does each network predict the next frames?"
READING = (
    "Above: mean squared error of each predicted frame within the trained horizon (lower is better); thick "
    "lines are geometric means over seeds, thin ones are seeds. Grey lines learn nothing. Two know no "
    "motion: the last frame seen, and the mean frame of all other trials, which needs two trials; a network "
    "above one of them is worse than no learning. Two are what was seen, moved on: the better of the copies "
    "at velocities estimated from the last two frames seen (phase correlation), and the better of those at "
    "the true ones, an oracle. A copy of the whole frame has one velocity, which carries all objects along, "
    "so that of two that move apart it is wrong about one; layers first take apart what moves at each "
    "velocity, which suits steady velocities and objects brighter than a background without noise. An error "
    "of 0 has no place on this axis: its line is left out. Below: one test trial, with the last frames seen "
    "(up to 0), the truth (+1, +2, ...), and what the first seed of each network predicts."
)
SEEN = 3
"""Frames of the context that the example shows, at most."""


@checked
def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Error over the trained horizon, and an example.

    Parameters
    ----------
    recording : Dataset
        With ``prediction`` and ``frames`` (flow, trial, time, y, x) and the attributes ``context`` and, where
        a training had one, ``horizon``.

    Returns
    -------
    Dataset
        ``mse``; ``psnr`` in dB, of the mean squared error, NaN where that is 0 to rounding; and ``ssim``, NaN
        for frames below 11 x 11 px; all (ahead), ahead counting predicted frames from 1. The same of
        predictors that learn nothing, ``predictor_mse``, ``predictor_psnr`` and ``predictor_ssim``
        (predictor, ahead), of those of `flowsim.measures.predictors.PREDICTORS` that the recording allows.
        ``mse_trial`` (trial); ``seen`` (before, y, x), ``truth`` and ``example`` (ahead, y, x) of trial 0,
        where ``before`` counts frames back from the last one seen, which is 0.

    Raises
    ------
    InputError
        If the recording has no predictions after the context, lacks the last frame seen, or a prediction
        contains NaN or infinity.
    """
    horizon = recording.attrs.get("horizon", np.inf)
    end = recording.attrs.get("context", 0) + horizon
    within = recording.isel(time=(recording.time < end).values)
    recording = recording.drop_vars([name for name in recording.coords if name != "time"])
    error, truth = recorded.squared_error(recording)
    seen = _frames_seen(recording)
    each_frame = ("flow", "trial", "y", "x")
    example = {"flow": 0, "trial": 0}
    last_seen = seen.isel(example).isel(time=slice(-SEEN, None))
    prediction = recorded.after_context(recording, "prediction")
    trained = (error.ahead <= horizon).values
    by_time = xr.Dataset(
        {
            "mse": error.mean(each_frame),
            "ssim": _ssim(prediction, truth).mean(("flow", "trial")),
            "truth": truth.isel(example),
            "example": prediction.isel(example),
        }
    )
    results = by_time.isel(time=trained).swap_dims(time="ahead").drop_vars("time")
    results["mse_trial"] = error.isel(time=trained).mean(("flow", "time", "y", "x"))
    results["seen"] = last_seen.swap_dims(time="before").drop_vars("time")
    of_predictors = predictors.scores(within, "mse", "ssim").mean(("flow", "trial"))
    of_predictors = of_predictors.swap_dims(time="ahead").drop_vars("time")
    results = results.merge(of_predictors.rename(mse="predictor_mse", ssim="predictor_ssim")).compute()
    results = results.assign({f"{of}psnr": _psnr(results[f"{of}mse"]) for of in ("", "predictor_")})
    units = {name: "dB" if "psnr" in str(name) else "1" for name in results.data_vars}
    return results.assign({name: results[name].assign_attrs(units=unit) for name, unit in units.items()})


def _ssim(prediction: xr.DataArray, truth: xr.DataArray) -> xr.DataArray:
    """Structural similarity (flow, trial, time), lazily."""
    similarity: xr.DataArray = xr.apply_ufunc(
        image_quality.ssim,
        prediction,
        truth,
        input_core_dims=[["y", "x"]] * 2,
        dask="parallelized",
        output_dtypes=[np.float64],
        dask_gufunc_kwargs={"allow_rechunk": True},
    )
    return similarity


def _frames_seen(recording: xr.Dataset) -> xr.DataArray:
    """Frames (flow, trial, time, y, x) of the context, up to the last one before the predictions."""
    context = int(recording.attrs["context"])
    seen = recording.frames.isel(time=(recording.time < context).values)
    if not seen.sizes["time"] or int(seen.time[-1]) != context - 1:
        raise InputError(f"prediction_error needs frame {context - 1}, the last one seen; record every frame")
    before = ("time", seen.time.values - (context - 1), {"units": "frame"})
    return seen.astype("float64").assign_coords(before=before)


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table. PSNR is that of the mean error, infinite for exact predictors."""
    errors = predictors.means(results.predictor_mse)
    mse = results.mse.mean("ahead").assign_attrs(better="lower", scale="ratio", baseline=errors)
    mse.attrs["headroom"] = predictors.headroom(errors)
    psnr = _psnr(results.mse.mean("ahead")).assign_attrs(units="dB", better="higher")
    psnr.attrs["baseline"] = {
        name: float(image_quality.psnr(np.array(error if error >= predictors.EXACT else 0.0)))
        for name, error in errors.items()
    }
    ssim = results.ssim.mean("ahead").assign_attrs(units="1", better="higher", bounds=(-1, 1))
    ssim.attrs["baseline"] = predictors.means(results.predictor_ssim)
    numbers = {
        "test MSE over the trained horizon": mse,
        "PSNR of predictions over the trained horizon (dB)": psnr,
        "SSIM of predictions over the trained horizon": ssim,
    }
    return {label: values for label, values in numbers.items() if values.notnull().any()}


def _psnr(mse: xr.DataArray) -> xr.DataArray:
    """Peak signal-to-noise ratio in dB of mean squared errors, NaN where they are 0 to rounding."""
    return mse.copy(data=image_quality.psnr(mse.values)).where(mse >= predictors.EXACT)


def figure(results: xr.Dataset) -> Figure:
    """Error by predicted frame, and a strip of frames."""
    rows_of_images = 1 + len(plot.networks(results))
    heights = [2.0, 0.2 + 0.3 * rows_of_images]
    size = (plot.COLUMN, sum(heights) + 1.2)
    fig, (errors, images) = plot.subplots(2, 1, figsize=size, height_ratios=heights)
    _draw_errors(errors, results)
    plot.legend_below(results, errors)
    _draw_example(images, results)
    return fig


def _draw_errors(ax: Axes, results: xr.Dataset) -> None:
    """Error by predicted frame, with predictors that learn nothing in grey."""
    plot.lines(results, "mse", "ahead", ax, geometric=True)
    plot.grey_lines(results, "predictor_mse", "ahead", ax, predictors.representatives(results.predictor_mse))
    ax.set(xlabel="predicted frame", ylabel="MSE per pixel")
    plot.logarithmic(ax.yaxis)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_title(f"n = {results.sizes['trial']} trials, {plot.seeds(results)}", fontsize=8)


def _draw_example(ax: Axes, results: xr.Dataset) -> None:
    """One trial: the truth, and below it what the first run of each network predicts."""
    any_run = results.isel(run=0)
    rows: dict[str, list[np.ndarray | None]] = {"truth": [*any_run.seen.values, *any_run.truth.values]}
    for name, _, runs in panels.each_network(results):
        rows[name] = [*[None] * results.sizes["before"], *runs.isel(run=0).example.values]
    titles = [f"{frame}" for frame in results.before.values]
    titles += [f"+{frame}" for frame in results.ahead.values]
    plot.mosaic(ax, rows, titles, "gray")
