r"""How well are frames predicted by copying what was seen, moved on? Predictors that know motion, and learn
nothing.

A copy of the last frame seen, f_c, moved at one velocity v, predicts the frame k later as

    f^_(c+k) = psi_k(v) f_c

It is exact where all that is seen moves at v. Objects that move at velocities v_1, v_2, ... of their own are
beyond it: whichever velocity is taken, it carries the other objects along. For them the frames seen are first
taken apart into one layer for each velocity,

    L_i = min over t of psi_(c-t)(v_i) f_t,     f^_(c+k) = max over i of psi_k(v_i) L_i

What moves at v_i is at the same place in all the frames that the minimum is over; what does not is at another
place in each, and a bright object on black drops out wherever it is missing once. Where the brighter of two
objects wins, a layer is never darker than its object.

Velocities are the true ones (an oracle: no observer is given them), or estimated by the phase correlation of
the last two frames,

    r = F^-1[ F(f_c) conj(F(f_(c-1))) / |F(f_c) F(f_(c-1))| ]

whose highest peaks are at the displacements of what moves from the one to the other.

Sources: Kuglin and Hines (1975), The phase correlation image alignment method, for the estimate; Wang and
Adelson (1994), Representing moving images with layers, for the idea of layers.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from flowsim.errors import InputError
from flowsim.flows.flow import Flow
from flowsim.flows.group import FlowGroup
from flowsim.flows.translation import Translation
from flowsim.measures import ground_truth, recorded

FRAME = ("flow", "trial", "time", "y", "x")


def phase_correlation(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Phase correlation (trial, y, x) of frames (trial, y, x) on the torus, over displacements in px.

    0 everywhere for a pair one of which is constant.
    """
    cross = np.fft.fft2(after) * np.conj(np.fft.fft2(before))
    cross[..., 0, 0] = 0  # the mean does not move
    size = np.abs(cross)
    floor = 1e-12 * size.max((-2, -1), keepdims=True)
    return np.fft.ifft2(np.divide(cross, size, out=np.zeros_like(cross), where=size > floor)).real


def estimated_velocities(seen: np.ndarray, objects: int = 1) -> np.ndarray:
    """Velocity (trial, object, component) in whole px per frame, from the last two frames seen.

    Parameters
    ----------
    seen : array (trial, time, y, x)
        Every frame up to the last one seen, in order.
    objects : int
        How many velocities: those of the highest peaks of the phase correlation, highest first.

    Raises
    ------
    InputError
        If there are fewer than two frames.
    """
    if seen.shape[1] < 2:
        raise InputError(f"a velocity is estimated from two frames; got {seen.shape[1]}")
    correlation = phase_correlation(seen[:, -2], seen[:, -1])
    size = np.array(correlation.shape[1:])
    peaks = np.argsort(-correlation.reshape(len(seen), -1), axis=1, kind="stable")[:, :objects]
    shift = np.stack(np.unravel_index(peaks, tuple(size)), -1)
    return np.where(shift > size // 2, shift - size, shift).astype(np.float64)


def moved(
    frames: np.ndarray, velocity: np.ndarray, time: float, group: FlowGroup | None = None
) -> np.ndarray:
    """Frames (trial, y, x), each moved for so long at the velocity (trial, component) of its trial; by
    translation if no group is given.
    """
    import torch

    result = np.empty(frames.shape, np.float64)
    for v in np.unique(velocity, axis=0):
        chosen = (velocity == v).all(1)
        flow = Flow(group or Translation(), tuple(v.tolist()))
        result[chosen] = flow.act(torch.from_numpy(frames[chosen].astype(np.float64)), time).numpy()
    return result


def layers(seen: np.ndarray, velocities: np.ndarray) -> np.ndarray:
    """What moves at each velocity (trial, object, component), (trial, object, y, x), where it is in the last
    of the frames ``seen`` (trial, time, y, x), which follow each other.
    """
    last = seen.shape[1] - 1
    return np.stack(
        [
            np.min([moved(seen[:, t], velocity, last - t) for t in range(last + 1)], 0)
            for velocity in np.moveaxis(velocities, 1, 0)
        ],
        1,
    )


def moved_copies(
    layers: np.ndarray, velocities: np.ndarray, ahead: np.ndarray, group: FlowGroup | None = None
) -> np.ndarray:
    """Predicted frames (trial, time, y, x): layers moved on, the brightest at each pixel.

    Parameters
    ----------
    layers : array (trial, object, y, x)
        As `layers` makes them; with one object, the last frame itself.
    velocities : array (trial, object, component)
    ahead : array (time)
        How many frames after the last one seen.
    group : FlowGroup, optional
        By which they move; translation if not given.
    """
    each = [
        np.stack([moved(layers[:, i], velocities[:, i], k, group) for k in ahead.tolist()], 1)
        for i in range(layers.shape[1])
    ]
    return np.max(each, 0)


def copies_of(recording: xr.Dataset) -> dict[str, xr.DataArray]:
    """Predictions (flow, trial, time, y, x) of the frames after the context, by the name of the copy.

    "moved copy" is of the last frame, "layers" are of objects that move apart, where there are several. Their
    velocities are "estimated", or "true" where the recording knows them, objects keep them, and no observer
    moves.

    Parameters
    ----------
    recording : Dataset
        With ``frames`` (flow, trial, time, y, x), the attribute ``context``, and for true velocities
        ``object_velocity_<component>`` (trial, object). What moves under a flow moves at the sum of both.

    Returns
    -------
    dict of str to DataArray
        With the coordinate ``ahead`` over time; empty if the last two frames of the context were not
        recorded.

    Raises
    ------
    InputError
        If frames or the context were not recorded.
    """
    to_come = recorded.after_context(recording, "frames")
    seen = _seen(recording)
    if seen is None:
        return {}
    objects = recording.sizes.get("object", 1)
    ahead = to_come.ahead.values
    true = ground_truth.true_velocities(recording)
    predicted: dict[str, list[np.ndarray]] = {}
    for flow, frames in enumerate(seen):
        last = frames[:, -1:]
        velocities: dict[str, tuple[FlowGroup, np.ndarray]] = {
            "estimated": (Translation(), estimated_velocities(frames, objects))
        }
        if true is not None:
            velocities["true"] = true[0], true[1][flow]
        for name, (group, each) in velocities.items():
            moved_on = moved_copies(last, each[:, :1], ahead, group)
            predicted.setdefault(f"moved copy ({name} velocity)", []).append(moved_on)
            if objects > 1 and group == Translation():
                in_layers = moved_copies(layers(frames, each), each, ahead)
                predicted.setdefault(f"layers ({name} velocities)", []).append(in_layers)
    return {name: to_come.copy(data=np.stack(flows)) for name, flows in predicted.items()}


def _seen(recording: xr.Dataset) -> np.ndarray | None:
    """Frames (flow, trial, time, y, x) of the context, as many up to its end as follow each other; None if
    these are not even two.
    """
    times = recording.time.values
    last = int(recording.attrs["context"]) - 1
    first = last
    while first - 1 in times and first in times:
        first -= 1
    if last - first < 1:
        return None
    within = (times >= first) & (times <= last)
    return recording.frames.transpose(*FRAME).isel(time=within).values.astype(np.float64)
