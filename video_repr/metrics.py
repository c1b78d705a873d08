"""Metrics of predicted frames. Every name states its reduction.

The functions take true and predicted frames and return an array `[clips,
time]`, one number a frame. Those of SSIM take `[clips, time, height, width]` or
`[clips, time, height, width, channels]`, the others any `[clips, time, ...]`.
"""

import numpy as np

# A wrong prediction of exactly 0 or 1 has an infinite cross entropy. Predicted
# probabilities are kept this far from 0 and 1, as in Keras.
EPSILON = 1e-7

# Pixels of a side of the windows. Smaller frames have no such metric.
SSIM_WINDOWS = {"ssim": 11, "ssim_openstl": 7}


def bce_sum_per_frame(truth, prediction, *, logits=False):
    """Cross entropy in nats, summed over a frame.

    Args:
        truth: true frames in [0, 1].
        prediction: predicted frames in [0, 1], or their logits.
        logits: whether `prediction` are logits, which is exact.
    """
    truth = np.asarray(truth, np.float64)
    if logits:
        z = np.asarray(prediction, np.float64)
        return _sum(np.logaddexp(0, z) - truth * z)
    p = np.clip(np.asarray(prediction, np.float64), EPSILON, 1 - EPSILON)
    return _sum(-truth * np.log(p) - (1 - truth) * np.log1p(-p))


def entropy_sum_per_frame(truth):
    """Lowest cross entropy that any prediction can have, in nats.

    It is the entropy of the pixels, which is above 0 for grey ones.
    """
    return bce_sum_per_frame(truth, truth)


def half_sse_per_frame(truth, prediction):
    """Half the sum of squared errors of a frame, as the paper for patches."""
    return 0.5 * mse_sum_per_frame(truth, prediction)


def mse_sum_per_frame(truth, prediction):
    """Squared errors summed over a frame: the field's "MSE"."""
    return _sum(np.square(np.subtract(truth, prediction, dtype=np.float64)))


def mae_sum_per_frame(truth, prediction):
    """Absolute errors summed over a frame: the field's "MAE"."""
    return _sum(np.abs(np.subtract(truth, prediction, dtype=np.float64)))


def psnr(truth, prediction):
    """Peak signal-to-noise ratio in dB, for pixels in [0, 1].

    Frames without error count as 100 dB.
    """
    values = np.prod(np.shape(truth)[2:])
    mse = mse_sum_per_frame(truth, prediction) / values
    return -10 * np.log10(np.maximum(mse, 1e-10))


def ssim(truth, prediction):
    """Structural similarity (Wang et al., 2004), for pixels in [0, 1].

    It uses a Gaussian window of 11 x 11 px with a standard deviation of 1.5 px
    and a data range of 1, and is averaged over a frame.
    """
    offsets = np.arange(SSIM_WINDOWS["ssim"]) - SSIM_WINDOWS["ssim"] // 2
    weights = np.exp(-0.5 * np.square(offsets / 1.5))
    return _ssim(truth, prediction, weights / weights.sum())


def ssim_openstl(truth, prediction):
    """Structural similarity as the tables of OpenSTL have it.

    It is what older versions of scikit-image compute by default for floating
    point: the window of 7 x 7 px has equal weights, variances are those of
    samples, and the data range is 2, although pixels are in [0, 1].
    """
    window = SSIM_WINDOWS["ssim_openstl"]
    weights = np.full(window, 1 / window)
    return _ssim(
        truth,
        prediction,
        weights,
        data_range=2,
        unbiased=window**2 / (window**2 - 1),
    )


def _ssim(truth, prediction, weights, data_range=1, unbiased=1):
    """The mean over all windows that are inside of a frame.

    Args:
        truth: true frames.
        prediction: predicted frames.
        weights: of a line of the window; they sum to 1.
        data_range: of pixels.
        unbiased: what variances within a window are multiplied with.
    """
    truth, prediction = (
        np.asarray(frames, np.float32) for frames in (truth, prediction)
    )
    if min(truth.shape[2:4]) < len(weights):
        raise ValueError(
            f"SSIM has a window of {len(weights)} x {len(weights)} px. "
            f"Received: frames of {truth.shape[2]} x {truth.shape[3]} px"
        )
    if truth.ndim == 5:
        # Height and width are the last two.
        truth, prediction = (
            np.moveaxis(frames, -1, 2) for frames in (truth, prediction)
        )
    down, across = (_means(weights, size) for size in truth.shape[-2:])

    def local_mean(values):
        return down @ values @ across.T

    mean_x, mean_y = local_mean(truth), local_mean(prediction)
    var_x = unbiased * (local_mean(truth * truth) - mean_x * mean_x)
    var_y = unbiased * (local_mean(prediction * prediction) - mean_y * mean_y)
    covariance = unbiased * (local_mean(truth * prediction) - mean_x * mean_y)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    similarity = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x * mean_x + mean_y * mean_y + c1) * (var_x + var_y + c2)
    )
    return similarity.mean(axis=tuple(range(2, similarity.ndim)))


def _means(weights, size):
    """A matrix that takes the weighted mean of every window of a line.

    The windows are separable, and products of small matrices are many times
    faster than a convolution with them.
    """
    means = np.zeros((size - len(weights) + 1, size), np.float32)
    for row in range(len(means)):
        means[row, row : row + len(weights)] = weights
    return means


def _sum(errors):
    return errors.reshape(*errors.shape[:2], -1).sum(axis=-1)


PIXEL_METRICS = {"ssim": ssim, "ssim_openstl": ssim_openstl, "psnr": psnr}
ERROR_METRICS = {
    "half_sse_per_frame": half_sse_per_frame,
    "mse_sum_per_frame": mse_sum_per_frame,
    "mae_sum_per_frame": mae_sum_per_frame,
}


def metric_names(logistic, height_and_width):
    """Names of the metrics that an evaluation has.

    Args:
        logistic: whether the outputs are logistic.
        height_and_width: of a frame, or None where it is no picture.
    """
    if not logistic:
        return tuple(ERROR_METRICS)
    least = min(height_and_width or (0,))
    pixel_metrics = (
        name for name in PIXEL_METRICS if SSIM_WINDOWS.get(name, 0) <= least
    )
    return ("bce_sum_per_frame", *ERROR_METRICS, *pixel_metrics)
