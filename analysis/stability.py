r"""Does the state survive long rollouts, and if not, does it slip along the orbit of the world or leave it?

After the context a network runs on its own predictions. What a recording shows of that, frame by frame, of
the prediction x and the world y, with g any whole-pixel translation of the torus
(`flowsim.measures.nearest_translate`):

    total, across, along    |x - y| / |y|, of which min_g |x - g.y| / |y| lies across the orbit of the world,
    and the
                            rest along it: the right thing in the wrong place, by ``drift`` px
    norm                    |x| / |y|; and of the state, over that after the context
    change                  min_g |x_(t+1) - g.x_t| / |x_t|, what is no transport; of the state too

``change`` is the residual of the relative fixed points h* = g.F(h*): 0 at one. Where the recording has flows,
the first line is also asked of two rollouts that should differ by the flow alone (``between`` "flows"): x
under the flowed context, y the transported rollout under the reference.

``growth`` is the slope of log error per frame, by least squares in each trial, over the frames before
saturation: as long as the mean error is below half of the distance of unrelated trials. With fewer than 3
such frames it is NaN. Of "flows" it is a Lyapunov-type exponent, of a finite difference that the network
makes itself; of "world" it also holds how wrong the network's dynamics are. Exponents of infinitesimal
perturbations, and fixed points that are solved for and not merely passed by, need the network, and are left
out.

Sources: Rosenstein, Collins & De Luca (1993), Physica D 65, 117 (exponent from the linear part of log
divergence); Chossat & Lauterbach (2000), Methods in Equivariant Bifurcations and Dynamical Systems (relative
equilibria).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import xarray as xr

from flowsim.errors import InputError
from flowsim.figures import plot
from flowsim.files import coordinates
from flowsim.flows.group import Translation
from flowsim.measures import recorded
from flowsim.measures.nearest_translate import nearest, norm, ratio, split

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

READS = "test"
QUESTION = "Does the state survive long rollouts?"
READING = (
    "Frames that a network predicts on its own predictions; dashed, the trained horizon. Error in all, and across the "
    "orbit of the world, that is what no translation removes; grey, the distance of unrelated trials. Drift: how far "
    "the prediction has slipped along the orbit. Norm over that of the world (1 is right). Change per frame that is no "
    "transport; grey, that of the world. Growth of log error before it saturates; missing where it is saturated from "
    "the start. Bands and bars are 95 % intervals over trials, thin lines and each bar are seeds."
)
BETWEEN, PARTS, SITES = ("world", "flows"), ("total", "across", "along"), ("world", "prediction", "state")
SATURATED, FLOOR = 0.5, 1e-9
BLOCK = 2**25
"""Bytes of predictions, in float64, that are held at once."""


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
        ``error`` (between, part, ahead), ``drift`` (between, ahead) in px, ``growth`` (between, part) per
        frame, ``norm`` and ``change`` (site, ahead), ``unrelated`` (ahead), and for each ``<name>_interval``,
        half of its 95 % interval (Student) over trials. NaN where nothing can be said: across, along, drift
        and change about other groups than translation, growth of saturated errors, intervals from one trial.

    Raises
    ------
    InputError
        If there are no predictions after the context, or they hold values that are no numbers.
    """
    recorded.squared_error(recording.isel(trial=slice(1)))
    context, times = int(recording.attrs["context"]), recording.time.values
    after, flows, trials = (
        np.flatnonzero(times >= context),
        coordinates.flows(recording),
        recording.sizes["trial"],
    )
    moves = isinstance(flows[0].group, Translation)
    steady = moves and bool((np.diff(times[after]) == 1).all())
    state = recording.get("state")
    shape = (trials, len(after))
    error, drift = (
        np.full((len(BETWEEN), len(PARTS), *shape), np.nan),
        np.full((len(BETWEEN), *shape), np.nan),
    )
    norms, change = np.full((2, len(SITES), *shape), np.nan)
    unrelated = np.full(shape, np.nan)
    per = max(1, BLOCK // (8 * recording.prediction.isel(trial=0).size))
    for first in range(0, trials, per):
        block = np.arange(first, min(first + per, trials))
        x, y, of_next = (
            _load(variable[:, chosen, after])
            for variable, chosen in (
                (recording.prediction, block),
                (recording.frames, block),
                (recording.frames, (block + 1) % trials),
            )
        )
        if not np.isfinite(x).all():
            raise InputError("the prediction contains NaN or infinity: the network diverged; train it again")
        pairs = [(x, y)]
        if len(flows) > 1:
            moved = [
                flow.transport(torch.from_numpy(x[0]), times[after].tolist()).numpy() for flow in flows[1:]
            ]
            pairs.append((x[1:], np.stack(moved)))
        for i, (one, other) in enumerate(pairs):
            parts, slipped = split(one, other, moves)
            error[i, :, block], drift[i, block] = parts.mean(1).swapaxes(0, 1), slipped.mean(0)
        norms[1, block] = ratio(norm(x), norm(y)).mean(0)
        if trials > 1:
            unrelated[block] = ratio(norm(y - of_next), norm(y)).mean(0)
        if steady:
            change[0, block, 1:], change[1, block, 1:] = _change(y).mean(0), _change(x).mean(0)
        for trial in block if state is not None else ():
            own = [_states(state[flow, trial], times >= context - 1) for flow in range(len(flows))]
            size = np.stack([norm(h) for h in own])
            norms[2, trial] = ratio(size[:, -len(after) :], size[:, :1]).mean(0)
            if steady and state.dims != coordinates.UNITS:
                change[2, trial, 1:] = np.mean([_change(h[-len(after) :]) for h in own], 0)
    ahead = times[after] - context + 1
    before = _before_saturation(error[0, 0], unrelated), _before_saturation(error[1, 0], unrelated)
    growth = np.stack(
        [[_slope(part, ahead, fit) for part in of] for of, fit in zip(error, before, strict=True)]
    )
    measured = {
        "error": (("between", "part", "trial", "ahead"), error, "relative error", "1"),
        "drift": (("between", "trial", "ahead"), drift, "drift along the orbit", "px"),
        "growth": (("between", "part", "trial"), growth, "growth of log error", "1/frame"),
        "norm": (("site", "trial", "ahead"), norms, "relative norm", "1"),
        "change": (("site", "trial", "ahead"), change, "relative change that is no transport", "1/frame"),
        "unrelated": (("trial", "ahead"), unrelated, "relative distance of unrelated trials", "1"),
    }
    result = xr.Dataset(
        coords={"ahead": ("ahead", ahead, {"units": "frame", "long_name": "predicted frame"})}
    )
    result = result.assign_coords(between=list(BETWEEN), part=list(PARTS), site=list(SITES))
    for name, (dims, values, label, units) in measured.items():
        mean, half = _interval(xr.DataArray(values, dims=dims))
        result[name] = mean.assign_attrs(long_name=label, units=units)
        result[f"{name}_interval"] = half.assign_attrs(units=units)
    return result.assign_attrs(horizon=int(recording.attrs.get("horizon", ahead[-1])), trials=trials)


def _load(frames: xr.DataArray) -> np.ndarray:
    """Images in float64, with a channel: (flow, trial, time, 1, y, x)."""
    return np.asarray(frames.values, np.float64)[..., None, :, :]


def _states(state: xr.DataArray, chosen: np.ndarray) -> np.ndarray:
    """States of one trial in float64, (time, channel, y, x); units without space are channels of one pixel."""
    values = np.asarray(state[chosen].values, np.float64)
    return (
        values[..., None, None] if values.ndim == 2 else values.reshape(len(values), -1, *values.shape[-2:])
    )


def _change(x: np.ndarray) -> np.ndarray:
    """From each of (..., time, channel, y, x) to the next, up to a translation."""
    new, old = x[..., 1:, :, :, :], x[..., :-1, :, :, :]
    return ratio(norm(new - nearest(new, old)[0]), norm(old))


def _before_saturation(error: np.ndarray, unrelated: np.ndarray) -> np.ndarray:
    """Which frames (ahead) come before the mean error over trials reaches half of that of unrelated trials."""
    limit = np.inf if np.isnan(unrelated).all() else SATURATED * np.nanmean(unrelated)
    return np.cumsum(~(error.mean(0) < limit)) == 0


def _slope(error: np.ndarray, ahead: np.ndarray, fit: np.ndarray) -> np.ndarray:
    """Slope of log error (trial, ahead) over the frames that are fitted, per trial; NaN for fewer than 3."""
    slopes = np.full(len(error), np.nan)
    for trial, values in enumerate(error):
        used = fit & (values > FLOOR)
        if used.sum() >= 3:
            slopes[trial] = np.polyfit(ahead[used], np.log(values[used]), 1)[0]
    return slopes


def _interval(values: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Mean over trials, and half of its 95 % interval."""
    from scipy.stats import t

    mean, n = values.mean("trial"), values.notnull().sum("trial")
    variance = np.square(values - mean).sum("trial") / (n - 1).clip(1)
    half = t.ppf(0.975, (n - 1).clip(1)) * np.sqrt(variance / n.clip(1))
    return mean, half.where(n > 1)


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table, at the last predicted frame, those of which some are known."""
    last, frame = results.isel(ahead=-1), int(results.ahead[-1])
    world, change = last.sel(between="world"), last.change
    found = {
        f"relative error of predicted frame {frame}": world.error.sel(part="total"),
        f"its part across the orbit of the world, frame {frame}": world.error.sel(part="across"),
        f"drift along the orbit, frame {frame} (px)": world.drift,
        f"change that is no transport, off the world's by, frame {frame}": abs(
            change.sel(site="prediction") - change.sel(site="world")
        ),
        "growth of log error before saturation (1/frame)": world.growth.sel(part="total"),
    }
    return {label: v.assign_attrs(better="lower") for label, v in found.items() if v.notnull().any()}


def figure(results: xr.Dataset) -> Figure:
    """Error, its part across the orbit and drift (above); norm, change and growth (below)."""
    fig, axes = plot.subplots(2, 3, figsize=(plot.PAGE, 4.4))
    world, predicted = results.sel(between="world"), results.sel(site="prediction")
    one, still = np.ones(results.sizes["ahead"]), results.change.sel(site="world").isel(run=0)
    panels = {
        "relative error": (world.sel(part="total"), "error", results.unrelated.isel(run=0)),
        "error across the orbit": (world.sel(part="across"), "error", np.nan * one),
        "drift (px)": (world, "drift", np.nan * one),
        "norm over the world's": (predicted, "norm", one),
        "change that is no transport": (predicted, "change", still),
    }
    for ax, (label, (drawn, name, baseline)) in zip(axes.flat, panels.items(), strict=False):
        ax.plot(results.ahead, baseline, color="0.6", lw=1)
        _course(drawn, name, ax)
        ax.axvline(results.attrs["horizon"], color="0.3", ls="--", lw=0.8)
        ax.set(xlabel="predicted frame", ylabel="", title=label)
    _growths(world, axes[1, 2])
    fig.suptitle(f"{results.attrs['trials']} trials, {plot.seeds(results)}", fontsize=9)
    return fig


def _course(drawn: xr.Dataset, name: str, ax: Axes) -> None:
    """One variable by predicted frame, with the mean interval of the seeds of each network."""
    plot.lines(drawn, name, "ahead", ax)
    for network, colour in plot.palette(drawn).items():
        own = drawn.isel(run=drawn["network"].values == network).mean("run")
        low, high = own[name] - own[f"{name}_interval"], own[name] + own[f"{name}_interval"]
        ax.fill_between(drawn.ahead, low, high, color=colour, alpha=0.2, lw=0)
    ax.set_ylim(bottom=0)


def _growths(world: xr.Dataset, ax: Axes) -> None:
    """Growth of each run, in all and across the orbit, one row per network."""
    names, colours = plot.networks(world), plot.palette(world)
    for part, marker, offset in (("total", "o", -0.15), ("across", "s", 0.15)):
        ax.plot([], [], marker, color="0.3", ms=3, label=part, mfc="white" if part == "across" else "0.3")
        for y, name in enumerate(names):
            own = world.sel(part=part).isel(run=world["network"].values == name)
            at = y + offset + np.linspace(-0.1, 0.1, own.sizes["run"]) * (own.sizes["run"] > 1)
            fill = "white" if part == "across" else colours[name]
            bars = own.growth_interval.fillna(0)
            if own.growth.isnull().all():
                ax.text(0, y + offset, " saturated", va="center", color="0.4", fontsize=7)
            ax.errorbar(own.growth, at, xerr=bars, fmt=marker, ms=3, lw=0.8, color=colours[name], mfc=fill)
    ax.axvline(0, color="0.6", lw=1)
    ax.set(ylim=(len(names) - 0.5, -0.9), title="growth of log error (1/frame)")
    ax.set_yticks(range(len(names)), names)
    for text, name in zip(ax.get_yticklabels(), names, strict=True):
        text.set_color(colours[name])
    ax.legend(fontsize=7, loc="upper left", ncols=2, borderpad=0, handletextpad=0)
