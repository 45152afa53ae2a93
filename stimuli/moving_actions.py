"""People who walk, jog, run, box, wave or clap, seen by a moving camera.

A stand-in for the KTH videos (Schuldt, Laptev and Caputo, ICPR 2004) with added camera motion: six actions of
25 persons, split by person, in 16 frames of 32x32 px. Here the persons are figures that move by published
kinematics (`flowsim.scenes.human_body`, `flowsim.scenes.human_actions`), drawn as sticks or as point lights.
The camera is the flow: it rolls frames over the torus, exactly. The action is not a flow.

KTH was filmed at 25 frames/s. At 12.5 frames/s, the default, 16 frames hold 1.2 cycles of walking, 1.9 of
running, 1.3 of boxing, one wave or two claps, and a person 22 px high walks at 1.3, jogs at 2.7 and runs at 4
px/frame.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import xarray as xr

from flowsim.errors import InputError
from flowsim.flows.translation import Translation
from flowsim.scenes.canvas import moved
from flowsim.scenes.human_actions import ACTIONS, TABLE
from flowsim.scenes.human_body import BONES, HABITS, JOINTS, POINTS, SPAN, habits, joint_positions
from flowsim.scenes.scene import Scene, stimulus, truth_value
from flowsim.scenes.sources.kth import PERSONS
from flowsim.scenes.strokes import strokes
from flowsim.scenes.velocities import box, for_split, number_of_trials, probes, within
from flowsim.specification import Count, Pixels, Positive, Share, WholeSpeed, checked
from flowsim.splits import SPLIT_OF, check_split

HASTE = 0.03
"""By which share a person is faster or slower in a trial than usual, at most."""
LIGHT = 0.04
"""Radius of a point light in parts of the height of the body."""


@checked
def generate(
    split: str,
    rng: np.random.Generator,
    *,
    height: Pixels = 32,
    width: Pixels = 32,
    style: Literal["stick", "points"] = "stick",
    stature: Positive = 22.0,
    rate: Positive = 12.5,
    travel: Share = 1.0,
    max_speed: WholeSpeed = 1,
    sweep_speed: WholeSpeed = 2,
    probe_speed: WholeSpeed = 1,
    trials: Count = 64,
    frames: Count = 16,
) -> xr.Dataset:
    """Make one file of trials.

    Parameters
    ----------
    split : {"train", "valid", "test", "sweep", "probe", "control"}
        Who is seen (test persons in sweep, probe and control), and what is varied. In "sweep", the camera
        visits every velocity of {-sweep_speed..sweep_speed}^2. In "probe", flow 0 is a reference, in which
        the camera is at rest in every other trial, and the other flows, {-probe_speed..probe_speed}^2, are
        its exact transports. Trials of "control" are drawn as in "test", and shown with parts of their motion
        taken out (`flowsim.scenes.control`).
    rng : numpy.random.Generator
        Decides persons, order of actions, phases, positions and velocities.
    height, width : int
        Size of a frame in px.
    style : {"stick", "points"}
        Limbs and trunk as lines, or 13 lights on the joints (Johansson 1973).
    stature : float
        Mean height of a person in px; persons differ by up to 8 %.
    rate : float
        Frames per second.
    travel : float
        Persons who walk, jog or run cross the frame at this share of their own speed; at 0 they stay in
        place, as on a treadmill.
    max_speed : int
        Velocities of the camera are drawn from {-max_speed..max_speed}^2, in px/frame.
    trials : int
        How many; in "sweep", how many of each velocity.
    frames : int
        How long each is.

    Returns
    -------
    Dataset
        ``frames`` (trial, time, y, x), or (flow, trial, time, y, x) for "probe", in [0, 1]; per trial and
        object, of which there is one, ``label`` (0 to 5, in the order of `ACTIONS`, each as often as the
        others), ``person`` (1 to 25), ``facing`` (1: right, -1: left; who faces the viewer is mirrored),
        ``phase`` (cycles, at frame 0), ``cadence`` (cycles/frame), ``stature`` (px), ``speed`` (px/frame,
        forward), ``position_y``, ``position_x`` (px, middle of the hips at frame 0), and ``velocity_vy``,
        ``velocity_vx`` (px/frame) by which the camera moves the picture; in "sweep", per trial ``trained``:
        whether that is a velocity of training.

    Raises
    ------
    InputError
        If the split is unknown or a person does not fit on the frame.
    """
    check_split(split)
    largest = SPAN * (1 + HABITS["stature"]) * stature
    if min(height, width) < largest:
        raise InputError(
            f"moving_actions needs frames of at least {np.ceil(largest):.0f} px in height and width for "
            f"persons of {stature:g} px who raise their arms; got {height}x{width}: choose larger frames or "
            "a smaller stature"
        )
    swept = box(sweep_speed)
    number = number_of_trials(split, trials, swept)
    # actions are balanced over all trials, and over those of each velocity of a sweep
    order = (rng.integers(len(ACTIONS)) + np.arange(number).reshape(-1, trials).T) % len(ACTIONS)
    label = rng.permuted(order, axis=0).reshape(-1)
    person = rng.choice(PERSONS[SPLIT_OF[split]], size=number)
    habit = {name: of_all[person - 1] for name, of_all in habits().items()}
    frequency = np.array([TABLE[action].frequency for action in ACTIONS])[label]
    stride = np.array([TABLE[action].stride for action in ACTIONS])[label]
    cadence = frequency * habit["pace"] * rng.uniform(1 - HASTE, 1 + HASTE, number) / rate
    size = stature * habit["stature"]
    position = rng.uniform((0, 0), (height, width), (number, 2))
    velocity = rng.integers(-max_speed, max_speed + 1, size=(number, 1, 2))
    velocity = for_split(split, velocity, swept)[:, 0]
    camera = "velocity that the camera gives the picture"
    values = {
        "label": (label, "", f"action: {', '.join(f'{k} {action}' for k, action in enumerate(ACTIONS))}"),
        "person": (person, "", "number of the person, as KTH is split"),
        "facing": (rng.choice((-1, 1), number), "", "1: right, -1: left"),
        "phase": (rng.uniform(0, 1, number), "cycle", "phase of the action at frame 0"),
        "cadence": (cadence, "cycle/frame", "frequency of the action"),
        "stature": (size, "px", "height of the body"),
        "speed": (
            travel * stride * habit["stride"] * size * cadence,
            "px/frame",
            "speed of the person, forward",
        ),
        "position_y": (position[:, 0], "px", "middle of the hips at frame 0"),
        "position_x": (position[:, 1], "px", "middle of the hips at frame 0"),
        "velocity_vy": (velocity[:, 0], "px/frame", f"{camera}, positive down"),
        "velocity_vx": (velocity[:, 1], "px/frame", f"{camera}, positive right"),
    }
    truth = {
        name: (("trial", "object"), of_trial[:, None], unit, description)
        for name, (of_trial, unit, description) in values.items()
    }
    if split == "sweep":
        trained = within(velocity, max_speed)
        truth["trained"] = truth_value(trained, "whether the camera moves as in training")
    dataset = stimulus(
        truth,
        render,
        frames=frames,
        frame_shape=(height, width),
        group=Translation(),
        flows=probes(probe_speed) if split == "probe" else None,
        settings={"style": style},
    )
    # attributes of the CF conventions
    dataset.label.attrs |= {"flag_values": np.arange(len(ACTIONS)), "flag_meanings": " ".join(ACTIONS)}
    return dataset


def render(scene: Scene, device: torch.device) -> torch.Tensor:
    """Frames (trial, time, y, x)."""
    still = drawn(joints(scene), scene, device)
    camera = np.concatenate([scene["velocity_vy"], scene["velocity_vx"]], 1)[:, None]
    displacement = camera * np.arange(scene.frames)[:, None]  # (trial, time, 2)
    return moved(still.flatten(0, 1), displacement.reshape(-1, 1, 2)).view_as(still)


def joints(scene: Scene) -> np.ndarray:
    """Where joints are while the camera is at rest, (trial, time, joint, 2), in px."""
    time = np.arange(scene.frames)
    label = scene["label"][:, 0]
    body = joint_positions(label, scene["person"][:, 0], scene["phase"] + scene["cadence"] * time)
    body = scene["stature"][..., None, None] * (body - body[:, :1, JOINTS.index("pelvis"), None])
    frontal = np.array([TABLE[ACTIONS[k]].frontal for k in label])[:, None, None]
    across = scene["facing"][..., None] * np.where(frontal, body[..., 2], body[..., 1])
    # the body is kept near the frame, where float32 is exact enough
    x = (scene["position_x"] + scene["facing"] * scene["speed"] * time) % scene.frame_shape[1]
    return np.stack([scene["position_y"][..., None] + body[..., 0], x[..., None] + across], -1)


def drawn(position: np.ndarray, scene: Scene, device: torch.device) -> torch.Tensor:
    """Frames (trial, time, y, x) of persons with joints at ``position`` (trial, time, joint, 2), in px."""
    joint = torch.from_numpy(position).float().to(device)
    stature = torch.from_numpy(scene["stature"]).float().to(device)[..., None]
    tallest = float(scene["stature"].max())
    if scene.settings["style"] == "points":
        lights = joint[:, :, [JOINTS.index(point) for point in POINTS]]
        bright = torch.ones_like(stature)
        return strokes(lights, lights, LIGHT * stature, bright, scene.frame_shape, 2 * LIGHT * tallest)
    starts = [JOINTS.index(start) for start, _ in BONES]
    ends = [JOINTS.index(end) for _, end in BONES]
    thickness, luminance = torch.tensor(list(BONES.values()), device=device).T
    girth = habits()["girth"][scene["person"] - 1]
    thickest = max(half for half, _ in BONES.values()) * float(girth.max()) * tallest
    longest = float(abs(position[:, :, ends] - position[:, :, starts]).max()) + 2 * thickest
    radius = stature * torch.from_numpy(girth).float().to(device)[..., None] * thickness
    return strokes(joint[:, :, starts], joint[:, :, ends], radius, luminance, scene.frame_shape, longest)
