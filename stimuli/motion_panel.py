r"""The stimuli by which vision scientists tell apart what neurons do with motion: gratings, plaids, dots,
reversed dots and optic flow, shown to networks that were trained on textures or dots that translate.

Networks are trained on what fills the frame and moves at one velocity: random dots, brighter or darker than
the ground, or textures with the spectrum of natural scenes (amplitude 1/f, random phases). In "sweep" they
see the panel, each of its conditions as often as any other:

- gratings in all directions, and in some of them at every spatial and temporal frequency of a grid;
- plaids of two gratings, in all directions of the pattern;
- dots that move rigidly (phi), and the same with contrast that reverses at every step (reverse phi);
- dots that expand, contract, rotate or spiral about the middle, f' = R(omega) (1 + e) x, with limited lives,
  so that their density stays the same.

Gratings and plaids are seen through a Gaussian aperture, since oblique ones do not fit on the torus.

Sources: Adelson and Movshon (1982), Phenomenal coherence of moving visual patterns, for plaids; Anstis
(1970), Phi movement as a subtraction process, for reversed contrast; Graziano, Andersen and Snowden (1994),
Tuning of MST neurons to spiral motions, for spirals; Field (1987), Relations between the statistics of
natural images and the response properties of cortical cells, for amplitudes of 1/f.
"""

from __future__ import annotations

from itertools import product
from typing import Annotated, Any, Literal

import numpy as np
import torch
import xarray as xr
from pydantic import Field
from torch import Tensor

from flowsim.flows.translation import Translation
from flowsim.scenes.canvas import moved, splatted
from flowsim.scenes.gratings import agreed, drifting
from flowsim.scenes.scene import Scene, stimulus, truth_value
from flowsim.scenes.velocities import among, box, heading, probes
from flowsim.specification import Amount, Count, Pixels, Positive, WholeSpeed, checked
from flowsim.splits import check_split

Content = Literal["dots", "texture"]
CONTENTS = ("dots", "texture")
"""In the order of the numbers in the coordinate ``content``; gratings have 2."""
GRATINGS = 2
Angles = Annotated[tuple[float, ...], Field(min_length=1)]
Frequencies = Annotated[tuple[Annotated[float, Field(gt=0, le=0.5)], ...], Field(min_length=1)]
SPIRALS = 8
"""Directions in the plane of expansion and rotation."""


@checked
def generate(
    split: str,
    rng: np.random.Generator,
    *,
    height: Pixels = 16,
    width: Pixels = 16,
    contents: Annotated[list[Content], Field(min_length=1)] | None = None,
    max_speed: WholeSpeed = 2,
    density: Annotated[float, Field(gt=0, le=1)] = 0.1,
    directions: Annotated[int, Field(ge=4, le=72)] = 12,
    spatial_frequency: Annotated[float, Field(gt=0, le=0.5)] = 0.125,
    temporal_frequency: Annotated[float, Field(gt=0, le=0.5)] = 0.125,
    plaid_angle: Annotated[float, Field(gt=0, lt=180)] = 120.0,
    grid_directions: Angles = (0.0, 90.0, 180.0, 270.0),
    grid_spatial: Frequencies = (0.0625, 0.088, 0.125, 0.177, 0.25),
    grid_temporal: Frequencies = (0.0625, 0.088, 0.125, 0.177, 0.25),
    radius: Positive = 4.0,
    speed: Positive = 1.0,
    expansion: Amount = 0.15,
    rotation: Amount = 10.0,
    dot_life: Count = 5,
    probe_speed: WholeSpeed = 1,
    trials: Count = 64,
    frames: Count = 12,
) -> xr.Dataset:
    """Make one file of trials.

    Parameters
    ----------
    split : {"train", "valid", "test", "sweep", "probe", "control"}
        Everything is drawn anew for each. In "sweep" trials visit every condition of the panel in turn. In
        "probe", flow 0 is a reference, in which every other trial stands still, and the other flows,
        {-probe_speed..probe_speed}^2, are its exact transports.
    rng : numpy.random.Generator
        Decides velocities, phases and the seeds of dots and textures.
    height, width : int
        Size of a frame in px.
    contents : list of {"dots", "texture"}, optional
        What networks are trained on; both if not given.
    max_speed : int
        They are trained on velocities of {-max_speed..max_speed}^2, in px/frame.
    density : float
        Dots per square px.
    directions : int
        How many directions of gratings, plaids and dots there are, evenly around, from 0 (right) on.
    spatial_frequency, temporal_frequency : float
        Of gratings and plaids, in cycles/px and cycles/frame.
    plaid_angle : float
        Between the two gratings of a plaid, in degrees; both are half of it away from the pattern's
        direction.
    grid_directions, grid_spatial, grid_temporal : sequence of float
        In which directions (degrees) gratings have every combination of these frequencies, which have to be
        evenly spaced in octaves to be read easily.
    radius : float
        Standard deviation of the aperture, in px.
    speed : float
        Of dots that move rigidly, in px/frame.
    expansion, rotation : float
        Rate of expansion (1/frame) and angular velocity (deg/frame) of dots along the axes of the plane of
        spirals.
    dot_life : int
        Frames after which a dot of a spiral is born again somewhere else.
    trials : int
        How many; in "sweep", how many of each condition.
    frames : int
        How long each is.

    Returns
    -------
    Dataset
        ``frames`` (trial, time, y, x), or (flow, trial, time, y, x) for "probe", in [0, 1]; per trial and
        object (one) ``velocity_vy``, ``velocity_vx`` (px/frame): of a grating across its bars, of a plaid the
        one that agrees with both, NaN of spirals. Per trial: ``content`` (0 dots, 1 texture, 2 gratings),
        ``components``, the number of gratings, ``direction`` (degree; 0 right, counter-clockwise; of a plaid
        that of the pattern; NaN of spirals and of what rests), ``spatial_frequency`` and
        ``temporal_frequency`` of gratings, ``plaid_angle`` of plaids, NaN of others, ``phase_0`` and
        ``phase_1``, ``polarity``, the contrast of each frame over that of the one before (1, or -1 for
        reverse phi), ``expansion`` (1/frame), ``rotation`` (deg/frame, counter-clockwise), and
        ``noise_seed``; in "sweep" ``trained``: whether it moves, and looks, as in training.

    Raises
    ------
    InputError
        If the split is unknown.
    """
    check_split(split)
    known = box(max_speed)
    drawn = [CONTENTS.index(content) for content in contents or CONTENTS]
    if split == "sweep":
        around = 360 / directions * np.arange(directions)
        gratings = _gratings(
            around, spatial_frequency, temporal_frequency, grid_directions, grid_spatial, grid_temporal
        )
        conditions = [
            *gratings,
            *_plaids(around, spatial_frequency, temporal_frequency, plaid_angle),
            *_dots(around, speed),
            *_spirals(expansion, rotation),
        ]
        columns = _columns(conditions * trials)
    else:
        velocity = known[rng.integers(len(known), size=trials)]
        if split == "probe":
            velocity[::2] = 0
        columns = _columns([_condition(velocity=v, content=drawn[0]) for v in velocity.astype(float)])
        columns["content"] = rng.choice(drawn, trials)
    number = len(columns["content"])
    velocity = columns.pop("velocity")
    truth: dict[str, Any] = {
        "velocity_vy": (("trial", "object"), velocity[:, :1], "px/frame", "velocity, positive down"),
        "velocity_vx": (("trial", "object"), velocity[:, 1:], "px/frame", "velocity, positive right"),
    }
    truth |= {name: (("trial",), values, *DESCRIBED[name]) for name, values in columns.items()}
    for k in range(2):
        phase = rng.uniform(0, 360, number)
        truth[f"phase_{k}"] = (("trial",), phase, "degree", f"phase of grating {k} in the middle of frame 0")
    truth["noise_seed"] = (("trial",), rng.integers(2**31, size=number), "", "of dots and textures")
    if split == "sweep":
        trained = among(velocity, known) & np.isin(columns["content"], drawn) & (columns["polarity"] == 1)
        truth["trained"] = truth_value(trained, "whether it moves and looks as in training")
    settings = {"radius": radius, "density": density, "dot_life": dot_life}
    return stimulus(
        truth,
        render,
        frames=frames,
        frame_shape=(height, width),
        group=Translation(),
        flows=probes(probe_speed) if split == "probe" else None,
        settings=settings,
    )


DESCRIBED = {
    "content": ("", "0 dots, 1 texture, 2 gratings"),
    "components": ("", "number of gratings"),
    "direction": ("degree", "direction of motion, 0 right, counter-clockwise"),
    "spatial_frequency": ("cycle/px", "spatial frequency"),
    "temporal_frequency": ("cycle/frame", "temporal frequency"),
    "plaid_angle": ("degree", "between the gratings of a plaid"),
    "polarity": ("1", "contrast of a frame over that of the frame before"),
    "expansion": ("1/frame", "rate of expansion"),
    "rotation": ("deg/frame", "angular velocity, counter-clockwise"),
}
"""Unit and description of what is known of each trial."""


def _condition(velocity: np.ndarray | None = None, **values: float) -> dict[str, Any]:
    """All that is known of a trial, with what is not given as it is of dots that move rigidly."""
    known = np.full(2, np.nan) if velocity is None else np.asarray(velocity, float)
    moves = bool(np.isfinite(known).all() and known.any())
    direction = float(np.rad2deg(np.arctan2(-known[0], known[1])) % 360) if moves else np.nan
    plain = {"content": 0, "components": 0, "direction": direction, "polarity": 1}
    plain |= dict.fromkeys(("spatial_frequency", "temporal_frequency", "plaid_angle"), np.nan)
    return {"velocity": known, **plain, **dict.fromkeys(("expansion", "rotation"), 0.0), **values}


def _columns(conditions: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """An array (trial, ...) of each value."""
    return {name: np.array([condition[name] for condition in conditions]) for name in conditions[0]}


def _gratings(
    around: np.ndarray,
    spatial: float,
    temporal: float,
    grid_directions: tuple[float, ...],
    grid_spatial: tuple[float, ...],
    grid_temporal: tuple[float, ...],
) -> list[dict[str, Any]]:
    """Gratings in all directions, and on the grid of frequencies, each once."""
    each = [(float(direction), spatial, temporal) for direction in around]
    each += list(product((d % 360 for d in grid_directions), grid_spatial, grid_temporal))
    return [
        _condition(
            heading(np.array(direction), np.array(tf / sf)),
            content=GRATINGS,
            components=1,
            direction=direction,
            spatial_frequency=sf,
            temporal_frequency=tf,
        )
        for direction, sf, tf in dict.fromkeys(each)
    ]


def _plaids(around: np.ndarray, spatial: float, temporal: float, angle: float) -> list[dict[str, Any]]:
    """Plaids whose pattern moves in all directions."""
    velocity = agreed(around - angle / 2, angle, np.full(len(around), temporal / spatial))
    return [
        _condition(
            v,
            content=GRATINGS,
            components=2,
            plaid_angle=angle,
            direction=float(direction),
            spatial_frequency=spatial,
            temporal_frequency=temporal,
        )
        for direction, v in zip(around, velocity, strict=True)
    ]


def _dots(around: np.ndarray, speed: float) -> list[dict[str, Any]]:
    """Dots that move in all directions, with contrast that stays or reverses."""
    return [
        _condition(
            heading(np.array(direction), np.array(speed)), direction=float(direction), polarity=polarity
        )
        for polarity in (1, -1)
        for direction in around
    ]


def _spirals(expansion: float, rotation: float) -> list[dict[str, Any]]:
    """Dots in all directions of the plane of expansion (0 degrees) and counter-clockwise rotation (90)."""
    angles = 2 * np.pi / SPIRALS * np.arange(SPIRALS)
    return [
        _condition(
            expansion=float((expansion * np.cos(angle)).round(12)),
            rotation=float((rotation * np.sin(angle)).round(12)),
        )
        for angle in angles
    ]


def render(scene: Scene, device: torch.device) -> Tensor:
    """Frames (trial, time, y, x)."""
    frames = torch.empty(len(scene), scene.frames, *scene.frame_shape, device=device)
    gratings = scene["components"] > 0
    spirals = (scene["expansion"] != 0) | (scene["rotation"] != 0)
    kinds = {_rendered_gratings: gratings, _rendered_spirals: spirals, _rendered_rigid: ~gratings & ~spirals}
    for rendered, chosen in kinds.items():
        which = np.flatnonzero(chosen)
        if len(which):
            values = {name: of_all[which] for name, of_all in scene.values.items()}
            part = Scene(values, scene.frames, scene.frame_shape, scene.settings)
            frames[torch.from_numpy(which).to(device)] = rendered(part, device)
    return frames


def _rendered_gratings(scene: Scene, device: torch.device) -> Tensor:
    """Gratings, and plaids of two; the second component of a grating is its first once more."""
    half = np.where(scene["components"] == 2, scene["plaid_angle"] / 2, 0)
    phase = np.stack([scene["phase_0"], scene["phase_1"]], 1)
    phase[:, 1] = np.where(scene["components"] == 2, phase[:, 1], phase[:, 0])
    components = {
        "direction": np.stack([scene["direction"] - half, scene["direction"] + half], 1),
        "phase": phase,
        "contrast": np.ones_like(phase),
    }
    components |= {
        name: np.repeat(scene[name][:, None], 2, 1) for name in ("spatial_frequency", "temporal_frequency")
    }
    return drifting(
        components,
        scene.frames,
        scene.frame_shape,
        device,
        aperture="gaussian",
        radius=scene.settings["radius"],
    )


def _rendered_rigid(scene: Scene, device: torch.device) -> Tensor:
    """Dots and textures that translate; the contrast of reverse phi changes sign at every step."""
    images = np.stack(
        [
            (_texture if content else _still_dots)(np.random.default_rng(seed), scene)
            for content, seed in zip(scene["content"], scene["noise_seed"], strict=True)
        ]
    )
    time = np.arange(scene.frames)
    velocity = np.concatenate([scene["velocity_vy"], scene["velocity_vx"]], -1)
    displacement = velocity[:, None] * time[:, None]
    if not (displacement % 1).any():
        displacement = displacement.astype(np.int64)
    frames = moved(torch.from_numpy(images.astype(np.float32)).to(device), displacement, clamp=False)
    contrast = scene["polarity"][:, None] ** time
    frames *= torch.from_numpy(contrast.astype(np.float32)).to(device)[..., None, None]
    return frames.add_(1).mul_(0.5).clamp_(0, 1)


def _still_dots(rng: np.random.Generator, scene: Scene) -> np.ndarray:
    """Contrast (y, x) of dots, of which half are brighter and half darker than the ground, -1 to 1."""
    contrast = np.zeros(scene.frame_shape)
    dots = max(1, round(scene.settings["density"] * contrast.size))
    contrast.flat[rng.permutation(contrast.size)[:dots]] = np.where(np.arange(dots) % 2, -1, 1)
    return contrast


def _texture(rng: np.random.Generator, scene: Scene) -> np.ndarray:
    """Contrast (y, x) with amplitudes of 1/f and random phases, at most 1 in size."""
    height, width = scene.frame_shape
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    frequency[0, 0] = np.inf
    waves = np.fft.fft2(rng.standard_normal((height, width)))
    contrast = np.fft.ifft2(waves / np.maximum(abs(waves), 1e-12) / frequency).real
    return contrast / abs(contrast).max()


def _rendered_spirals(scene: Scene, device: torch.device) -> Tensor:
    """Dots that expand and rotate about the middle, on the frame and for as long as they live."""
    walks = [
        _spiral_walk(np.random.default_rng(seed), scene, expansion, rotation)
        for seed, expansion, rotation in zip(
            scene["noise_seed"], scene["expansion"], scene["rotation"], strict=True
        )
    ]
    position = torch.from_numpy(np.stack(walks).astype(np.float32)).to(device)
    polarity = torch.ones(position.shape[:3], device=device)
    polarity[:, 1::2] = -1
    contrast = splatted(position, polarity, scene.frame_shape, torus=False)
    return contrast.add_(1).mul_(0.5).clamp_(0, 1)


def _spiral_walk(rng: np.random.Generator, scene: Scene, expansion: float, rotation: float) -> np.ndarray:
    """Positions (dot, time, 2) in px from the upper left."""
    corner = (np.array(scene.frame_shape) - 1) / 2
    dots = max(1, round(scene.settings["density"] * scene.frame_shape[0] * scene.frame_shape[1]))
    life = scene.settings["dot_life"]
    angle = np.deg2rad(rotation)
    turn = (1 + expansion) * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    place, age = rng.uniform(-corner, corner, (dots, 2)), rng.integers(life, size=dots)
    positions = []
    for _ in range(scene.frames):
        positions.append(place + corner)
        age = age + 1
        ahead = place @ turn.T
        gone = (age == life) | (abs(ahead) > corner).any(-1)
        place = np.where(gone[:, None], rng.uniform(-corner, corner, (dots, 2)), ahead)
        age = np.where(gone, 0, age)
    return np.stack(positions, 1)
