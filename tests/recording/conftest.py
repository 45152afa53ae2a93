"""A stacked ConvLSTM with a loop of its own, and what tests of recordings need."""

import pytest
import torch
from torch import nn

from flowsim import Site


class ConvLSTMCell(nn.Module):
    def __init__(self, below, channels):
        super().__init__()
        self.channels = channels
        self.gates = nn.Conv2d(below + channels, 4 * channels, 3, padding=1, padding_mode="circular")

    def forward(self, x, carried=None):
        h, c = carried or [x.new_zeros(len(x), self.channels, *x.shape[2:])] * 2
        i, f, o, g = self.gates(torch.cat([x, h], 1)).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


class ConvLSTM(nn.Module):
    """Two layers, a loop over time, and a readout of the next frame that it goes on with."""

    def __init__(self):
        super().__init__()
        self.cells = nn.ModuleList([ConvLSTMCell(1, 3), ConvLSTMCell(3, 4)])
        self.readout = nn.Conv2d(4, 1, 1)

    def forward(self, frames, horizon=0):
        carried, frame, predicted = [None, None], None, []
        for t in range(frames.shape[1] + horizon):
            x = frames[:, t] if t < frames.shape[1] else frame
            for layer, cell in enumerate(self.cells):
                carried[layer] = cell(x, carried[layer])
                x = carried[layer][0]
            frame = self.readout(x)
            predicted.append(frame)
        return torch.stack(predicted, 1)


@pytest.fixture
def conv():
    torch.manual_seed(0)
    return ConvLSTM()


@pytest.fixture
def conv_sites():
    """Sites of `conv`: the state and the memory of its last layer, and the state of the layer below."""
    return {
        "state": Site("cells.1", ("trial", "channel", "y", "x"), (0,)),
        "below": Site("cells.0", ("trial", "channel", "y", "x"), (0,)),
        "memory": Site("cells.1", ("trial", "channel", "y", "x"), (1,)),
    }


@pytest.fixture
def called():
    """A feed for networks that go on by themselves."""
    return lambda network, frames, horizon: network(frames, horizon)


@pytest.fixture
def shown():
    """The frames of one flow of a probe, as a network sees them: (trial, time, channel, y, x)."""
    return lambda probe, flow: torch.from_numpy(probe.frames.values[flow])[:, :, None]


@pytest.fixture
def untouched():
    """Whether no hook is left on any module of a network."""
    return lambda network: not any(module._forward_hooks for module in network.modules())


@pytest.fixture
def file(tmp_path):
    """Where a recording goes; its folder does not exist yet."""
    return tmp_path / "deep" / "probe.h5"
