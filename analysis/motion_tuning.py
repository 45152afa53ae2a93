r"""What do units do with motion? The panel of a vision scientist.

A unit (a channel of a velocity channel, or one unit of a network without space) answers to each condition of
the stimulus `motion_panel` with its rectified activity, averaged over space (and orientations) and over the
later frames. Repeats of a condition differ in phases or dots; they are the replicates of all tests. Four
questions are asked:

*Pattern or component?* Whether the response to plaids is that to the pattern, or the sum of those to its two
gratings: scores Z_p and Z_c, and classes, of `flowsim.measures.plaids`. Only units that are tuned to the
direction of gratings are classified.

*Speed or temporal frequency?* In the grid direction of the strongest response, the exponent Q of
`flowsim.measures.speed_exponent` with its interval (jackknife over repeats). Units whose response depends on
the frequencies are tuned to speed if the interval holds 1 and not 0, to temporal frequency if it holds 0 and
not 1.

*Does contrast that reverses turn the preference?* With m = sum r(theta) exp(i theta) for dots, and m' for
dots whose contrast reverses at every step, the index is the cosine of the angle between m and m': 1 if the
preferred direction stays, -1 if it turns round, as motion energy says it does. It is tested whether m', along
m, is below or above 0.

*Translation, expansion, rotation?* Whether the response to dots depends on the direction in which they
translate, and on their direction in the plane of expansion (0 degrees) and counter-clockwise rotation (90).

P-values are those of `flowsim.measures.tuning`, corrected for the number of units (Benjamini and Hochberg
1995), so that shares of tuned units are 0 for noise. Pattern and component units have no p-value of their
own: their number is compared with that if the directions of plaids are shuffled, the same way for all units,
which are not independent.

Sources: Movshon, Adelson, Gizzi and Newsome (1985) and Smith, Majaj and Movshon (2005), plaids; Priebe,
Lisberger and Movshon (2006), speed; Anstis (1970) and Adelson and Bergen (1985), reversed contrast; Duffy and
Wurtz (1991) and Graziano, Andersen and Snowden (1994), optic flow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import xarray as xr
from pydantic import Field

from flowsim.errors import InputError
from flowsim.figures import panels, plot
from flowsim.files import coordinates
from flowsim.measures import plaids, speed_exponent, statistics, tuning
from flowsim.specification import Count, Seed, Whole, checked

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

READS = "sweep"
QUESTION = "What do units do with motion: pattern or component, speed or frequency, flow?"
READING = (
    "Left: scores of each unit's responses to plaids, as those of a pattern (up) and as the sum of those to "
    "two gratings (right); beyond the lines a unit is one or the other, filled if it is also tuned to the "
    "direction of gratings. Middle: the exponent Q of the preferred temporal frequency over spatial "
    "frequency, 0 for tuning to temporal frequency, 1 for tuning to speed; and the cosine between preferred "
    "directions for dots and for dots whose contrast reverses at every step, -1 where the preference turns "
    "round, as that of motion energy does. What is beyond an axis is drawn at its end, and filled units are "
    "significant. Right: share of all units in each class. Bars are arithmetic means over seeds, dots are "
    "seeds; ticks are the shares if directions of plaids are shuffled. Shares of other classes are 0 for "
    "noise, as p-values (repeated measures over repeats of conditions) are corrected for the number of "
    "units. Units are averages over space: in a network that treats all places alike they cannot tell "
    "expansion from rotation by where motion is."
)
TESTS = ("direction", "frequency", "translation", "reversal", "spiral")
CLASSES = ("component", "pattern", "temporal frequency", "speed", "reversed", "kept", "translation", "spiral")
COLUMNS = (
    *("components", "direction", "spatial_frequency", "temporal_frequency"),
    *("plaid_angle", "polarity", "expansion", "rotation"),
)
"""What has to be known of each trial."""
FARTHEST = 12.0
"""Scores beyond this are drawn at it."""
LABELS = {
    "component": "share of units that answer to the components of plaids",
    "pattern": "share of units that answer to the pattern of plaids",
    "temporal frequency": "share of units tuned to temporal frequency",
    "speed": "share of units tuned to speed",
    "reversed": "share of units whose preferred direction turns round with reversing contrast",
    "kept": "share of units whose preferred direction stays with reversing contrast",
    "translation": "share of units tuned to the translation of dots",
    "spiral": "share of units tuned to expansion and rotation",
}
"""Of the answers, by class."""


@dataclass(frozen=True)
class Panel:
    """Responses to each part of the panel.

    Attributes
    ----------
    gratings, plaids, dots, reversed_dots, spirals : arrays (repeat, direction, unit)
        In directions that are even around the circle, from 0 on; the first four in the same.
    grid : array (repeat, direction, spatial, temporal, unit)
    spatial, temporal : arrays
        Frequencies of the grid.
    plaid_angle : float
        In degrees.
    """

    gratings: np.ndarray
    plaids: np.ndarray
    dots: np.ndarray
    reversed_dots: np.ndarray
    spirals: np.ndarray
    grid: np.ndarray
    spatial: np.ndarray
    temporal: np.ndarray
    plaid_angle: float


@checked
def analyse(
    recording: xr.Dataset,
    *,
    since: Whole | None = None,
    response: Literal["rectified", "magnitude"] = "rectified",
    level: Annotated[float, Field(gt=0, lt=1)] = 0.05,
    permutations: Count = 999,
    seed: Seed = 0,
) -> xr.Dataset:
    """Tuning of every unit to each part of the panel.

    Parameters
    ----------
    recording : Dataset
        Of the sweep of `motion_panel`: ``state`` (flow, trial, time, velocity, channel, y, x), with
        orientation after channel if it has some, or (flow, trial, time, unit), and per trial ``components``,
        ``direction``, ``spatial_frequency``, ``temporal_frequency``, ``plaid_angle``, ``polarity``,
        ``expansion`` and ``rotation``. Flow 0 is used.
    since : int, optional
        First frame that counts; by default the later half does.
    response : {"rectified", "magnitude"}
        What is averaged: max(h, 0), or abs(h), where the sign of a unit means nothing.
    level : float
        Adjusted p-values up to this are significant.
    permutations, seed : int
        Orders of the directions of plaids that pattern and component units are counted in, and their seed.

    Returns
    -------
    Dataset
        Over ``unit``: ``channel``; curves ``gratings``, ``plaids``, ``dots``, ``reversed_dots`` (direction),
        and ``spirals`` (spiral), mean over repeats; ``z_pattern``, ``z_component``; ``exponent`` Q with its
        ``exponent_interval`` (half-width) and ``explained``, the share of the variance that its fit explains,
        NaN of units that do not depend on frequencies;
        ``reversal``, the index; ``preferred_spiral`` (deg); ``p``, ``p_adjusted`` and ``tuned`` (test): of
        the direction of gratings, of frequencies, of the translation of dots, of reversed dots along the
        preference for dots, and of spirals; and ``member`` (class), whether it is in a class. NaN where a
        unit is silent or flat, and p where there is one repeat.

        Of all units, by class: ``share``, and of pattern and component units ``null_share``, if the
        directions of plaids are shuffled, and ``share_p``, the share of shuffles with as many. ``repeats``:
        how many there are.

    Raises
    ------
    InputError
        If a condition of the panel is missing, no frame counts, or the state contains NaN or infinity.
    """
    recording = recording.isel(flow=slice(1))
    state = coordinates.variable(
        recording, "state", coordinates.STATE, coordinates.ORIENTED, coordinates.UNITS
    )
    times = recording.time.values
    late = np.flatnonzero(times >= (times[len(times) // 2] if since is None else since))
    if not len(late):
        raise InputError(
            f"expected frames from {since} on (since); the recording ends with frame {times[-1]}"
        )
    table = _table(recording)
    responses = tuning.responses(state, np.arange(state.sizes["trial"]), late, response)[:, 0]
    panel = _panel(table, responses)
    measured = _measured(panel)
    p = _p_values(panel, measured["active"])
    adjusted = np.apply_along_axis(statistics.false_discovery, -1, p)
    measured |= _exponents(
        panel, np.where(np.isnan(p[1]), measured["active"], adjusted[1] <= level).astype(bool)
    )
    selective = np.where(np.isnan(adjusted[0]), measured["active"], adjusted[0] <= level).astype(bool)
    member = _members(measured, adjusted, level, selective)
    null = _null(panel, selective, permutations, np.random.default_rng(seed))
    return _packed(state, panel, measured, p, adjusted, level, member, null)


def _table(recording: xr.Dataset) -> dict[str, np.ndarray]:
    """What is known of each trial, by name."""
    missing = [name for name in COLUMNS if name not in recording.coords]
    if missing:
        raise InputError(
            f"expected what each trial of the panel is ({', '.join(missing)}); the recording has none. "
            "Record the sweep of motion_panel"
        )
    return {name: np.asarray(recording[name].values, float) for name in COLUMNS}


def _panel(table: dict[str, np.ndarray], responses: np.ndarray) -> Panel:
    """Responses (trial, unit), sorted into the panel."""
    one, two = (table["components"] == number for number in (1, 2))
    spiral = (table["expansion"] != 0) | (table["rotation"] != 0)
    dots = (table["components"] == 0) & ~spiral & np.isfinite(table["direction"])
    frequencies = np.stack([table["spatial_frequency"], table["temporal_frequency"]], 1)
    main = one & (frequencies == _most_common(frequencies[two])).all(1)
    largest = [np.max(abs(table[name]), initial=0) or 1.0 for name in ("expansion", "rotation")]
    angle = np.arctan2(table["rotation"] / largest[1], table["expansion"] / largest[0])
    of_spiral = np.rad2deg(angle).round(6) % 360
    curves = {
        "gratings": (main, table["direction"]),
        "plaids": (two, table["direction"]),
        "dots": (dots & (table["polarity"] == 1), table["direction"]),
        "reversed_dots": (dots & (table["polarity"] == -1), table["direction"]),
        "spirals": (spiral, of_spiral),
    }
    by_name = {}
    for name, (chosen, direction) in curves.items():
        angles, by_name[name] = _sorted(direction[chosen, None], responses[chosen])
        if len(angles) < 5 or not np.allclose(
            angles[:, 0], np.arange(len(angles)) * 360 / len(angles), atol=1e-3
        ):
            raise InputError(
                f"expected {name} in five directions or more, even around the circle from 0; the recording "
                f"has {len(angles)}, or uneven ones. Record every trial of the sweep of motion_panel"
            )
    grid, spatial, temporal = _grid(one, table, responses)
    sizes = {by_name[name].shape[1] for name in ("gratings", "plaids", "dots", "reversed_dots")}
    if len(sizes) > 1:
        raise InputError("expected gratings, plaids and dots in the same directions; they are in others")
    return Panel(
        **by_name,
        grid=grid,
        spatial=spatial,
        temporal=temporal,
        plaid_angle=float(table["plaid_angle"][two][0]),
    )


def _most_common(rows: np.ndarray) -> np.ndarray:
    """The row that occurs most often; NaN where there are none."""
    if not len(rows):
        return np.full(rows.shape[1:], np.nan)
    values, counts = np.unique(rows, axis=0, return_counts=True)
    return values[counts.argmax()]


def _sorted(keys: np.ndarray, responses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each key (key, part) that occurs, and the responses (repeat, key, unit) to it, as many repeats as all
    keys have.
    """
    unique, key = np.unique(keys.round(9), axis=0, return_inverse=True)
    where = [np.flatnonzero(key.ravel() == i) for i in range(len(unique))]
    repeats = min((len(at) for at in where), default=0)
    if not repeats:
        return unique, np.empty((0, 0, responses.shape[1]))
    return unique, np.stack([responses[at[:repeats]] for at in where], 1)


def _grid(
    one: np.ndarray, table: dict[str, np.ndarray], responses: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Responses (repeat, direction, spatial, temporal, unit) on the grid, and its frequencies."""
    names = ("spatial_frequency", "temporal_frequency")
    s, f = (table[name].round(9) for name in names)
    in_directions = {d: one & (table["direction"] == d) for d in np.unique(table["direction"][one])}
    pairs = {d: {*zip(s[at].tolist(), f[at].tolist(), strict=True)} for d, at in in_directions.items()}
    directions = [d for d, shown in pairs.items() if len(shown) > 1]
    shown = set.intersection(*(pairs[d] for d in directions)) if directions else set()
    spatial = sorted({pair[0] for pair in shown if sum(other[0] == pair[0] for other in shown) > 1})
    temporal = sorted({pair[1] for pair in shown if sum(other[1] == pair[1] for other in shown) > 1})
    chosen = one & np.isin(table["direction"], directions) & np.isin(s, spatial) & np.isin(f, temporal)
    keys, sorted_responses = _sorted(np.stack([table["direction"], s, f], 1)[chosen], responses[chosen])
    size = (len(directions), len(spatial), len(temporal))
    if min(size[1:]) < 3 or len(keys) != np.prod(size):
        raise InputError(
            "expected gratings on a grid of three or more spatial and temporal frequencies, in one direction "
            f"or more; the recording has {len(spatial)} and {len(temporal)}. Record every trial of the sweep "
            "of motion_panel"
        )
    return sorted_responses.reshape(-1, *size, responses.shape[1]), np.array(spatial), np.array(temporal)


def _around(count: int) -> np.ndarray:
    """Directions, even around the circle, as complex numbers of size 1 (direction)."""
    return np.exp(2j * np.pi * np.arange(count) / count)


def _moments(responses: np.ndarray) -> np.ndarray:
    """First moment over directions (repeat, unit), of responses (repeat, direction, unit)."""
    return np.einsum("d,rdu->ru", _around(responses.shape[1]), responses) * 2 / responses.shape[1]


def _measured(panel: Panel) -> dict[str, np.ndarray]:
    """Measures of each unit (unit), by name; `active`, whether it is neither silent nor flat."""
    every = np.concatenate([panel.gratings.mean(0), panel.dots.mean(0), panel.spirals.mean(0)])
    active = np.ptp(every, axis=0) > tuning.FLAT * every.mean(0)
    z_pattern, z_component = plaids.scores(panel.gratings.mean(0), panel.plaids.mean(0), panel.plaid_angle)
    m, reversed_m = _moments(panel.dots).mean(0), _moments(panel.reversed_dots).mean(0)
    size = abs(m) * abs(reversed_m)
    cosine = np.divide((m.conj() * reversed_m).real, size, out=np.full(len(m), np.nan), where=size > 0)
    spiral = np.rad2deg(np.angle(_moments(panel.spirals).mean(0))) % 360
    measures = {
        "z_pattern": z_pattern,
        "z_component": z_component,
        "reversal": np.clip(cosine, -1, 1),
        "preferred_spiral": spiral,
    }
    return {name: np.where(active, values, np.nan) for name, values in measures.items()} | {"active": active}


def _of_preferred_direction(panel: Panel) -> np.ndarray:
    """Responses (repeat, spatial, temporal, unit) in the grid direction that each unit prefers."""
    preferred = speed_exponent.preferred_direction(panel.grid.mean(0))
    return np.take_along_axis(panel.grid, preferred[None, None, None, None], 1)[:, 0]


def _exponents(panel: Panel, fitted: np.ndarray) -> dict[str, np.ndarray]:
    """Q, the half-width of its interval, and what its fit explains (unit), of units that are ``fitted``."""
    responses = _of_preferred_direction(panel)[..., fitted]
    repeats = len(responses)
    parameters, explained = speed_exponent.fits(responses.mean(0), panel.spatial, panel.temporal)
    half_width = np.full(len(parameters), np.nan)
    if repeats > 2:
        left_out = [
            speed_exponent.fits(np.delete(responses, i, 0).mean(0), panel.spatial, panel.temporal, parameters)
            for i in range(repeats)
        ]
        half_width = statistics.jackknife_interval(np.stack([found[:, -1] for found, _ in left_out]))
    measures = {
        "exponent": parameters[:, -1],
        "exponent_interval": half_width,
        "explained": explained,
    }
    every = {name: np.full(len(fitted), np.nan) for name in measures}
    for name, values in measures.items():
        every[name][fitted] = values
    return every


def _p_values(panel: Panel, active: np.ndarray) -> np.ndarray:
    """p-values (test, unit); 1 for units that are flat; NaN for one repeat."""
    p = np.full((len(TESTS), len(active)), np.nan)
    if min(len(responses) for responses in (panel.grid, panel.spirals, panel.dots, panel.reversed_dots)) < 2:
        return p
    grid = _of_preferred_direction(panel)
    p[0] = tuning.p_direction(panel.gratings, _around(panel.gratings.shape[1]))
    p[1] = tuning.p_velocity(grid.reshape(len(grid), -1, grid.shape[-1]))
    p[2] = tuning.p_direction(panel.dots, _around(panel.dots.shape[1]))
    p[3] = _p_reversal(panel)
    p[4] = tuning.p_direction(panel.spirals, _around(panel.spirals.shape[1]))
    p[:, ~active] = 1
    return p


def _along_preference(panel: Panel) -> np.ndarray:
    """Moments of reversed dots (repeat, unit), along the preferred direction for dots that keep contrast."""
    m = _moments(panel.dots).mean(0)
    return (_moments(panel.reversed_dots) * np.exp(-1j * np.angle(m))).real


def _p_reversal(panel: Panel) -> np.ndarray:
    """p-value (unit) of the hypothesis that the mean of `_along_preference` is 0; dots and reversed dots are
    different trials, so that choosing the direction by the first does not bias the second.
    """
    rounding = (tuning.FLAT * panel.reversed_dots.mean((0, 1))) ** 2
    return statistics.repeated_measures(_along_preference(panel)[:, None], rounding)


def _members(
    measured: dict[str, np.ndarray], adjusted: np.ndarray, level: float, selective: np.ndarray
) -> np.ndarray:
    """Whether each unit is in each class (class, unit); NaN where that cannot be told with one repeat.

    ``selective`` units are tuned to the direction of gratings, or, with one repeat, may be.
    """
    tuned = dict(zip(TESTS, adjusted <= level, strict=True))
    is_pattern, is_component = plaids.classes(measured["z_pattern"], measured["z_component"])
    q, half = measured["exponent"], measured["exponent_interval"]
    of_frequency, of_speed = (abs(q - value) <= half for value in (0, 1))
    has_preference = tuned["reversal"] & tuned["translation"]
    members = {
        "component": is_component & selective,
        "pattern": is_pattern & selective,
        "temporal frequency": tuned["frequency"] & of_frequency & ~of_speed,
        "speed": tuned["frequency"] & of_speed & ~of_frequency,
        "reversed": has_preference & (measured["reversal"] < 0),
        "kept": has_preference & (measured["reversal"] > 0),
        "translation": tuned["translation"],
        "spiral": tuned["spiral"],
    }
    every = np.stack([members[name] for name in CLASSES]).astype(float)
    every[2:, np.isnan(adjusted[0])] = np.nan
    return every


def _null(
    panel: Panel, selective: np.ndarray, permutations: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """How many component and pattern units there are if the directions of plaids are shuffled, of the units
    that can be one; and the share of shuffles with as many (class).
    """
    gratings, mean = panel.gratings.mean(0), panel.plaids.mean(0)
    orders = statistics.shuffled_orders(rng, permutations, len(mean))
    counts = np.zeros((len(orders), 2))
    for i, order in enumerate(orders):
        is_pattern, is_component = plaids.classes(*plaids.scores(gratings, mean[order], panel.plaid_angle))
        counts[i] = (is_component & selective).sum(), (is_pattern & selective).sum()
    share, p = np.full((2, len(CLASSES)), np.nan)
    share[:2] = counts[1:].mean(0) / len(selective)
    p[:2] = [statistics.p_value(counts[0, i], counts[1:, i]) for i in range(2)]
    return {"null_share": share, "share_p": p}


def _packed(
    state: xr.DataArray,
    panel: Panel,
    measured: dict[str, np.ndarray],
    p: np.ndarray,
    adjusted: np.ndarray,
    level: float,
    member: np.ndarray,
    null: dict[str, np.ndarray],
) -> xr.Dataset:
    """All results with their coordinates and units."""
    units = member.shape[1]
    channel = np.arange(units)
    if state.dims != coordinates.UNITS:
        channel = np.tile(np.arange(state.sizes["channel"]), state.sizes["velocity"])
    degrees = {"units": "degree"}
    tuned = np.where(np.isnan(p), np.nan, adjusted <= level)
    curves = ("gratings", "plaids", "dots", "reversed_dots")
    known = np.isfinite(member).any(1)
    share = np.where(known, np.nan_to_num(member).mean(1), np.nan)
    data: dict[str, Any] = {
        name: (("unit", "direction"), getattr(panel, name).mean(0).T, {"units": "1"}) for name in curves
    }
    data |= {
        name: ("unit", values, degrees if name == "preferred_spiral" else {"units": "1"})
        for name, values in measured.items()
        if name != "active"
    }
    data |= {
        "spirals": (("unit", "spiral"), panel.spirals.mean(0).T, {"units": "1"}),
        "channel": ("unit", channel),
        "p": (("test", "unit"), p, {"units": "1"}),
        "p_adjusted": (("test", "unit"), adjusted, {"units": "1"}),
        "tuned": (("test", "unit"), tuned, {"units": "1"}),
        "member": (("class", "unit"), member, {"units": "1"}),
        "share": ("class", share, {"units": "1", "long_name": "share of units"}),
        "repeats": min(len(panel.grid), len(panel.gratings)),
    }
    data |= {name: ("class", values, {"units": "1"}) for name, values in null.items()}
    directions, spirals = (
        np.arange(count) * 360 / count for count in (panel.gratings.shape[1], panel.spirals.shape[1])
    )
    return xr.Dataset(
        data,
        {
            "unit": np.arange(units),
            "test": list(TESTS),
            "class": list(CLASSES),
            "direction": ("direction", directions, degrees),
            "spiral": ("spiral", spirals, degrees),
        },
    )


def answers(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Numbers (run) for the opening table, as far as repeats suffice."""
    shares = {
        label: results["share"].sel({"class": name}).assign_attrs(bounds=(0.0, 1.0))
        for name, label in LABELS.items()
    }
    return {label: values for label, values in shares.items() if values.notnull().any()}


def figure(results: xr.Dataset) -> Figure:
    """Per network: scores of plaids, exponents, reversal, and shares of classes."""
    rows = len(plot.networks(results))
    fig = plot.figure(figsize=(plot.PAGE, 1.75 * rows + 0.5))
    grid = fig.add_gridspec(rows, 4, width_ratios=[1.1, 1, 1, 1.25])
    largest = float(max(4.0, abs(results.z_pattern).max(), abs(results.z_component).max()))
    for row, (name, colour, runs) in enumerate(panels.each_network(results)):
        last = row == rows - 1
        axes = [fig.add_subplot(grid[row, column]) for column in range(4)]
        _draw_scores(axes[0], runs, colour, min(largest, FARTHEST))
        of_frequency = runs.member.sel({"class": ["temporal frequency", "speed"]}).sum("class") > 0
        _draw_histogram(axes[1], runs.exponent, of_frequency, colour, (-1.0, 2.0), (0, 1))
        turns = runs.member.sel({"class": ["reversed", "kept"]}).sum("class") > 0
        _draw_histogram(axes[2], runs.reversal, turns, colour, (-1.0, 1.0), (0,))
        _draw_classes(axes[3], runs, colour)
        axes[0].set_ylabel(f"{name}\nZ pattern", fontsize=8)
        for ax, label in zip(axes, ("Z component", "exponent Q", "reversal", "units (%)"), strict=True):
            ax.set_xlabel(label if last else "", fontsize=8)
            ax.tick_params(labelsize=7, labelbottom=last)
    units = plot.span(results.channel.notnull().sum("unit"))
    repeats = plot.span(results.repeats)
    fig.suptitle(f"n = {units} units, {repeats} repeats of each condition, {plot.seeds(results)}", fontsize=9)
    return fig


def _draw_scores(ax: Axes, runs: xr.Dataset, colour: panels.Colour, largest: float) -> None:
    """Z of the pattern against Z of the components, with the borders of classes."""
    x, y = (runs[name].values.ravel().clip(-largest, largest) for name in ("z_component", "z_pattern"))
    either = runs.member.sel({"class": ["component", "pattern"]}).sum("class").values.ravel() > 0
    for chosen, face in ((~either, "none"), (either, colour)):
        ax.scatter(x[chosen], y[chosen], s=9, lw=0.6, edgecolor=[colour], facecolor=face, alpha=0.7)
    criterion, far = plaids.CRITERION, 1.1 * largest
    along, across = [-far, 0, far], [criterion, criterion, far + criterion]
    ax.plot(along, across, color="0.4", lw=0.7)
    ax.plot(across, along, color="0.4", lw=0.7)
    ax.set(xlim=(-far / 2, far), ylim=(-far / 2, far))


def _draw_histogram(
    ax: Axes,
    values: xr.DataArray,
    significant: xr.DataArray,
    colour: panels.Colour,
    limits: tuple[float, float],
    marks: tuple[float, ...],
) -> None:
    """How many units have each value, those that are significant filled."""
    flat = values.values.ravel()
    known = np.isfinite(flat)
    if not known.any():
        panels.note(ax, "no unit\nmeasured")
        ax.set(xticks=[], yticks=[])
        return
    clipped, filled = flat[known].clip(*limits), significant.values.ravel()[known]
    bins = np.linspace(*limits, 25).tolist()
    red, green, blue = colour[:3]
    ax.hist(clipped, bins, histtype="step", color=(red, green, blue), lw=0.8)
    ax.hist(clipped[filled], bins, color=(red, green, blue), alpha=0.7)
    for mark in marks:
        ax.axvline(mark, color="0.4", ls="--", lw=0.7)
    ax.set(xlim=limits)
    locator: Any = ax.yaxis.get_major_locator()
    locator.set_params(integer=True)


def _draw_classes(ax: Axes, runs: xr.Dataset, colour: panels.Colour) -> None:
    """Percent of units in each class, seeds as dots, and what shuffles give."""
    for row, name in enumerate(CLASSES):
        share = 100 * runs["share"].sel({"class": name})
        if not bool(share.notnull().any()):
            ax.text(2, row, "not tested", fontsize=6, va="center")
            continue
        ax.barh(row, share.mean(), color=colour, alpha=0.5)
        ax.plot(share, [row] * share.size, "o", ms=2.5, color=colour, mec="black", mew=0.4)
        null = 100 * float(runs.null_share.sel({"class": name}).mean())
        if np.isfinite(null):
            ax.plot([null, null], [row - 0.4, row + 0.4], color="black", lw=1.2)
    ax.set(xlim=(0, 103), ylim=(len(CLASSES) - 0.5, -0.5))
    ax.set_yticks(range(len(CLASSES)), CLASSES, fontsize=6.5)
