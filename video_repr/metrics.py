"""Metrics of predicted frames. Every name states its reduction.

The functions take true and predicted frames and return an array `[clips,
time]`, one number a frame. `ssim` takes `[clips, time, height, width]` or
`[clips, time, height, width, channels]`, the others any `[clips, time, ...]`.
"""

import numpy as np

# A wrong prediction of exactly 0 or 1 has an infinite cross entropy. Predicted
# probabilities are kept this far from 0 and 1, as in Keras.
EPSILON = 1e-7


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
    truth, prediction = (
        np.asarray(frames, np.float32) for frames in (truth, prediction)
    )
    if min(truth.shape[2:4]) < 11:
        raise ValueError(
            "SSIM has a window of 11 x 11 px. Received: frames of "
            f"{truth.shape[2]} x {truth.shape[3]} px"
        )
    if truth.ndim == 5:
        # Height and width are the last two.
        truth, prediction = (
            np.moveaxis(frames, -1, 2) for frames in (truth, prediction)
        )
    down, across = (_gaussian_means(size) for size in truth.shape[-2:])

    def local_mean(values):
        return down @ values @ across.T

    mean_x, mean_y = local_mean(truth), local_mean(prediction)
    var_x = local_mean(truth * truth) - mean_x * mean_x
    var_y = local_mean(prediction * prediction) - mean_y * mean_y
    covariance = local_mean(truth * prediction) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    similarity = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x * mean_x + mean_y * mean_y + c1) * (var_x + var_y + c2)
    )
    return similarity.mean(axis=tuple(range(2, similarity.ndim)))


def _gaussian_means(size, window=11, deviation=1.5):
    """A matrix that takes the weighted mean of every window of a line.

    The window is separable, and products of small matrices are many times
    faster than a convolution with it.
    """
    offsets = np.arange(window) - window // 2
    weights = np.exp(-0.5 * np.square(offsets / deviation))
    means = np.zeros((size - window + 1, size), np.float32)
    for row in range(len(means)):
        means[row, row : row + window] = weights / weights.sum()
    return means


def _sum(errors):
    return errors.reshape(*errors.shape[:2], -1).sum(axis=-1)


PIXEL_METRICS = {"ssim": ssim, "psnr": psnr}
ERROR_METRICS = {
    "half_sse_per_frame": half_sse_per_frame,
    "mse_sum_per_frame": mse_sum_per_frame,
    "mae_sum_per_frame": mae_sum_per_frame,
}


def metric_names(logistic):
    """Names of the metrics that an evaluation has.

    Args:
        logistic: whether the outputs are logistic.
    """
    if logistic:
        return ("bce_sum_per_frame", *ERROR_METRICS, *PIXEL_METRICS)
    return tuple(ERROR_METRICS)
