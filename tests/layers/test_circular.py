"""Convolutions on the torus equal those of torch, with their derivatives."""

import pytest
import torch
import torch.nn.functional as F

from flowsim import InputError
from flowsim.layers.circular import CircularConv2d, check_kernel, convolve, convolve_each


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed)).requires_grad_()


@pytest.mark.parametrize("kernel", [1, 3, 7])
def test_circular_convolutions(kernel):
    """Equal to torch's, with both derivatives, whatever the memory of the input looks like."""
    ours = CircularConv2d(2, 3, kernel, bias=True).double()
    theirs = torch.nn.Conv2d(2, 3, kernel, padding="same", padding_mode="circular").double()
    theirs.load_state_dict(ours.state_dict())
    x = random(4, 2, 7, 8)
    for image in (
        x,
        x.detach().contiguous(memory_format=torch.channels_last),
        x.detach()[:, :, ::2].transpose(2, 3),
    ):
        if kernel // 2 <= min(image.shape[-2:]):  # torch's wraps around once only
            torch.testing.assert_close(ours(image), theirs(image))
    small = random(1, 2, 3, 4)
    assert torch.autograd.gradcheck(lambda x, w: convolve(x, w), (small, ours.weight), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(lambda x, w: convolve(x, w), (small, ours.weight))


def test_each_velocity_has_its_kernel():
    state, kernels = random(2, 3, 2, 5, 6), random(3, 1, 3, 3, seed=1)
    moved = convolve_each(state, kernels)
    for number in range(3):
        images = F.pad(state[:, number].flatten(0, 1)[:, None], (1, 1, 1, 1), mode="circular")
        expected = F.conv2d(images, kernels[number][None]).view(2, 2, 5, 6)
        torch.testing.assert_close(moved[:, number], expected)


def test_kernels_are_odd_and_wrap_around_at_most_once():
    with pytest.raises(InputError, match="kernel must be odd; got 4"):
        CircularConv2d(1, 1, 4)
    check_kernel(9, (4, 5))
    for kernel in (4, 11):
        with pytest.raises(InputError, match=rf"on frames of 4x5 pixels, at most 9; got {kernel}"):
            check_kernel(kernel, (4, 5))
