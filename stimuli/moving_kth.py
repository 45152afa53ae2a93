"""Human actions filmed by a camera that moves: the KTH videos, rolled over a torus at a constant velocity.

The hidden structure that a network can use: whatever the person does, the whole picture is transported by one
flow. To recognise the action is to see the motion within the picture through the motion of the picture. As in
Keller 2025 (arXiv 2507.14793) there are six actions, 16 frames of 32x32 px and, with ``max_speed: 2``, camera
velocities in {-2..2}^2, split by person (``persons: keller`` for the same ones; the code released with it
also mirrors clips in training, which is not done here). `flowsim.scenes.sources.kth` says which files are
read and how they are split.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import xarray as xr

from flowsim.flows.translation import Translation
from flowsim.scenes.canvas import moved
from flowsim.scenes.scene import Scene, stimulus, truth_value
from flowsim.scenes.sources.kth import ACTIONS, annotated_clips, ranges
from flowsim.scenes.velocities import box, for_split, number_of_trials, probes, within
from flowsim.specification import Count, Pixels, WholeSpeed, checked


@checked
def generate(
    split: str,
    rng: np.random.Generator,
    *,
    folder: str | None = None,
    incomplete: bool = False,
    persons: Literal["schuldt", "keller"] = "schuldt",
    height: Pixels = 32,
    width: Pixels = 32,
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
        Which persons are seen (sweep, probe and control use those of test), and what is varied. In "sweep",
        the camera visits every velocity of {-sweep_speed..sweep_speed}^2. In "probe", flow 0 is a reference,
        in which the camera of every other trial stands still, and the other flows,
        {-probe_speed..probe_speed}^2, are its exact transports. Trials of "control" are drawn as in "test",
        and shown with parts of their motion taken out (`flowsim.scenes.control`).
    rng : numpy.random.Generator
        Decides videos, frames and velocities.
    folder : str, optional
        Folder of the videos and 00sequences.txt; if not given, the sub-folder kth of the folder that the
        environment variable FLOWSIM_DATA names, or that folder itself. When a size is used for the first
        time, all videos are decoded.
    incomplete : bool
        Where videos are missing, damaged or not annotated, warn and use the others.
    persons : {"schuldt", "keller"}
        Who is seen in which split: 8, 8 and 9 persons as in the database's annotation, or 1 to 16, 17 to 20
        and 21 to 25 as in the code released with Keller 2025.
    height, width : int
        Size of a frame in px. The whole frame of the video, 120x160 px, is resized to it by averaging over
        areas, as in the published task, whatever its proportions.
    max_speed : int
        Velocities of the picture are drawn from {-max_speed..max_speed}^2, in px/frame.
    trials : int
        How many; in "sweep", how many of each velocity.
    frames : int
        How long each is. It lies within one annotated range; ranges are equally likely, whatever their
        length, and so are the first frames within a range. Shorter ranges are not used.

    Returns
    -------
    Dataset
        ``frames`` (trial, time, y, x), or (flow, trial, time, y, x) for "probe", in [0, 1]; per trial and
        object, of which there is one, ``label`` (0 to 5; named by its attribute ``flag_meanings``) and the
        velocity of the picture ``velocity_vy``, ``velocity_vx`` (px/frame); per trial ``person``,
        ``scenario``, ``sequence`` (which of the video's ranges, from 1) and ``first_frame`` (in the
        annotation's count, from 1); in "sweep", per trial ``trained``: whether the camera moves as in
        training.

    Raises
    ------
    InputError
        If the split is unknown, the videos are not found or not complete, or no range is long enough.
    """
    known = ranges(split, folder, (height, width), incomplete, frames, persons)
    swept = box(sweep_speed)
    trials = number_of_trials(split, trials, swept)
    drawn = known.iloc[rng.integers(len(known), size=trials)]
    first = rng.integers(drawn["first"], drawn["last"] - frames + 1, endpoint=True)
    velocity = rng.integers(-max_speed, max_speed + 1, size=(trials, 1, 2))
    velocity = for_split(split, velocity, swept)

    column = {name: drawn[name].to_numpy() for name in drawn}
    each = ("trial", "object")
    truth = {
        "label": (each, column["label"][:, None], "", "action"),
        "velocity_vy": (each, velocity[..., 0], "px/frame", "velocity of the picture, positive down"),
        "velocity_vx": (each, velocity[..., 1], "px/frame", "velocity of the picture, positive right"),
        "person": (("trial",), column["person"], "", "person"),
        "scenario": (
            ("trial",),
            column["scenario"],
            "",
            "scenario: outdoors, with zoom, other clothes, indoors",
        ),
        "sequence": (("trial",), column["sequence"], "", "annotated range of the video, from 1"),
        "first_frame": (("trial",), first, "frame", "first frame, from 1"),
    }
    if split == "sweep":
        trained = within(velocity[:, 0], max_speed)
        truth["trained"] = truth_value(trained, "whether the camera moves as in training")
    dataset = stimulus(
        truth,
        render,
        frames=frames,
        frame_shape=(height, width),
        group=Translation(),
        flows=probes(probe_speed) if split == "probe" else None,
        settings={"folder": folder},
    )
    # attributes of the CF conventions
    dataset.label.attrs |= {"flag_values": np.arange(len(ACTIONS)), "flag_meanings": " ".join(ACTIONS)}
    return dataset


def render(scene: Scene, device: torch.device) -> torch.Tensor:
    """Frames (trial, time, y, x)."""
    clips = annotated_clips(
        scene.settings["folder"],
        scene["person"],
        scene["label"][:, 0],
        scene["scenario"],
        scene["first_frame"],
        scene.frames,
        scene.frame_shape,
    )
    still = torch.from_numpy(clips).to(device)
    velocity = np.stack([scene["velocity_vy"], scene["velocity_vx"]], -1)
    displacement = velocity * np.arange(scene.frames)[:, None]  # (trial, time, 2)
    return moved(still.flatten(0, 1), displacement.reshape(-1, 1, 2)).view_as(still).float() / 255
