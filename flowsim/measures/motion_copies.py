r"""How well can frames be predicted by copying what was seen, moved on? The controls that know motion and
learn nothing.

A copy of the last frame f_c, moved at one velocity v, predicts k frames ahead

    f^_(c+k) = psi_k(v) f_c

It is exact where all that is seen moves at v. Objects that move at velocities v_1, v_2, ... apart cannot be
predicted by it: whichever velocity is taken, it carries the other objects along. For them, the frames seen
are first taken apart into one layer for each velocity,

    L_i = min over t of psi_(c-t)(v_i) f_t,     f^_(c+k) = max over i of psi_k(v_i) L_i

What moves at v_i is at the same place in all the frames that the minimum is taken over; what does not is at
another place in each, and a bright object on black is left out wherever it is missing once. A layer is thus
never darker than its object, if the brighter of two objects wins where they overlap.

Velocities are the true ones (an oracle: no observer is given them) or estimated by phase correlation of the
last two frames,

    r = F^-1[ F(f_c) conj(F(f_(c-1))) / |F(f_c) F(f_(c-1))| ],

whose highest peaks are at the displacements of what moves between the two.

Sources: Kuglin and Hines (1975), The phase correlation image alignment method, for the estimate; Wang and
Adelson (1994), Representing moving images with layers, for the idea of layers.
"""

from __future__ import annotations

import numpy as np

from flowsim.errors import InputError


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


def moved(frames: np.ndarray, displacement: np.ndarray) -> np.ndarray:
    """Frames (trial, ..., y, x) on the torus, each trial moved by its displacement (trial, 2) in px.

    By whole pixels exactly; by parts of one as `flowsim.Translation` does.
    """
    import torch

    from flowsim.flows.translation import Translation

    group, result = Translation(), np.empty(frames.shape, np.float64)
    for by in np.unique(displacement, axis=0):
        chosen = (displacement == by).all(1)
        whole = tuple(int(b) if float(b).is_integer() else float(b) for b in by)
        result[chosen] = group.act(torch.from_numpy(np.ascontiguousarray(frames[chosen])), whole).numpy()
    return result


def layers(seen: np.ndarray, velocities: np.ndarray) -> np.ndarray:
    """What moves at each velocity (trial, object, component), (trial, object, y, x), where it is in the last
    of the frames ``seen`` (trial, time, y, x), which follow each other.
    """
    last = seen.shape[1] - 1
    each = []
    for velocity in np.moveaxis(velocities, 1, 0):
        stabilised = [moved(seen[:, t], (last - t) * velocity) for t in range(last + 1)]
        each.append(np.min(stabilised, 0))
    return np.stack(each, 1)


def moved_copies(layers: np.ndarray, velocities: np.ndarray, ahead: np.ndarray) -> np.ndarray:
    """Predicted frames (trial, ahead, y, x): layers (trial, object, y, x) moved on, the brightest at each
    pixel.

    Parameters
    ----------
    layers : array (trial, object, y, x)
        As `layers` makes them; of the last frame alone, it is a plain copy.
    velocities : array (trial, object, component)
    ahead : array (ahead)
        How many frames ahead, from 1.
    """
    frames = []
    for k in ahead:
        each = [moved(layers[:, i], k * velocities[:, i]) for i in range(layers.shape[1])]
        frames.append(np.max(each, 0))
    return np.stack(frames, 1)
