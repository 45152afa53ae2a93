"""Against scikit-image, and against values that are known."""

import numpy as np
import pytest

from flowsim.measures.image_quality import psnr, ssim


@pytest.mark.parametrize("shape", [(11, 11), (16, 16), (28, 20)])
def test_as_scikit_image(shape):
    metrics = pytest.importorskip("skimage.metrics")
    rng = np.random.default_rng(0)
    true = rng.random((3, 2, *shape))
    predicted = np.clip(true + 0.2 * rng.standard_normal(true.shape), 0, 1)
    expected = [
        [
            metrics.structural_similarity(
                a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1
            )
            for a, b in zip(*pair, strict=True)
        ]
        for pair in zip(predicted, true, strict=True)
    ]
    np.testing.assert_allclose(ssim(predicted, true), expected, atol=1e-12)
    error = (predicted - true) ** 2
    expected = metrics.peak_signal_noise_ratio(true, predicted, data_range=1)
    np.testing.assert_allclose(psnr(error.mean()), expected)


def test_known_values():
    rng = np.random.default_rng(1)
    frame = rng.random((16, 16))
    assert ssim(frame, frame) == pytest.approx(1)
    assert ssim(rng.random((50, 16, 16)), rng.random((50, 16, 16))).mean() == pytest.approx(0, abs=0.05)
    constant = ssim(np.full((16, 16), 0.2), np.full((16, 16), 0.4))
    assert constant == pytest.approx((2 * 0.2 * 0.4 + 1e-4) / (0.2**2 + 0.4**2 + 1e-4))
    assert psnr(np.array([1.0, 0.01])).tolist() == [0, 20]
    assert psnr(np.array(0.0)) == np.inf


def test_frames_smaller_than_the_window_have_none():
    assert np.isnan(ssim(np.zeros((2, 10, 16)), np.zeros((2, 10, 16)))).tolist() == [True, True]
