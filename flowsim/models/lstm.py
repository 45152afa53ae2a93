"""An ordinary LSTM over flattened frames: the baseline without space. No law; see `flowsim.models.rnn`.

Source: Hochreiter and Schmidhuber (1997), Long short-term memory.
"""

from __future__ import annotations

from flowsim.models.rnn import Flattened
from flowsim.network import Network
from flowsim.specification import Count, FrameShape, checked


@checked
def build(frame_shape: FrameShape, *, units: Count = 128, classes: Count | None = None) -> Network:
    """Build one for frames (y, x), with this many units, and with a readout of ``classes`` if given."""
    return Flattened("lstm", frame_shape, units, classes)
