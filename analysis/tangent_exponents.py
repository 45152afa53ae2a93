r"""Do small differences of the state grow or die out, and is a shift of the state along the orbit kept?

Recording has carried small differences along the network's trajectory and kept how they grow, frame by frame
(`flowsim.recording.exponents`). Their mean over frames are Lyapunov exponents, here of two phases: ``driven``
by the stimulus, and in a ``rollout`` on the network's own predictions, when the network is autonomous. The
first third of the frames of each phase is left out, in which differences turn into their directions. All are
exponents of finitely many frames.

Along the tangent of the group's orbit, that is for a state that is displaced as a flow displaces it, an
autonomous network that is equivariant has the exponent 0 (for a state that neither fades nor grows), once for
each dimension of the orbit. Where the symmetry is broken there is a ``pseudo_gap``: by how much less a
displacement grows than it would if the law held; positive if the network pulls the state back into place,
negative if it drives it on. 1 / pseudo_gap is the predicted ``lifetime`` of the memory of where something is,
in frames. The ``leak`` is which share of a displacement (of norms) becomes something else than one. Under a
stimulus, which says where things are, a pseudo-gap is no fault: it is the rate at which the state is put
right.

Translations of a pixel torus by parts of a pixel act by Fourier series, with which pointwise non-linearities
do not quite commute: a network whose law is exact for whole pixels may have a pseudo-gap here, which says how
well it keeps where things are between the pixels.

Sources: Benettin, Galgani, Giorgilli and Strelcyn (1980), Meccanica 15; Vogt, Puelma Touzel, Shlizerman and
Lajoie (2020), On Lyapunov Exponents for RNNs, arXiv 2006.14123; Mo (2026), Symmetry-Protected Lyapunov
Neutral Modes in Equivariant Recurrent Networks, arXiv 2605.03338: at least dim(G/H) exponents along the
orbit are 0, for autonomous equivariant vector fields whose invariant set is compact, with stabilisers of
one type H; a broken symmetry gives a pseudo-gap, which in the experiments there predicts the lifetime of
memory. There the pseudo-gap is that of the exponent itself; here the growth of the orbit's own size is
taken off, so that a fading state has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from flowsim.errors import CannotJudge, InputError
from flowsim.figures import panels, plot
from flowsim.measures import statistics
from flowsim.specification import checked

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

READS = "test"
QUESTION = "Do small differences grow, and is a displacement along the orbit kept?"
READING = (
    "Left, Lyapunov exponents, the mean growth per frame of small differences of the state, largest first: "
    "filled and solid, in a rollout on the network's own predictions; open and dashed, driven by the "
    "stimulus. Above 0, differences grow. Middle, growth of a small displacement along the orbit of the flow "
    "group, one mark for each direction, for the state as it is (as left) and if the law held (cross): their "
    "difference is the pseudo-gap. Displacements are small beside a pixel: a network that keeps whole pixels "
    "exactly may still forget parts of one. Right, by frame, which share of a displacement becomes something "
    "else; dashed, the end of the context. Means over trials and seeds; bars are 95 % intervals over trials. "
    "The first third of each phase counts in none of the first two."
)
PHASES = ("driven", "rollout")
SETTLING = 1 / 3
"""Share of the frames of each phase that is left out."""
ROUNDING = 1e-9
"""A pseudo-gap that is not larger than this is rounding, and has no lifetime."""
PREFIX = "exponent"
ALONG_ORBIT = ("orbit_growth", "orbit_lawful")
LONG_NAMES = {
    "exponent": ("Lyapunov exponent", "1/frame"),
    "orbit_growth": ("growth along the orbit", "1/frame"),
    "orbit_lawful": ("growth along the orbit if the law held", "1/frame"),
    "pseudo_gap": ("pseudo-gap", "1/frame"),
    "leak": ("share of a displacement that leaves the orbit", "1"),
    "fading": ("growth of the norm of the state", "1/frame"),
}


@checked
def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Exponents of each phase, mean over trials.

    Parameters
    ----------
    recording : Dataset
        Made with the option ``exponents``.

    Returns
    -------
    Dataset
        ``exponent`` (phase, number), largest first; ``orbit_growth``, ``orbit_lawful`` and ``pseudo_gap``
        (phase, tangent), per frame; ``lifetime`` (phase) in frames, that of the tangent with the largest
        pseudo-gap, NaN where none is above 0; ``leak`` and ``fading`` (phase); and for each but the lifetime
        ``<name>_interval``, half of its 95 % interval (Student) over trials, NaN for one. ``leak_by_time``
        (time). NaN where a phase has too few frames, or the state has no orbit.

    Raises
    ------
    InputError
        If the recording holds no exponents, or no phase has 3 frames.
    CannotJudge
        If the state diverged in all trials.
    """
    measured, context = _read(recording)
    by_trial = xr.concat([_of_phase(measured, frames) for frames in _phases(measured, context)], "phase")
    results = xr.Dataset(coords={"phase": list(PHASES), "time": measured.time})
    for name, (long_name, units) in LONG_NAMES.items():
        mean, half_width = statistics.mean_interval(by_trial[name], "trial")
        results[name] = mean.assign_attrs(long_name=long_name, units=units)
        results[f"{name}_interval"] = half_width.assign_attrs(units=units)
    largest = results.pseudo_gap.max("tangent")
    lifetime = (1 / largest.where(largest > ROUNDING)).assign_attrs(
        long_name="predicted lifetime of a displacement", units="frame"
    )
    by_time = measured.orbit_leak.mean("trial").assign_attrs(long_name=LONG_NAMES["leak"][0], units="1")
    return results.assign(lifetime=lifetime, leak_by_time=by_time).assign_attrs(
        context=context, trials=measured.sizes["trial"]
    )


def _read(recording: xr.Dataset) -> tuple[xr.Dataset, int]:
    """The exponents under names without their prefix, and the number of frames that were shown."""
    if f"{PREFIX}_growth" not in recording:
        raise InputError(
            f"expected the recording to hold '{PREFIX}_growth', followed while it was made; it has none. "
            "Record with the option exponents, such as exponents: {}"
        )
    measured = recording[[name for name in recording.data_vars if str(name).startswith(f"{PREFIX}_")]]
    measured = measured[[name for name in measured.variables if str(name).startswith(f"{PREFIX}_")]]
    names = {name: str(name).removeprefix(f"{PREFIX}_") for name in {*measured.variables, *measured.dims}}
    measured = measured.rename(names).load()
    if not bool(measured.growth.notnull().any()):
        raise CannotJudge("the state contains NaN or infinity: the network diverged; train it again")
    return measured, int(recording.attrs["context"])


def _phases(measured: xr.Dataset, context: int) -> list[np.ndarray]:
    """Positions of the frames of each phase that count."""
    times = measured.time.values
    phases = [np.flatnonzero(times < context), np.flatnonzero(times >= context)]
    counted = [frames[int(np.ceil(SETTLING * len(frames))) :] for frames in phases]
    if max(map(len, counted)) < 2:
        raise InputError(
            f"expected 3 or more frames driven, or in a rollout; the recording has {len(phases[0])} and "
            f"{len(phases[1])}. Record with a longer context or exponents.rollout"
        )
    return counted


def _of_phase(measured: xr.Dataset, frames: np.ndarray) -> xr.Dataset:
    """Means over the frames of a phase, by trial; NaN for a trial in which one is missing, or if there are
    too few.
    """
    chosen = measured.isel(time=frames)
    means = chosen.mean("time", skipna=False) if len(frames) > 1 else chosen.mean("time") * np.nan
    growth = means.growth
    ordered = -np.sort(-growth.values, axis=growth.get_axis_num("number"))
    grown = np.log(chosen["size"].where(chosen["size"] > 0)).diff("time")
    return xr.Dataset(
        {
            "exponent": growth.copy(data=ordered),
            "orbit_growth": means.orbit_growth,
            "orbit_lawful": means.orbit_lawful,
            "pseudo_gap": means.orbit_lawful - means.orbit_growth,
            "leak": means.orbit_leak,
            "fading": grown.mean("time", skipna=False) if len(frames) > 1 else means["size"],
        }
    )


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table, those of which some are known."""
    words = {"driven": "driven by the stimulus", "rollout": "in a rollout"}
    numbers = {}
    for phase, where in words.items():
        of_phase = results.sel(phase=phase)
        numbers[f"largest Lyapunov exponent {where} (1/frame)"] = of_phase.exponent.isel(number=0)
        numbers[f"pseudo-gap along the orbit {where} (1/frame)"] = of_phase.pseudo_gap.max("tangent")
        numbers[f"predicted lifetime of a small displacement along the orbit {where} (frames)"] = (
            of_phase.lifetime.assign_attrs(bounds=(0.0, np.inf))
        )
        numbers[f"share of a small displacement that leaves the orbit {where}"] = of_phase.leak.assign_attrs(
            bounds=(0.0, 1.0)
        )
    return {label: values for label, values in numbers.items() if values.notnull().any()}


def figure(results: xr.Dataset) -> Figure:
    """Exponents, growth along the orbit, and what leaves it."""
    fig, (spectrum, orbit, leak) = plot.subplots(1, 3, figsize=(plot.PAGE, 2.9))
    _draw_spectrum(spectrum, results)
    _draw_orbit(orbit, results)
    panels.lines_or_note(results.rename(leak_by_time="shown"), "shown", "time", leak)
    leak.axvline(float(results.attrs["context"]) - 0.5, color="0.3", ls="--", lw=0.8)
    leak.set(xlabel="frame", ylabel="", title="share that leaves it", ylim=(0, None))
    plot.legend_below(results, leak)
    fig.suptitle(f"{results.attrs['trials']} trials, {plot.seeds(results)}", fontsize=9)
    return fig


def _draw_spectrum(ax: Axes, results: xr.Dataset) -> None:
    """Exponents of both phases, mean over seeds with the mean interval over trials."""
    number = np.arange(1, results.sizes["number"] + 1)
    for _, colour, runs in panels.each_network(results):
        mean = runs[["exponent", "exponent_interval"]].mean("run")
        for phase, style, fill in (("rollout", "-", colour), ("driven", "--", "white")):
            of_phase = mean.sel(phase=phase)
            ax.errorbar(
                number,
                of_phase.exponent,
                yerr=of_phase.exponent_interval.fillna(0),
                fmt="o",
                ls=style,
                ms=3,
                lw=0.8,
                color=colour,
                mfc=fill,
            )
    ax.axhline(0, color="0.6", lw=0.8)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set(xlabel="number", ylabel="1/frame", title="Lyapunov exponents")


def _draw_orbit(ax: Axes, results: xr.Dataset) -> None:
    """Growth along the orbit, and if the law held, by phase; networks and directions beside each other."""
    if not bool(results.orbit_growth.notnull().any()):
        panels.not_measurable(ax)
        ax.set(title="growth along the orbit", xticks=[], yticks=[])
        return
    names, tangents = plot.networks(results), results.sizes["tangent"]
    slots = len(names) * tangents
    for i, (_, colour, runs) in enumerate(panels.each_network(results)):
        mean = runs[[*ALONG_ORBIT, "orbit_growth_interval"]].mean("run")
        for tangent in range(tangents):
            x = 0.7 * ((i * tangents + tangent + 0.5) / slots - 0.5)
            for at, (phase, fill) in enumerate((("driven", "white"), ("rollout", colour))):
                here = mean.sel(phase=phase).isel(tangent=tangent)
                half_width = here.orbit_growth_interval.fillna(0)
                ax.errorbar(
                    at + x,
                    here.orbit_growth,
                    yerr=half_width,
                    fmt="o",
                    ms=3.5,
                    lw=0.8,
                    color=colour,
                    mfc=fill,
                )
                ax.plot(at + x, here.orbit_lawful, "x", ms=4, color=colour)
    ax.axhline(0, color="0.6", lw=0.8)
    ax.set_xticks(range(len(PHASES)), PHASES)
    ax.set(ylabel="1/frame", title="growth along the orbit")
