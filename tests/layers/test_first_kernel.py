"""A recurrence that begins near the identity keeps what it holds, whatever network it is in."""

import pytest
import torch

from flowsim import InputError, build, ideas
from flowsim.layers.first_kernel import KEPT, USUAL, begin_near_identity

WITHOUT_RECURRENCE = ("attention", "conv3d")
NETWORKS = [name for name in ideas.names("flowsim.models") if name not in WITHOUT_RECURRENCE]


@pytest.mark.parametrize("shape", [(3, 3), (3, 3, 5, 5)])
def test_nine_tenths_of_the_identity_and_a_third_of_the_usual_weights(shape):
    usual = torch.randn(shape, dtype=torch.float64)
    weight = usual.clone()
    begin_near_identity(weight)
    x = torch.randn(2, 3, *[7] * (len(shape) - 2), dtype=torch.float64)
    apply = torch.nn.functional.conv2d if len(shape) == 4 else torch.nn.functional.linear
    options = {"padding": 2} if len(shape) == 4 else {}
    expected = KEPT * x + USUAL * apply(x, usual, **options)
    torch.testing.assert_close(apply(x, weight, **options), expected)


def pair(name, **spec):
    """A network with the usual first weights, and the same with ``initial: identity``."""
    both = []
    for initial in ("usual", "identity"):
        torch.manual_seed(0)
        both.append(build(name, (16, 16), initial=initial, **spec))
    return both


@pytest.mark.parametrize("name", NETWORKS)
def test_offered_alike_to_every_recurrence(name):
    """Only recurrent weights differ, and each channel keeps more of itself than it gives to others."""
    usual, identity = (dict(network.named_parameters()) for network in pair(name))
    changed = [key for key in usual if not torch.equal(usual[key], identity[key])]
    assert len(changed) == 1
    (kernel,) = pair(name)[1].memory_kernels()
    weight = kernel[0].detach().flatten(2) if kernel[0].ndim > 2 else kernel[0].detach()[..., None]
    largest = weight.abs().amax(-1)
    assert (largest.diagonal() > 2 * (largest - largest.diag().diag()).amax(1)).all()


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_every_layer_and_cell(cell):
    usual, identity = pair("fernn", cell=cell, layers=2, max_speed=1, channels=3)
    changed = [
        name
        for (name, first), (_, second) in zip(
            usual.named_parameters(), identity.named_parameters(), strict=True
        )
        if not torch.equal(first, second)
    ]
    assert changed == ["cells.0.recurrent.weight", "cells.1.recurrent.weight"]


def test_every_field_is_kept_by_steerable_weights():
    usual, identity = pair("fernn_rotation", orientations=4, max_speed=0)
    with torch.no_grad():
        identity.recurrent.weight -= USUAL * usual.recurrent.weight
        field = torch.randn(1, 4, 3, 16, 16)
        kept = identity.recurrent(field)
    torch.testing.assert_close(kept, KEPT * field)


@pytest.mark.parametrize("name", WITHOUT_RECURRENCE)
def test_without_a_recurrence_there_is_nothing_to_begin(name):
    with pytest.raises(InputError, match="no recurrent weights that could begin near the identity"):
        build(name, (16, 16), initial="identity")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"initial": "zero"}, "'usual' or 'identity'; got 'zero'"), ({"bounded": 3}, "bounded: .*; got 3")],
)
def test_of_the_wrong_kind(wrong, message):
    with pytest.raises(InputError, match=f"network fernn: .*{message}"):
        build("fernn", (16, 16), **wrong)
