r"""Does the state go on moving once the input is withheld, at which velocity, and for how long?

A network whose recurrence itself carries the motion of the world keeps moving what it holds when there is
nothing to see any more. A recording with its input withheld (``blank``) shows it, as ``blank_state``, beside
the run with all input. Maps of the state are taken without their means over space. Of each velocity channel v
of the state h, and of all together, from frame to frame, over whole-pixel translations s of the torus:

    v_s = argmax_s sum_x h_(t+1)(x) h_t(x - s)

It is known where one translation fits (`flowsim.measures.nearest_translate.places`), and is the mean over the
frames where it is; `indistinct` is the share of the others, such as of noise, of a state that is flat, or of
one that has faded to 0. Its slopes, by least squares over components, are those on the velocity of the
stimulus (of all maps together; where all that moves has one known velocity) and on a channel's own velocity
(of each channel).

How long the state lasts, with h_0 the state after the last frame seen, n frames later:

    kept_n = sum_v max_s <h_n(v), s.h_0(v)> / |h_0|^2,        norm_n = |h_n| / |h_0|

`persistence` is the number of frames until `kept` is below a half, at most all of the blank.

In the spectrum of the state over space and time, what moves at u lies on omega = -k.u. The `share` of the
energy there is found without a spectrum: it is that of the mean over time of the state carried back by u t.
Each frame counts alike, whatever its norm; on the plane of the stimulus, only stimuli that move count. It is
1 for a pattern that moves at u and does not change, and 1 / frames for what is drawn anew in every frame.
`coherence` is the length of the mean phasor between successive frames, by channel and spatial frequency, as a
mean over energy: it is 1 also where patterns of each frequency move at a velocity of their own.

Sources: Adelson & Bergen (1985), J. Opt. Soc. Am. A 2, 284 (motion is orientation in space and time);
Watson & Ahumada (1985), J. Opt. Soc. Am. A 2, 322 (what moves at u has its energy on omega = -k.u).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from flowsim.errors import InputError
from flowsim.figures import panels, plot
from flowsim.files import coordinates
from flowsim.files.results import shared
from flowsim.measures import ground_truth, recorded, statistics
from flowsim.measures.nearest_translate import places
from flowsim.specification import checked

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

READS = "probe"
QUESTION = "Does the state go on moving once the input is withheld?"
READING = (
    "What the state does after the input is withheld. Above, its energy by spatial frequency along x and "
    "temporal frequency, from stimuli that move along x, each spatial frequency on its own scale; dashed, "
    "where all lies that moves with the stimulus. Below, the velocity at which the state moves from frame to "
    "frame against that of the stimulus (grey: the same), and that of each velocity channel against its own, "
    "networks side by side: means over trials and the frames in which one translation fits; dotted, the "
    "same frames with all input. Right, how much of the pattern that the state held when the input ended is "
    "still there, wherever it has moved. Lines are means over trials and arithmetic means over seeds, thin "
    "ones are seeds; bands are 95 % intervals over trials."
)
INPUTS = ("given", "withheld")
SITES = {"given": "state", "withheld": "blank_state"}
PLANES = ("stimulus", "channel", "rest")
"""Velocities u of omega = -k.u: of the stimulus, of each channel of the state by itself, and 0."""
SLOPES = ("stimulus", "channel")
HALF = 0.5
"""What is kept of a pattern that still persists."""
COMPONENTS = ("vy", "vx")
PRESENTED = ("input", "flow", "trial")


@dataclass(frozen=True)
class Blanked:
    """The part of a recording in which the input is withheld.

    Attributes
    ----------
    recording : Dataset
        From the last frame that was seen before the blank to its end.
    stimulus : array (flow, trial, component)
        Velocity of all that moves, in px/frame; NaN where it is unknown, or there are several.
    own : array (velocity, component)
        Velocities of the channels of the state, in px/frame; NaN where they are of another group.
    spatial : bool
        Whether the state has the space of the frame.
    """

    recording: xr.Dataset
    stimulus: np.ndarray
    own: np.ndarray
    spatial: bool

    @property
    def size(self) -> tuple[int, int]:
        """Of a map of the state, (y, x) in px; 1x1 for units without space."""
        sizes = self.recording.sizes
        return (sizes["y"], sizes["x"]) if self.spatial else (1, 1)

    def maps(self, state: xr.DataArray) -> np.ndarray:
        """Maps (time, velocity, channel, y, x) of one trial in float64, without their means; orientations are
        channels, and units without space are maps of one pixel, which keep their value.
        """
        values = recorded.in_float64(state, str(state.name))
        if not self.spatial:
            return values[:, None, :, None, None]
        values = values.reshape(*values.shape[:2], -1, *values.shape[-2:])
        return values - values.mean((-2, -1), keepdims=True)


@checked
def analyse(recording: xr.Dataset) -> xr.Dataset:
    """How the state moves and lasts while the input is withheld, and in the same frames with all input.

    Parameters
    ----------
    recording : Dataset
        With ``state`` and ``blank_state`` (flow, trial, time, velocity, channel, y, x), with orientation
        after channel if it has some, or (flow, trial, time, unit), of which only ``kept`` and ``norm`` are
        known; with ``blank`` (time), 1 where the input is withheld; and the velocity of each object,
        ``object_velocity_vy`` and the like, for the slope on it. Every frame has to be recorded.

    Returns
    -------
    Dataset
        Over ``input`` ("given", "withheld"): ``moved`` (component), the mean velocity of the state, and
        ``followed`` (stimulus_velocity), the mean of its components where the stimulus' has this value, to
        the nearest px/frame; ``channel_velocity`` (velocity, component), and ``own`` (velocity, component),
        the velocity of the channel; all in px/frame. ``slope`` (slope_on), on the velocity of the stimulus,
        and of channels on their own; ``indistinct``, ``indistinct_channels``. ``kept`` and ``norm`` (ahead),
        where ahead counts frames of the blank from 1; ``persistence`` in frames. ``share`` (plane), that of
        the stimulus where it moves, and ``coherence``; ``spectrum`` (frequency, wave_number), in cycles per
        frame and px, of stimuli that move along x at ``spectrum_velocity`` px/frame, those that move left
        mirrored. For each but ``followed`` and the spectrum, ``<name>_interval``, half of its 95 % interval
        over trials (Student; of slopes by the jackknife). NaN where nothing can be said.

    Raises
    ------
    InputError
        If there is no ``blank_state``, a frame from the last one seen to the end of the blank was not
        recorded, or a state contains NaN or infinity.
    """
    blanked = _read(recording)
    measured = _unmeasured(blanked)
    energy = _measure(measured, blanked)
    return _packed(blanked, measured, energy)


def _read(recording: xr.Dataset) -> Blanked:
    """Check that there is a blank, and find what it is compared with."""
    if "blank_state" not in recording or "blank" not in recording.coords:
        raise InputError(
            "expected a recording with its input withheld (blank_state); this one has none. Record it with "
            "blank, such as {at: 6}"
        )
    for site in SITES.values():
        coordinates.variable(recording, site, coordinates.STATE, coordinates.ORIENTED, coordinates.UNITS)
    times, withheld = recording.time.values, recording.blank.values == 1
    first, last = int(times[withheld][0]), int(times[withheld][-1])
    wanted = np.arange(first - 1, last + 1)
    if not np.isin(wanted, times).all():
        raise InputError(
            f"expected every frame from {first - 1}, the last one seen, to {last}; the recording has "
            f"{int(np.isin(wanted, times).sum())} of {wanted.size}. Record with every 1"
        )
    spatial = recording.state.dims != coordinates.UNITS
    size = (recording.sizes["y"], recording.sizes["x"]) if spatial else None
    part = recording.isel(time=np.isin(times, wanted))
    return Blanked(part, _stimulus_velocity(recording, size), _own_velocities(recording, size), spatial)


def _stimulus_velocity(recording: xr.Dataset, size: tuple[int, int] | None) -> np.ndarray:
    """Velocity (flow, trial, component) of all that moves, the shorter way round the torus; NaN where it is
    unknown, or there are several.
    """
    found = np.full((recording.sizes["flow"], recording.sizes["trial"], 2), np.nan)
    true = ground_truth.true_velocities(recording) if coordinates.object_components(recording) else None
    if size is None or true is None or not true[0].translates:
        return found
    one = np.isclose(true[1], true[1][:, :, :1]).all((2, 3))
    moved = true[0].displacement(list(np.moveaxis(true[1][:, :, 0], -1, 0)))
    return np.where(one[..., None], shorter_way(np.stack(moved or (), -1), size), np.nan)


def _own_velocities(recording: xr.Dataset, size: tuple[int, int] | None) -> np.ndarray:
    """Velocities (velocity, component) of the channels of the state, the shorter way round the torus; NaN of
    another group than translation.
    """
    group = coordinates.group(recording, "velocity") if size is not None else None
    if size is None or group is None or not group.translates:
        return np.full((recording.sizes.get("velocity", 1), 2), np.nan)
    velocities = np.array(coordinates.grid(recording).velocities, np.float64)
    moved = np.stack(group.displacement(list(velocities.T)) or (), -1)
    return shorter_way(moved, size)


def shorter_way(velocity: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Velocities (..., component) as at most half of the torus in a frame."""
    return velocity - np.array(size) * np.ceil(velocity / size - 0.5)


def _unmeasured(blanked: Blanked) -> xr.Dataset:
    """What will be measured of each presentation, NaN so far."""
    sizes = {
        "input": len(INPUTS),
        "flow": blanked.recording.sizes["flow"],
        "trial": blanked.recording.sizes["trial"],
        "component": len(COMPONENTS),
        "velocity": len(blanked.own),
        "ahead": blanked.recording.sizes["time"] - 1,
        "plane": len(PLANES),
    }
    beyond = {
        "moved": ("component",),
        "channel_velocity": ("velocity", "component"),
        "indistinct": (),
        "indistinct_channels": (),
        "kept": ("ahead",),
        "norm": ("ahead",),
        "share": ("plane",),
        "coherence": (),
    }
    dims = {name: (*PRESENTED, *more) for name, more in beyond.items()}
    return xr.Dataset(
        {name: (over, np.full([sizes[dim] for dim in over], np.nan)) for name, over in dims.items()}
    )


def _measure(measured: xr.Dataset, blanked: Blanked) -> dict[str, np.ndarray]:
    """Measure each presentation. Returns the energy (frequency, wave number) of those along x, by input."""
    along_x = _fastest_along_x(blanked)
    energy: dict[str, np.ndarray] = {}
    for i, given in enumerate(INPUTS):
        states = recorded.TrialByTrial(blanked.recording[SITES[given]])
        for trial in range(blanked.recording.sizes["trial"]):
            for flow in range(blanked.recording.sizes["flow"]):
                maps = blanked.maps(states.read(flow, trial))
                here = {"input": i, "flow": flow, "trial": trial}
                spectra = np.fft.rfft2(maps)
                weight = _weight(blanked.size)
                for name, value in _lasting(spectra, weight, blanked.size).items():
                    measured[name][here] = value
                if not blanked.spatial:
                    continue
                velocity = blanked.stimulus[flow, trial]
                for name, value in _moving(spectra, weight, blanked.size).items():
                    measured[name][here] = value
                measured.share[here] = _shares(spectra, weight, blanked, velocity)
                measured.coherence[here] = _coherence(spectra, weight)
                if along_x and velocity[0] == 0 and abs(velocity[1]) == along_x:
                    found = _energy(spectra, weight, left=velocity[1] < 0)
                    energy[given] = energy.get(given, 0) + found
    return energy


def _weight(size: tuple[int, int]) -> np.ndarray:
    """How many spatial frequencies each column of `numpy.fft.rfft2` stands for, over the number of pixels, so
    that weighted sums over energy are sums over pixels.
    """
    columns = np.arange(size[1] // 2 + 1)
    alone = (columns == 0) | (2 * columns == size[1])
    return np.where(alone, 1, 2) / (size[0] * size[1])


def _lasting(spectra: np.ndarray, weight: np.ndarray, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """``kept`` and ``norm`` (ahead); NaN where there was nothing to keep."""
    energy = (np.abs(spectra) ** 2 * weight).sum((1, 2, 3, 4))
    cross = (spectra[1:] * spectra[:1].conj()).sum(2)
    best = np.fft.irfft2(cross, size).max((-2, -1)).sum(1)
    before = np.full(len(best), energy[0])
    return {"kept": recorded.ratio(best, before), "norm": np.sqrt(recorded.ratio(energy[1:], before))}


def _moving(spectra: np.ndarray, weight: np.ndarray, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Mean velocities over the steps in which one translation fits, and the share of others: of all maps
    together, and of each channel.
    """
    cross = (spectra[1:] * spectra[:-1].conj()).sum(2)
    norms = np.sqrt((np.abs(spectra) ** 2 * weight).sum((2, 3, 4)))
    together = np.sqrt((norms**2).sum(1))
    of_all, known = places(cross.sum(1), together[1:] * together[:-1], size)
    of_each, each_known = places(cross, norms[1:] * norms[:-1], size)
    return {
        "moved": _mean_where(of_all, known),
        "channel_velocity": _mean_where(of_each, each_known),
        "indistinct": 1 - known.mean(),
        "indistinct_channels": 1 - each_known.mean(),
    }


def _mean_where(velocity: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Mean over steps of velocity (step, ..., component) where it is ``known`` (step, ...); else NaN."""
    total = np.where(known[..., None], velocity, 0).sum(0)
    return recorded.ratio(total, np.broadcast_to(known.sum(0)[..., None], total.shape))


def _shares(spectra: np.ndarray, weight: np.ndarray, blanked: Blanked, velocity: np.ndarray) -> np.ndarray:
    """Share of the energy (plane) at omega = -k.u, with every frame of the state at the same norm."""
    energy = (np.abs(spectra) ** 2 * weight).sum((1, 2, 3, 4), keepdims=True)
    if not (energy > 0).all():
        return np.full(len(PLANES), np.nan)
    even = spectra / np.sqrt(energy)
    if not velocity.any():
        velocity = np.full(2, np.nan)  # what rests would be on the plane of a stimulus that rests
    everywhere = np.ones((len(blanked.own), 1))
    return np.array(
        [
            (np.abs(_carried_back(even, u, blanked.size).mean(0)) ** 2 * weight).sum()
            if np.isfinite(u).all()
            else np.nan
            for u in (everywhere * velocity, blanked.own, everywhere * np.zeros(2))
        ]
    )


def _carried_back(spectra: np.ndarray, velocities: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Spectra (time, velocity, channel, ...) of maps that are moved back by t times a velocity of each
    velocity channel, (velocity, component).
    """
    time = np.arange(len(spectra))[:, None, None, None]
    ky = np.fft.fftfreq(size[0])[:, None]
    kx = np.fft.rfftfreq(size[1])
    turns = velocities[:, :1, None] * ky + velocities[:, 1:, None] * kx
    return spectra * np.exp(2j * np.pi * time * turns)[:, :, None]


def _coherence(spectra: np.ndarray, weight: np.ndarray) -> float:
    """Length of the mean phasor between successive frames, by channel velocity and spatial frequency."""
    late, early = spectra[1:], spectra[:-1]
    phasor = np.abs((late * early.conj()).sum((0, 2)))
    energy = np.sqrt((np.abs(late) ** 2).sum((0, 2)) * (np.abs(early) ** 2).sum((0, 2)))
    return float(recorded.ratio((phasor * weight).sum(), (energy * weight).sum()))


def _fastest_along_x(blanked: Blanked) -> float:
    """The largest speed of stimuli that move along x alone, 0 if none does."""
    horizontal = blanked.stimulus[..., 0] == 0
    speeds = np.abs(blanked.stimulus[..., 1][horizontal])
    return float(speeds.max()) if speeds.size else 0.0


def _energy(spectra: np.ndarray, weight: np.ndarray, left: bool) -> np.ndarray:
    """Energy (frequency, wave number along x), frequencies from the most negative on; mirrored if what is
    seen moves left. Every frame is taken at the same norm.
    """
    norms = np.sqrt((np.abs(spectra) ** 2 * weight).sum((1, 2, 3, 4), keepdims=True))
    even = np.divide(spectra, norms, out=np.zeros_like(spectra), where=norms > 0)
    energy = (np.abs(np.fft.fft(even, axis=0)) ** 2 * weight).sum((1, 2, 3))
    if left:
        energy = energy[-np.arange(len(energy))]
    return np.fft.fftshift(energy, axes=0)


def slope_interval(of: np.ndarray, on: np.ndarray) -> tuple[float, float]:
    """Slope by least squares with an intercept, and half of its 95 % interval by the jackknife over trials.

    Parameters
    ----------
    of, on : arrays (trial, ..., component)
        Values, and what they are regressed on; pairs with a NaN do not count. Each component has an intercept
        of its own, and all have one slope.

    Returns
    -------
    slope, half_width : float
        NaN where nothing varies; the second also where that is so without one of the trials.
    """
    of, on = (np.moveaxis(values, -1, 1).reshape(len(values), values.shape[-1], -1) for values in (of, on))
    known = np.isfinite(of) & np.isfinite(on)
    x, y = np.where(known, on, 0), np.where(known, of, 0)
    sums = np.stack([known.astype(float), x, y, x * y, x * x]).sum(-1)  # (sum, trial, component)
    total = sums.sum(1, keepdims=True)
    slopes = _slope(np.concatenate([total, total - sums], 1))
    return float(slopes[0]), float(statistics.jackknife_interval(slopes[1:])) if len(of) > 1 else np.nan


def _slope(sums: np.ndarray) -> np.ndarray:
    """Slope (...) from count, sums of x, y, x y and x^2, (5, ..., component)."""
    count, x, y, xy, xx = sums
    count = count.clip(1)
    covariance, variance = (xy - x * y / count).sum(-1), (xx - x**2 / count).sum(-1)
    return recorded.ratio(covariance, np.where(variance > 1e-9 * xx.sum(-1), variance, 0))


def _packed(blanked: Blanked, measured: xr.Dataset, energy: dict[str, np.ndarray]) -> xr.Dataset:
    """Means over flows and trials with their intervals, slopes and spectra."""
    units = {"moved": "px/frame", "channel_velocity": "px/frame", "persistence": "frame"}
    names = {
        "moved": "velocity of the state",
        "channel_velocity": "velocity of a channel",
        "kept": "kept of the last pattern seen",
        "norm": "norm over that of the last state seen",
        "share": "share of energy on omega = -k.u",
        "persistence": "frames until half of the pattern is kept",
    }
    kept = measured.kept.mean("flow")
    lasts = (kept >= HALF).astype(np.float64).cumprod("ahead").sum("ahead")
    measured = measured.assign(persistence=lasts.where(kept.notnull().all("ahead")))
    result = xr.Dataset(coords=_coordinates(blanked))
    for name, values in measured.data_vars.items():
        by_trial = values.mean("flow") if "flow" in values.dims else values
        mean, half_width = statistics.mean_interval(by_trial, "trial")
        attrs = {"units": units.get(str(name), "1"), "long_name": names.get(str(name), str(name))}
        result[name] = mean.assign_attrs(attrs)
        result[f"{name}_interval"] = half_width.assign_attrs(units=attrs["units"])
    result["own"] = (("velocity", "component"), blanked.own, {"units": "px/frame"})
    result = result.merge(_slopes(blanked, measured)).merge(_followed(blanked, measured))
    shape = (blanked.recording.sizes["time"], blanked.size[1] // 2 + 1)
    normalised = [
        recorded.ratio(energy[given], energy[given].sum()) if given in energy else np.full(shape, np.nan)
        for given in INPUTS
    ]
    result["spectrum"] = (("input", "frequency", "wave_number"), np.stack(normalised), {"units": "1"})
    result["spectrum_velocity"] = ((), _fastest_along_x(blanked) or np.nan, {"units": "px/frame"})
    return result.assign_attrs(
        trials=blanked.recording.sizes["trial"],
        blank_length=blanked.recording.sizes["time"] - 1,
        shown_instead=str(blanked.recording.attrs.get("blank_by", "")),
    )


def _coordinates(blanked: Blanked) -> dict[str, object]:
    """Of the results."""
    frames = blanked.recording.sizes["time"]
    ahead = {"units": "frame", "long_name": "frame without input"}
    frequency = {"units": "1/frame", "long_name": "temporal frequency"}
    wave_number = {"units": "1/px", "long_name": "spatial frequency along x"}
    return {
        "input": list(INPUTS),
        "component": list(COMPONENTS),
        "plane": list(PLANES),
        "slope_on": list(SLOPES),
        "velocity": np.arange(len(blanked.own)),
        "ahead": ("ahead", np.arange(1, frames), ahead),
        "frequency": ("frequency", np.fft.fftshift(np.fft.fftfreq(frames)), frequency),
        "wave_number": ("wave_number", np.fft.rfftfreq(blanked.size[1]), wave_number),
    }


def _slopes(blanked: Blanked, measured: xr.Dataset) -> xr.Dataset:
    """``slope`` (input, slope_on) and its interval."""
    found = np.full((2, len(INPUTS), len(SLOPES)), np.nan)
    stimulus = blanked.stimulus.swapaxes(0, 1)
    for i in range(len(INPUTS)):
        of_all = measured.moved.isel(input=i).transpose("trial", "flow", "component").values
        of_each = measured.channel_velocity.isel(input=i).transpose("trial", "flow", "velocity", "component")
        found[:, i, 0] = slope_interval(of_all, stimulus)
        found[:, i, 1] = slope_interval(of_each.values, np.broadcast_to(blanked.own, of_each.shape))
    attrs = {"units": "1", "long_name": "slope of the state's velocity"}
    return xr.Dataset(
        {
            "slope": (("input", "slope_on"), found[0], attrs),
            "slope_interval": (("input", "slope_on"), found[1], {"units": "1"}),
        }
    )


def _followed(blanked: Blanked, measured: xr.Dataset) -> xr.Dataset:
    """Mean component of the state's velocity (input, stimulus_velocity) by that of the stimulus."""
    shown = np.round(blanked.stimulus)
    values = np.unique(shown[np.isfinite(shown)])
    moved = measured.moved.transpose("input", "flow", "trial", "component").values
    means = [
        [recorded.ratio(*_sum_and_count(of_input[shown == value])) for value in values] for of_input in moved
    ]
    attrs = {"units": "px/frame", "long_name": "velocity of the state"}
    followed = np.array(means, np.float64).reshape(len(INPUTS), len(values))
    coords = {"stimulus_velocity": ("stimulus_velocity", values, {"units": "px/frame"})}
    return xr.Dataset({"followed": (("input", "stimulus_velocity"), followed, attrs)}, coords)


def _sum_and_count(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    known = np.isfinite(values)
    return np.where(known, values, 0).sum(), known.sum()


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table, of the state while the input is withheld."""
    withheld = results.sel(input="withheld")
    stimulus, channel = (withheld.slope.sel(slope_on=on) for on in SLOPES)
    frames = int(results.ahead[-1])
    numbers = {
        "slope of the velocity of the state on that of the stimulus while the input is withheld": stimulus,
        "slope of the velocity of state channels on their own while the input is withheld": channel,
        "share of the energy of the state that moves with the stimulus while the input is withheld": (
            withheld.share.sel(plane="stimulus").assign_attrs(bounds=(0.0, 1.0))
        ),
        "share of steps in which the state moves at no one velocity while the input is withheld": (
            withheld.indistinct.assign_attrs(bounds=(0.0, 1.0))
        ),
        f"frames until half of the pattern of the state is kept, of {frames} without input": (
            withheld.persistence.assign_attrs(bounds=(0.0, float(frames)))
        ),
    }
    return {label: values for label, values in numbers.items() if values.notnull().any()}


def figure(results: xr.Dataset) -> Figure:
    """Spectra of all networks (above); velocities, and what is kept (below)."""
    names = plot.networks(results)
    rows = -(-len(names) // 4)
    fig = plot.figure(figsize=(plot.PAGE, 1.9 * rows + 2.7))
    above, below = fig.subfigures(2, 1, height_ratios=[1.9 * rows, 2.5])
    axes = panels.network_axes(above, names)
    for ax, (name, _, runs) in zip(axes, panels.each_network(results), strict=True):
        _draw_spectrum(ax, runs, name)
    above.supxlabel("along x (1/px)", fontsize=9)
    above.supylabel("in time (1/frame)", fontsize=9)
    followed, channels, kept = below.subplots(1, 3)
    _draw_followed(followed, results)
    _draw_channels(channels, results)
    _draw_kept(kept, results)
    given = _of_what(results)
    fig.suptitle(f"{given}, {results.attrs['trials']} trials, {plot.seeds(results)}", fontsize=9)
    return fig


def _of_what(results: xr.Dataset) -> str:
    """What was shown instead of the input, in words."""
    instead = {"zeros": "nothing", "mean": "the mean frame", "noise": "noise"}
    instead |= {"predictions": "each network's own predictions"}
    shown = str(shared(results, "shown_instead"))
    return f"{results.sizes['ahead']} frames of {instead[shown]}" if shown in instead else "input withheld"


def _draw_spectrum(ax: Axes, runs: xr.Dataset, name: str) -> None:
    """Energy by spatial and temporal frequency, mean over seeds, with the line of the stimulus."""
    ax.set_title(name, fontsize=9)
    spectrum = runs.spectrum.sel(input="withheld").mean("run")
    velocity = float(runs.spectrum_velocity.mean())
    if bool(spectrum.isnull().any()) or not np.isfinite(velocity):
        panels.not_measurable(ax)
        return
    highest = spectrum.max("frequency")
    shown = (spectrum / highest.where(highest > 0)).fillna(0)
    ax.pcolormesh(spectrum.wave_number, spectrum.frequency, shown, shading="nearest", cmap="viridis", vmin=0)
    along = np.linspace(0, float(spectrum.wave_number[-1]), 400)
    frequency = -along * velocity
    wrapped = (frequency + 0.5) % 1 - 0.5
    wrapped[1:][np.abs(np.diff(wrapped)) > 0.5] = np.nan
    ax.plot(along, wrapped, color="white", ls="--", lw=1)
    ax.set_ylim(-0.5, 0.5)


def _draw_followed(ax: Axes, results: xr.Dataset) -> None:
    """Velocity of the state against that of the stimulus, withheld (lines) and given (dotted)."""
    ax.set(xlabel="stimulus (px/frame)", ylabel="state (px/frame)", title="state against stimulus")
    if not bool(results.followed.notnull().any()):
        panels.not_measurable(ax)
        return
    shown = results.stimulus_velocity.values
    ax.plot(shown, shown, color="0.75", lw=3, zorder=0)
    plot.lines(results.sel(input="withheld"), "followed", "stimulus_velocity", ax)
    given = plot.mean_over_seeds(results.followed.sel(input="given"))
    for name, colour in plot.palette(results).items():
        ax.plot(shown, given.sel(network=name), ":", color=colour, lw=1)
    ax.set(xlabel="stimulus (px/frame)", ylabel="state (px/frame)")


def _draw_channels(ax: Axes, results: xr.Dataset) -> None:
    """Velocity of each channel of the state against its own, mean over seeds; a dot for each component."""
    ax.set(xlabel="channel (px/frame)", ylabel="", title="channels against their own")
    own, moved = results.own, results.channel_velocity.sel(input="withheld")
    known = own.where(moved.notnull())
    if not bool(known.notnull().any()):
        panels.not_measurable(ax)
        return
    low, high = float(known.min()), float(known.max())
    if low == high:
        words = "each network has\none velocity channel"
        ax.text(0.5, 0.5, words, transform=ax.transAxes, ha="center", va="center")
        return
    ax.plot([low, high], [low, high], color="0.75", lw=3, zorder=0)
    names = plot.networks(results)
    for i, (_, colour, runs) in enumerate(panels.each_network(results)):
        x = runs.own.mean("run").values.ravel()
        y = runs.channel_velocity.sel(input="withheld").mean("run").values.ravel()
        aside = 0.12 * (i - (len(names) - 1) / 2)
        ax.plot(x + aside, y, "o", color=colour, ms=3, mew=0)


def _draw_kept(ax: Axes, results: xr.Dataset) -> None:
    """What is kept of the last pattern, by frame, with the interval over trials."""
    withheld = results.sel(input="withheld")
    plot.lines(withheld, "kept", "ahead", ax)
    means = plot.mean_over_seeds(withheld.kept)
    half_widths = plot.mean_over_seeds(withheld.kept_interval)
    for name, colour in plot.palette(results).items():
        mean, half_width = means.sel(network=name), half_widths.sel(network=name)
        panels.band(ax, results.ahead, mean - half_width, mean + half_width, colour)
    ax.axhline(HALF, color="0.6", lw=0.8, ls=":")
    top = max(1.05, min(ax.get_ylim()[1], 2))
    for_legend = 1.1 + 0.1 * len(plot.networks(results))
    ax.set_ylim(bottom=min(0, ax.get_ylim()[0]), top=top * for_legend)
    ax.set(xlabel="frame without input", ylabel="", title="kept of the pattern")
    ax.xaxis.get_major_locator().set_params(integer=True)
    plot.legend(results, ax, fontsize=7)
