"""The content of a file of weights and of a checkpoint, of a network that was not trained."""

import torch

from flowsim import build


def trained(network=None, **changes):
    """The content of a file of weights."""
    network = network or build("fernn", (8, 9), max_speed=1, channels=3, decoder_layers=1)
    weights = network.state_dict()
    whole = {
        "best": weights,
        "last": weights,
        "curve": {"sequences": [4], "train_loss": [0.5], "valid_loss": [0.4], "seconds": [1.0]},
        "frame_shape": [8, 9],
        "name": "fernn",
        "parameters": sum(p.numel() for p in network.parameters()),
        "partial": "",
        "hardware": "1 CPU thread",
        "specification": '{"network": {"model": "fernn", "max_speed": 1, "channels": 3, "decoder_layers": 1}, "train": {}}',
        "seed": "0",
    }
    return whole | changes


def checkpoint(network=None, **changes):
    """The content of a checkpoint before the first step."""
    network = network or build("fernn", (8, 9), max_speed=1, channels=3, decoder_layers=1)
    optimiser = torch.optim.Adam(network.parameters())
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1.0)
    whole = {
        "identity": "this one",
        "network": network.state_dict(),
        "optimiser": optimiser.state_dict(),
        "schedule": schedule.state_dict(),
        "curve": {"sequences": [], "train_loss": [], "valid_loss": [], "seconds": []},
        "best": network.state_dict(),
        "step": 0,
        "losses": torch.zeros(0),
        "seconds": 0.0,
    }
    return whole | changes
