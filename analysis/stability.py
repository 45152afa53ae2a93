r"""Does the state survive long rollouts, and if not, does it slip along the orbit of the world or leave it?

After the context a network runs on its own predictions. What a recording shows of that, frame by frame, of
the prediction x and the world y, with g any whole-pixel translation of the torus (see
`flowsim.measures.nearest_translate`):

    total, across, along    |x - y| / |y|, of which min_g |x - g.y| / |y| lies across the orbit of the world,
                            and the rest along it: the right thing in the wrong place, by ``drift`` px,
                            where there is one place that fits (`nearest_translate.distinct`)
    norm                    |x| / |y|; and of the state, over that after the context
    change                  min_g |x_(t+1) - g.x_t| / |x_t|, what is no transport; of the state too

``change`` is the residual of the relative fixed points h* = g.F(h*): 0 at one, and 0 too of a picture that
has faded to grey, so that less is not better. A faded picture has no drift either: ``indistinct`` is the
share of predictions about whose drift nothing can be said. Where the recording has flows,
the first line is also measured between two rollouts that should differ by the flow alone (``between``
"flows"): x under the flowed context, y the transported rollout under the reference.

``growth`` is the slope of log error per frame, by least squares in each trial, over the frames before
saturation: as long as the square of the mean error is below half of that of the mean frame of all other
trials, or of a blank one, whichever is less. With fewer than 3 such frames it is NaN. An error that is large
from the start grows less, so that less is not better. Of "flows" it is a Lyapunov-type exponent, of a finite
difference that the network makes itself; of "world" it also holds how wrong the network's dynamics are.
Exponents of infinitesimal perturbations, and fixed points that are solved for and not merely passed by, need
the network while it is recorded: `tangent_exponents` and `relative_fixed_points` read those.

Sources: Rosenstein, Collins & De Luca (1993), Physica D 65, 117 (exponent from the linear part of log
divergence); Chossat & Lauterbach (2000), Methods in Equivariant Bifurcations and Dynamical Systems (relative
equilibria).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from flowsim.figures import panels, plot
from flowsim.files import coordinates
from flowsim.files.results import shared
from flowsim.flows.flow import Flow
from flowsim.measures import recorded, statistics
from flowsim.measures.nearest_translate import nearest, norm, split
from flowsim.specification import checked

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

READS = "test"
QUESTION = "Does the state survive long rollouts?"
READING = (
    "Frames that a network predicts from its own predictions; dashed, the trained horizon. Relative error in "
    "all, and its part across the orbit of the world, which no translation removes; grey, the error of the "
    "mean frame of all other trials (solid), and the distance between unrelated trials (dotted). Drift: how "
    "far the prediction has slipped along the orbit, over the trials in which one place fits best; that of a "
    "grey, blank or unlike prediction is unknown (the opening table says in how many). Norm of the "
    "prediction over that of the world (1 is right). Change from frame to frame that is no transport; grey, "
    "that of the world, which is right: less is a picture that fades or stops. Growth: slope of log error "
    "per frame while its square is below half of that of the mean frame; missing where it is above from the "
    "start. Lines are means over trials and over seeds, over seeds the geometric mean of the relative error "
    "in all and the arithmetic mean of the others; bands and bars are 95 % intervals over trials; thin lines "
    "and single bars are seeds."
)
BETWEEN = ("world", "flows")
PARTS = ("total", "across", "along")
SITES = ("world", "prediction", "state")
SATURATED = 0.5**0.5
"""Share of the error of the mean frame, or of a blank one, at which an error counts as saturated: half of its
square.
"""
FLOOR = 1e-9
"""Errors that are not larger than this are rounding, and have no logarithm here."""
BLOCK = 2**25
"""Bytes of predictions, in float64, that are held at once."""
DIMS = {
    "error": ("between", "part", "trial", "ahead"),
    "drift": ("between", "trial", "ahead"),
    "indistinct": ("between", "trial", "ahead"),
    "norm": ("site", "trial", "ahead"),
    "change": ("site", "trial", "ahead"),
    "unrelated": ("trial", "ahead"),
    "mean_frame": ("trial", "ahead"),
}
"""What is measured by trial and predicted frame, and over which dimensions."""
ATTRS = {
    "error": {"long_name": "relative error", "units": "1"},
    "drift": {"long_name": "drift along the orbit", "units": "px"},
    "indistinct": {"long_name": "share without a distinct translate", "units": "1"},
    "growth": {"long_name": "growth of log error", "units": "1/frame"},
    "norm": {"long_name": "relative norm", "units": "1"},
    "change": {"long_name": "relative change that is no transport", "units": "1/frame"},
    "unrelated": {"long_name": "relative distance of unrelated trials", "units": "1"},
    "mean_frame": {"long_name": "relative error of the mean frame of all other trials", "units": "1"},
}
"""Names and units of the results."""


@dataclass(frozen=True)
class Rollout:
    """What a recording shows from the first predicted frame on.

    ``after`` are the positions of the predicted frames, ``ahead`` their numbers, from 1. ``since`` are the
    positions from the last frame of the context on. ``translates`` says that flows are translations, and
    ``steady`` that also no frame is missing, so that changes from frame to frame are known.
    """

    recording: xr.Dataset
    flows: list[Flow]
    after: np.ndarray
    since: np.ndarray
    ahead: np.ndarray
    translates: bool
    steady: bool


@checked
def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Everything by predicted frame (``ahead``, from 1), mean over trials; trials are means over flows.

    Parameters
    ----------
    recording : Dataset
        With ``prediction`` and ``frames`` (flow, trial, time, y, x) and the attribute ``context``; ``state``,
        if it was recorded.

    Returns
    -------
    Dataset
        ``error`` (between, part, ahead), ``drift`` (between, ahead) in px, ``indistinct`` (between, ahead),
        the share of predictions that are left out of the drift, ``growth`` (between, part) per frame,
        ``norm`` and ``change`` (site, ahead), ``unrelated`` and ``mean_frame`` (ahead), and for each
        ``<name>_interval``, half of its 95 % interval (Student) over trials. NaN where nothing can be said:
        across, along, drift and change about other groups than translation, drift where no translate is
        distinct, growth of saturated errors, the last two and intervals from one trial.

    Raises
    ------
    InputError
        If there are no predictions after the context, they contain NaN or infinity, or there are several
        flows, of which not exactly one is at rest.
    """
    rollout = _read(recording)
    recording = rollout.recording
    measured = _unmeasured(rollout)
    for trials in _blocks(recording):
        _measure_predictions(measured, rollout, trials)
    if "state" in recording:
        _measure_states(measured, rollout)
    measured.mean_frame[:] = _error_of_mean_frame(recording)
    measured["growth"] = _growth(measured, rollout.ahead)
    return _packed(recording, measured, rollout.ahead)


def _read(recording: xr.Dataset) -> Rollout:
    """Check that there are predictions, and find the frames that count."""
    if recording.sizes.get("flow", 1) > 1:
        recording = recorded.reference_first(recording)
    recorded.squared_error(recording.isel(trial=slice(1)))
    context = int(recording.attrs["context"])
    times = recording.time.values
    flows = coordinates.flows(recording)
    after = np.flatnonzero(times >= context)
    translates = flows[0].group.translates
    return Rollout(
        recording=recording,
        flows=flows,
        after=after,
        since=np.flatnonzero(times >= context - 1),
        ahead=times[after] - context + 1,
        translates=translates,
        steady=translates and bool((np.diff(times[after]) == 1).all()),
    )


def _unmeasured(rollout: Rollout) -> xr.Dataset:
    """What will be measured, NaN so far."""
    sizes = {
        "between": len(BETWEEN),
        "part": len(PARTS),
        "site": len(SITES),
        "trial": rollout.recording.sizes["trial"],
        "ahead": len(rollout.ahead),
    }
    return xr.Dataset(
        {name: (dims, np.full([sizes[dim] for dim in dims], np.nan)) for name, dims in DIMS.items()}
    )


def _blocks(recording: xr.Dataset) -> Iterator[np.ndarray]:
    """Trials whose predictions are held at once."""
    trials = recording.sizes["trial"]
    at_once = max(1, BLOCK // (8 * recording.prediction.isel(trial=0).size))
    for first in range(0, trials, at_once):
        yield np.arange(first, min(first + at_once, trials))


def _measure_predictions(measured: xr.Dataset, rollout: Rollout, trials: np.ndarray) -> None:
    """Distances of predictions, norms, and changes from frame to frame, of some trials."""
    recording = rollout.recording
    prediction = _images(recording.prediction, trials, rollout.after)
    world = _images(recording.frames, trials, rollout.after)
    recorded.require_finite(prediction, "prediction")
    _measure_distance(measured, "world", trials, prediction, world, rollout.translates)
    if len(rollout.flows) > 1:
        transported = _transported(prediction[0], rollout)
        _measure_distance(measured, "flows", trials, prediction[1:], transported, rollout.translates)
    relative_norm = recorded.ratio(norm(prediction), norm(world)).mean(0)
    measured.norm[{"site": SITES.index("prediction"), "trial": trials}] = relative_norm
    if recording.sizes["trial"] > 1:
        next_trials = (trials + 1) % recording.sizes["trial"]
        unrelated = _images(recording.frames, next_trials, rollout.after)
        measured.unrelated[{"trial": trials}] = recorded.ratio(norm(world - unrelated), norm(world)).mean(0)
    if rollout.steady:
        for site, images in (("world", world), ("prediction", prediction)):
            here = {"site": SITES.index(site), "trial": trials, "ahead": slice(1, None)}
            measured.change[here] = _change(images).mean(0)


def _images(variable: xr.DataArray, trials: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Some trials and times in float64, with a channel: (flow, trial, time, 1, y, x)."""
    chosen = variable.isel(trial=trials, time=times)
    return np.asarray(chosen.values, np.float64)[..., None, :, :]


def _transported(reference: np.ndarray, rollout: Rollout) -> np.ndarray:
    """The prediction under the reference, moved by each of the other flows (flow, trial, time, 1, y, x)."""
    import torch

    times = rollout.recording.time.values[rollout.after].tolist()
    frames = torch.from_numpy(reference)
    return np.stack([flow.transport(frames, times).numpy() for flow in rollout.flows[1:]])


def _measure_distance(
    measured: xr.Dataset, between: str, trials: np.ndarray, one: np.ndarray, other: np.ndarray, moves: bool
) -> None:
    """Parts of the distance, and drift, of some trials, mean over flows."""
    distance, drift = split(one, other, moves)
    here = {"between": BETWEEN.index(between), "trial": trials}
    measured.error[here] = distance.mean(1)
    if moves:
        known = np.isfinite(drift)
        measured.drift[here] = recorded.ratio(np.where(known, drift, 0).sum(0), known.sum(0))
        measured.indistinct[here] = 1 - known.mean(0)


def _measure_states(measured: xr.Dataset, rollout: Rollout) -> None:
    """Norm of the state over that after the context, and its change from frame to frame."""
    by_trial = recorded.TrialByTrial(rollout.recording.state)
    frames = len(rollout.after)
    for trial in range(rollout.recording.sizes["trial"]):
        states = [_state(by_trial.read(flow, trial), rollout.since) for flow in range(len(rollout.flows))]
        size = np.stack([norm(values) for values in states])
        here = {"site": SITES.index("state"), "trial": trial}
        measured.norm[here] = recorded.ratio(size[:, -frames:], size[:, :1]).mean(0)
        if rollout.steady and by_trial.activity.dims != coordinates.UNITS:
            change = np.mean([_change(values[-frames:]) for values in states], 0)
            measured.change[{**here, "ahead": slice(1, None)}] = change


def _state(state: xr.DataArray, times: np.ndarray) -> np.ndarray:
    """One trial in float64, (time, channel, y, x), with all there is besides space as channels; units without
    space are channels of one pixel.
    """
    values = np.asarray(state.isel(time=times).values, np.float64)
    if state.dims == ("time", "unit"):
        return values[..., None, None]
    return values.reshape(len(values), -1, *values.shape[-2:])


def _change(images: np.ndarray) -> np.ndarray:
    """From each of (..., time, channel, y, x) to the next, relative and up to a translation."""
    new = images[..., 1:, :, :, :]
    old = images[..., :-1, :, :, :]
    translate, _ = nearest(new, old)
    return recorded.ratio(norm(new - translate), norm(old))


def _error_of_mean_frame(recording: xr.Dataset) -> np.ndarray:
    """Relative error (trial, ahead) of the mean frame of all other trials, mean over flows."""
    error = recorded.error_of_mean_frame(recording).sum(("y", "x"), skipna=False)
    world = (recorded.after_context(recording, "frames") ** 2).sum(("y", "x"))
    squared = recorded.ratio(*(v.transpose("flow", "trial", "time").values for v in (error, world)))
    return np.sqrt(squared).mean(0)


def _growth(measured: xr.Dataset, ahead: np.ndarray) -> xr.DataArray:
    """Growth of log error (between, part, trial) over the frames before saturation."""
    growth = measured.error.isel(ahead=0, drop=True).copy()
    for between in range(len(BETWEEN)):
        error = measured.error.isel(between=between)
        total = error.isel(part=PARTS.index("total")).values
        fitted = _before_saturation(total, measured.mean_frame.values)
        for part in range(len(PARTS)):
            rates = growth_rates(error.isel(part=part).values, ahead, fitted)
            growth[{"between": between, "part": part}] = rates
    return growth


def _before_saturation(error: np.ndarray, mean_frame: np.ndarray) -> np.ndarray:
    """Which frames (ahead) come before the mean error over trials reaches `SATURATED` of that of the mean
    frame, or of a blank one, which is 1.
    """
    known = mean_frame[np.isfinite(mean_frame)]
    limit = SATURATED * min(1.0, known.mean() if known.size else 1.0)
    saturated = ~(error.mean(0) < limit)
    return np.cumsum(saturated) == 0


def growth_rates(error: np.ndarray, ahead: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    """Slope of log error over predicted frames, in each trial.

    Parameters
    ----------
    error : array (trial, ahead)
    ahead : array (ahead)
        Numbers of the predicted frames.
    fitted : array of bool (ahead)
        Which frames count; those with errors that are rounding do not.

    Returns
    -------
    array (trial)
        Per frame; NaN where fewer than 3 frames count.
    """
    slopes = np.full(len(error), np.nan)
    for trial, of_trial in enumerate(error):
        used = fitted & (of_trial > FLOOR)
        if used.sum() >= 3:
            slopes[trial] = np.polyfit(ahead[used], np.log(of_trial[used]), 1)[0]
    return slopes


def _packed(recording: xr.Dataset, measured: xr.Dataset, ahead: np.ndarray) -> xr.Dataset:
    """Means over trials and their intervals, as a dataset."""
    result = xr.Dataset(
        coords={"ahead": ("ahead", ahead, {"units": "frame", "long_name": "predicted frame"})}
    )
    result = result.assign_coords(between=list(BETWEEN), part=list(PARTS), site=list(SITES))
    for name, attrs in ATTRS.items():
        mean, half_width = statistics.mean_interval(measured[name], "trial")
        result[name] = mean.assign_attrs(attrs)
        result[f"{name}_interval"] = half_width.assign_attrs(units=attrs["units"])
    horizon = int(recording.attrs.get("horizon", ahead[-1]))
    return result.assign_attrs(horizon=horizon, trials=recording.sizes["trial"])


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table, at the last predicted frame, those of which some are known.

    Only the error in all is better if lower: a grey prediction has less of the others than one that is sharp.
    Drift is too, where it is known of every prediction.
    """
    last = results.isel(ahead=-1)
    frame = int(results.ahead[-1])
    world = last.sel(between="world")
    total = world.error.sel(part="total").assign_attrs(better="lower", scale="ratio")
    if last.mean_frame.notnull().any():
        total.attrs["baseline"] = {"mean frame": float(last.mean_frame.mean())}
    drift = world.drift
    if bool((world.indistinct == 0).all()):
        drift = drift.assign_attrs(better="lower")
    change = abs(last.change.sel(site="prediction") - last.change.sel(site="world"))
    numbers = {
        f"relative error of predicted frame {frame}": total,
        f"part of the relative error across the orbit of the world, frame {frame}": world.error.sel(
            part="across"
        ),
        f"drift of predictions along the orbit, where one place fits, frame {frame} (px)": drift,
        f"share of predictions that fit no one place, frame {frame}": world.indistinct.assign_attrs(
            bounds=(0, 1)
        ),
        f"difference from the world in change that is no transport, frame {frame}": change,
        "growth of the log of relative error below saturation (1/frame)": world.growth.sel(part="total"),
    }
    return {label: values for label, values in numbers.items() if values.notnull().any()}


def figure(results: xr.Dataset) -> Figure:
    """Error, its part across the orbit and drift (above); norm, change and growth (below)."""
    fig, axes = plot.subplots(2, 3, figsize=(plot.PAGE, 4.4))
    (total, across, drift), (norms, change, growth) = axes
    world = results.sel(between="world")
    predicted = results.sel(site="prediction")
    bars = [(results.mean_frame.isel(run=0), "-"), (results.unrelated.isel(run=0), ":")]
    one = xr.ones_like(results.ahead, float)
    change_of_world = results.change.sel(site="world").isel(run=0)
    _draw_course(total, world.sel(part="total"), "error", "relative error", bars, geometric=True)
    _draw_course(across, world.sel(part="across"), "error", "error across the orbit")
    _draw_course(drift, world, "drift", "drift where one place fits (px)")
    _draw_course(norms, predicted, "norm", "norm over the world's", [(one, "-")])
    _draw_course(change, predicted, "change", "change that is no transport", [(change_of_world, "-")])
    _draw_growth(growth, world)
    fig.suptitle(f"{results.attrs['trials']} trials, {plot.seeds(results)}", fontsize=9)
    return fig


def _draw_course(
    ax: Axes,
    results: xr.Dataset,
    variable: str,
    title: str,
    baselines: Sequence[tuple[xr.DataArray, str]] = (),
    geometric: bool = False,
) -> None:
    """One variable by predicted frame, with the mean interval of each network's seeds; grey, baselines."""
    for baseline, style in baselines:
        ax.plot(results.ahead, baseline, color="0.6", ls=style, lw=1)
    plot.lines(results, variable, "ahead", ax, geometric)
    means = plot.mean_over_seeds(results[variable], geometric)
    half_widths = plot.mean_over_seeds(results[f"{variable}_interval"])
    for name, colour in plot.palette(results).items():
        mean, half_width = means.sel(network=name), half_widths.sel(network=name)
        panels.band(ax, results.ahead, mean - half_width, mean + half_width, colour)
    ax.set_ylim(bottom=0)
    ax.axvline(shared(results, "horizon"), color="0.3", ls="--", lw=0.8)
    ax.set(xlabel="predicted frame", ylabel="", title=title)


def _draw_growth(ax: Axes, world: xr.Dataset) -> None:
    """Growth of each run, in all and across the orbit, one row per network."""
    colours = plot.palette(world)
    for part, marker, offset in (("total", "o", -0.15), ("across", "s", 0.15)):
        filled = part == "total"
        ax.plot([], [], marker, color="0.3", ms=3, label=part, mfc="0.3" if filled else "white")
        for row, (_, colour, runs) in enumerate(panels.each_network(world.sel(part=part))):
            if runs.growth.isnull().all():
                ax.text(0, row + offset, " saturated", va="center", color="0.4", fontsize=7)
            number = runs.sizes["run"]
            apart = np.linspace(-0.1, 0.1, number) if number > 1 else np.zeros(1)
            ax.errorbar(
                runs.growth,
                row + offset + apart,
                xerr=runs.growth_interval.fillna(0),
                fmt=marker,
                ms=3,
                lw=0.8,
                color=colour,
                mfc=colour if filled else "white",
            )
    ax.axvline(0, color="0.6", lw=1)
    ax.set(ylim=(len(colours) - 0.5, -0.9), title="growth of log error (1/frame)")
    ax.set_yticks(range(len(colours)), list(colours))
    for text, colour in zip(ax.get_yticklabels(), colours.values(), strict=True):
        text.set_color(colour)
    ax.legend(fontsize=7, loc="upper left", ncols=2, borderpad=0, handletextpad=0)
