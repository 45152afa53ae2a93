r"""How alike are a predicted and a true frame? Peak signal-to-noise ratio and structural similarity.

For frames of luminance in [0, 1], with mean squared error e,

    PSNR = -10 log10(e) dB

    SSIM = mean over pixels of   (2 mu_a mu_b + C1) (2 s_ab + C2)
                               -------------------------------------------
                               (mu_a^2 + mu_b^2 + C1) (s_a^2 + s_b^2 + C2)

with means mu, variances s^2 and covariance s_ab under a Gaussian window of 1.5 px, C1 = 0.01^2, C2 = 0.03^2.
SSIM is 1 for equal frames, and does not reward a blur that lowers the squared error. The border is left out
where the window does not fit.

Source: Wang, Bovik, Sheikh and Simoncelli (2004), Image quality assessment: from error visibility to
structural similarity, IEEE Transactions on Image Processing 13. Equal to
``skimage.metrics.structural_similarity(..., gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
data_range=1)``.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

SIGMA = 1.5
"""Standard deviation of the window in px."""
RADIUS = 5
"""The window ends so many px from its centre."""
C1, C2 = 0.01**2, 0.03**2


def psnr(squared_error: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio in dB of mean squared errors; infinite for an error of 0."""
    with np.errstate(divide="ignore"):
        return -10 * np.log10(squared_error)


def ssim(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Structural similarity (...) of frames (..., y, x).

    NaN for frames that are smaller than the window, 11 x 11 px.
    """
    shape = np.broadcast_shapes(predicted.shape, true.shape)
    if min(shape[-2:]) < 2 * RADIUS + 1:
        return np.full(shape[:-2], np.nan)

    def blurred(frames: np.ndarray) -> np.ndarray:
        return gaussian_filter(frames.astype(np.float64), SIGMA, radius=RADIUS, axes=(-2, -1))

    a, b = np.broadcast_to(predicted, shape), np.broadcast_to(true, shape)
    mean_a, mean_b = blurred(a), blurred(b)
    variance_a = blurred(a * a) - mean_a**2
    variance_b = blurred(b * b) - mean_b**2
    covariance = blurred(a * b) - mean_a * mean_b
    similarity = (2 * mean_a * mean_b + C1) * (2 * covariance + C2)
    similarity /= (mean_a**2 + mean_b**2 + C1) * (variance_a + variance_b + C2)
    inner = slice(RADIUS, -RADIUS)
    return similarity[..., inner, inner].mean((-2, -1))
