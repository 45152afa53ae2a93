"""A convolutional LSTM on the torus: the gated baseline. Its state lives in the static frame; no law.

The same network as the FERNN with that cell and V = {0}, with its readouts, so that they can be compared.
Source: Shi et al. (2015), Convolutional LSTM Network.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from flowsim.models import fernn
from flowsim.network import Network

Count = Annotated[int, Field(ge=1)]


def build(
    frame_shape: tuple[int, int],
    *,
    layers: Count = 1,
    channels: Count = 16,
    kernel: Count = 3,
    decoder_layers: Annotated[int, Field(ge=0)] = 4,
    classes: Count | None = None,
) -> Network:
    """Build one for frames (y, x); for the arguments see `flowsim.models.fernn`."""
    network = fernn.build(
        frame_shape,
        max_speed=0,
        cell="lstm",
        layers=layers,
        channels=channels,
        kernel=kernel,
        decoder_layers=decoder_layers,
        classes=classes,
    )
    network.law = None
    return network
