"""From a state with velocity channels to what is asked of a network: the next frame, or a class.

Pooling over v is blind to the shift, so the frame is transported as the input is, and the class is invariant.

Source: Keller (2025), the published decoder: `decoder_layers` 3x3 convolutions with ReLU and one to the
image, no biases; and classifier: pooled over v, averaged over space, linear.
"""

from __future__ import annotations

from torch import Tensor, nn

from flowsim.errors import InputError
from flowsim.layers.circular import CircularConv2d
from flowsim.layers.velocity_channels import POOLS


class Readout(nn.Module):
    """Reads states (trial, velocity, channel, y, x).

    Parameters
    ----------
    channels : int
    decoder_layers : int
        Hidden layers of the decoder.
    classes : int, optional
        Adds the classifier.
    pool : {"max", "mean", "sum"}
        Over v.
    """

    def __init__(self, channels: int, decoder_layers: int, classes: int | None, pool: str = "max") -> None:
        super().__init__()
        self.pool = POOLS[pool]
        self.pools_by_maximum = pool == "max"
        hidden = [
            layer
            for _ in range(decoder_layers)
            for layer in (CircularConv2d(channels, channels, 3), nn.ReLU())
        ]
        self.decoder = nn.Sequential(*hidden, CircularConv2d(channels, 1, 3))
        self.classifier = nn.Linear(channels, classes) if classes else None

    def forward(self, state: Tensor) -> Tensor:
        """A frame (trial, 1, y, x)."""
        return self.decoder(self.pool(state))

    def logits(self, state: Tensor) -> Tensor:
        """(trial, class).

        Raises
        ------
        InputError
            If there are no classes.
        """
        if self.classifier is None:
            raise InputError("this network has no classes; build it with classes=n")
        return self.classifier(self.pool(state).mean((-2, -1)))
