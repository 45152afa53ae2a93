"""Draw the moving picture of the README: what a map of a FERNN and one of its G-RNN do as a digit moves.

    python docs/moving_maps.py results/digits docs/moving_maps.gif

Takes the networks of the default experiment (first seeds of ``fernn`` and ``grnn``). One digit, always the
same, rests and then moves at three velocities, each time from the same place. Above are the frame and the
most active map of each network as they are, of the FERNN that of the channel whose velocity is the digit's;
below the same carried back along the motion, psi_-t(u). If a state follows a flow by the law, its map below
is the same whatever the velocity.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from flowsim import Flow, Translation
from flowsim.network import Network
from flowsim.training.weights import load_network
from flowsim.views.preview import write_animation
from stimuli import moving_digits

VELOCITIES = ((0, 0), (0, 1), (1, -2), (2, 2))
"""Of the digit (vy, vx), one after the other, in px/frame."""
FRAMES = 16
"""Under each velocity; the digit is then back where it began."""
COLOURS = 128
"""Of the picture, so that it loads fast."""
TITLES = ("the world", "FERNN: a map of its state", "G-RNN: a map of its state")


def sequence(velocity: tuple[int, int]) -> Tensor:
    """Frames (trial, time, channel, y, x) of the digit."""
    rng = np.random.default_rng(3)
    still = moving_digits.generate(
        "test", rng, height=16, width=16, objects=1, velocities=[[0, 0]], trials=1, frames=FRAMES
    )
    frames = torch.from_numpy(still.frames.values).float()[:, :, None]
    return Flow(Translation(), velocity).transport(frames)


def map_of(network: Network, velocity: tuple[int, int], channel: int | None = None) -> tuple[Tensor, int]:
    """(time, y, x) of a channel, the most active one unless given, and its number."""
    grid = network.grid.velocities
    place = grid.index(velocity) if velocity in grid else 0
    with torch.no_grad():
        state = network.states(sequence(velocity))[0, :, place]
    chosen = int(state[-1].flatten(1).std(1).argmax()) if channel is None else channel
    return state[:, chosen], chosen


def rows(networks: list[Network]) -> list[tuple[tuple[int, int], list[Tensor]]]:
    """For each velocity what is drawn, (time, y, x): the frame, then the map of each network."""
    channels = [map_of(network, VELOCITIES[0])[1] for network in networks]
    return [
        (v, [sequence(v)[0, :, 0], *(map_of(n, v, c)[0] for n, c in zip(networks, channels, strict=True))])
        for v in VELOCITIES
    ]


def picture(velocity: tuple[int, int], time: int, maps: list[Tensor], limits: list[float]) -> Image.Image:
    """One frame of the animation."""
    figure = Figure(figsize=(7.2, 5.1), dpi=72, layout="constrained")
    axes = figure.subplots(2, len(maps))
    back = Flow(Translation(), velocity)
    for column, (values, limit) in enumerate(zip(maps, limits, strict=True)):
        colours = "gray" if column == 0 else "magma"
        for row, shown in enumerate((values[time], back.act(values[time], -time))):
            axes[row, column].imshow(shown, vmin=0, vmax=limit, cmap=colours)
            axes[row, column].set(xticks=[], yticks=[])
        axes[0, column].set_title(TITLES[column], fontsize=11)
    axes[0, 0].set_ylabel("as it is", fontsize=11)
    axes[1, 0].set_ylabel("carried back\nalong the motion", fontsize=11)
    figure.suptitle(in_words(velocity), fontsize=12)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return (
        Image.fromarray(np.asarray(canvas.buffer_rgba()))
        .convert("RGB")
        .quantize(COLOURS, dither=Image.Dither.NONE)
    )


def in_words(velocity: tuple[int, int]) -> str:
    """What the digit does."""
    vy, vx = velocity
    parts = [(vy, "down" if vy > 0 else "up"), (vx, "right" if vx > 0 else "left")]
    moves = [f"{abs(pixels)} px {way}" for pixels, way in parts if pixels]
    return f"the digit moves {' and '.join(moves)} per frame" if moves else "the digit rests"


def main(results: Path, into: Path) -> None:
    networks = [load_network(results / "models" / f"{name}-seed0.pt")[0] for name in ("fernn", "grnn")]
    drawn = rows(networks)
    limits = [max(float(maps[column].max()) for _, maps in drawn) for column in range(3)]
    write_animation(
        [picture(velocity, time, maps, limits) for velocity, maps in drawn for time in range(FRAMES)], into
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
