"""A convolutional LSTM on the torus: the gated baseline. Its state lives in the static frame; no law.

The same network as the FERNN with that cell and V = {0}, with its readouts, so that they can be compared.
Source: Shi et al. (2015), Convolutional LSTM Network.
"""

from __future__ import annotations

from flowsim.models import fernn
from flowsim.network import Network
from flowsim.specification import Count, Few, FewOrNone, FrameShape, checked


@checked
def build(
    frame_shape: FrameShape,
    *,
    layers: Few = 1,
    channels: Count = 16,
    kernel: Few = 3,
    decoder_layers: FewOrNone = 4,
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
