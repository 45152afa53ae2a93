"""Every network trains, is recorded and is analysed on a CPU and on a GPU alike, with the law that it declares."""

import inspect

import pytest
import torch

from analysis import equivariance_error
from flowsim import Translation, build, from_frames, ideas, open_recording, record
from flowsim.scenes.sequences import Sequences
from flowsim.training.objective import Batch, losses
from flowsim.training.settings import TrainBlock
from tests.models.test_networks import MODELS, SMALL

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
SHAPE = (8, 8)
TRAINING = TrainBlock(context=3, horizon=2)


@pytest.fixture
def device(request):
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    return torch.device(request.param)


def network_of(name):
    known = inspect.signature(ideas.load("flowsim.models", name).build).parameters
    torch.manual_seed(0)
    return build(name, SHAPE, **{key: value for key, value in SMALL.items() if key in known})


def probe_for(network):
    """Random frames and their exact transports by a flow of the network's group."""
    group = network.grid.group
    flows = [(0, 0), (1, -1)] if isinstance(group, Translation) else [(0,), (90,)]
    frames = torch.rand(3, 5, *SHAPE, generator=torch.Generator().manual_seed(1))
    return from_frames(frames, flows=flows, group=group)


def trained(network, device):
    """The network after two steps of training on noise; conv3d, which predicts no frames, as it is."""
    frames = torch.rand(4, 5, 1, *SHAPE, generator=torch.Generator().manual_seed(0)).to(device)
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    for _ in range(2):
        optimiser.zero_grad()
        loss = losses(network, TRAINING, Batch(Sequences(frames), torch.zeros_like(frames), 0))[0]
        loss.backward()
        optimiser.step()
    assert loss.isfinite()
    return network


@pytest.mark.parametrize("device", DEVICES, indirect=True)
@pytest.mark.parametrize("name", [name for name in MODELS if name != "conv3d"])
def test_train_record_and_analyse(name, device, tmp_path):
    network = trained(network_of(name).to(device), device)
    record(network, probe_for(network), tmp_path / "probe.h5")
    with open_recording(tmp_path / "probe.h5") as recording:
        error = equivariance_error.analyse(recording).error.sel(law="transport+shift")
    if network.law is not None:
        assert float(error.max()) < 1e-4


@pytest.mark.parametrize("device", DEVICES, indirect=True)
@pytest.mark.parametrize("name", [name for name in MODELS if name != "conv3d"])
def test_states_and_gradients_are_those_of_float64(name, device):
    exact, network = network_of(name).double(), network_of(name).to(device)
    frames = torch.rand(2, 4, 1, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    results = []
    for one, seen in ((exact, frames), (network, frames.float().to(device))):
        rollout = one.rollout(seen, 2)
        rollout.square().sum().backward()
        gradients = [p.grad.cpu().double() for p in one.parameters() if p.grad is not None]
        results.append((rollout.detach().cpu().double(), gradients))
    (expected, expected_gradients), (rollout, gradients) = results
    torch.testing.assert_close(rollout, expected, rtol=1e-3, atol=1e-5)
    assert len(gradients) == len(expected_gradients) > 0
    for one, other in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-3 * float(other.abs().max()) + 1e-7)
