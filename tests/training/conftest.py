"""Small networks, digits and settings, with which a training takes a second."""

import numpy as np
import pytest
import torch

from flowsim import build
from flowsim.scenes.sequences import Sequences
from flowsim.training.batches import Shuffled
from flowsim.training.objective import Batch, evaluate
from flowsim.training.settings import TrainBlock
from flowsim.training.train import SplitBatch, train
from stimuli import moving_digits


@pytest.fixture(scope="session")
def small():
    """Settings of a training to predict, with noise and warm-up."""
    return TrainBlock(
        context=3,
        horizon=2,
        sequences=64,
        batch=8,
        learning_rate=1e-2,
        noise=0.1,
        warm_up=2,
        validate_every=16,
    )


@pytest.fixture(scope="session")
def classify(small):
    """The same to classify, without noise."""
    return small.model_copy(update={"task": "classify", "context": 5, "noise": 0.0})


@pytest.fixture(scope="session")
def data():
    """Sequences to train and to validate on."""

    def sequences(split):
        rng = np.random.default_rng(0)
        return Sequences.of(moving_digits.generate(split, rng, height=9, width=8, trials=24, frames=7))

    return sequences("train"), sequences("valid")


@pytest.fixture(scope="session")
def network():
    """A factory of networks with the same first weights."""

    def build_network():
        torch.manual_seed(0)
        return build("fernn", (9, 8), max_speed=1, channels=4, decoder_layers=1)

    return build_network


@pytest.fixture(scope="session")
def fit():
    """Train a network on shuffled sequences."""

    def fit_network(net, settings, data, seed, **more):
        return train(net, settings, Shuffled(data[0], settings.batch, seed), data[1], seed, **more)

    return fit_network


@pytest.fixture(scope="session")
def mean_error():
    """The measure of the task per sequence."""

    def error(net, settings, sequences):
        return (evaluate(net, settings, sequences, 10) / len(sequences)).item()

    return error


@pytest.fixture(scope="session")
def gradients(data, network):
    """The gradient of the loss over one batch of seven, and the error over the horizon; in float64 unless a network
    is given.
    """

    def gradients_of(settings, net=None, pieces=None):
        net = net or network().double()
        batch = Batch.drawn(Sequences(data[0].frames.to(next(net.parameters()).dtype)[:7]), settings, seed=5)
        ahead = (pieces or SplitBatch(settings.micro_batch or 7)).descend(net, settings, batch)
        return torch.cat([p.grad.flatten() for p in net.parameters()]), ahead

    return gradients_of
