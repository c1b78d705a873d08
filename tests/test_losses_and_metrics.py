import numpy as np
import pytest
import skimage.metrics
import tensorflow as tf
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from video_repr import BceSumPerFrame
from video_repr import HalfSsePerFrame
from video_repr import metrics


def frames(rng, *shape):
    return rng.random(shape).astype("float32")


def smooth(rng, *shape):
    """Frames and a prediction of them that is neither right nor hopeless."""
    truth = (rng.random(shape) < 0.2) * rng.random(shape)
    prediction = np.clip(truth + rng.normal(0, 0.1, shape), 0, 1)
    return truth.astype("float32"), prediction.astype("float32")


def test_bce_is_the_papers_formula_in_nats_per_frame(rng):
    truth, logits = frames(rng, 3, 4, 5, 6), rng.normal(0, 3, (3, 4, 5, 6))
    p = 1 / (1 + np.exp(-logits))
    nats = -(truth * np.log(p) + (1 - truth) * np.log(1 - p)).sum((2, 3))
    logits32 = logits.astype("float32")
    np.testing.assert_allclose(
        BceSumPerFrame()(truth, logits32), nats.mean(), rtol=1e-5
    )
    np.testing.assert_allclose(
        metrics.bce_sum_per_frame(truth, logits, logits=True), nats
    )
    np.testing.assert_allclose(
        metrics.bce_sum_per_frame(truth, p), nats, rtol=1e-7
    )
    # The shape of a frame does not matter.
    np.testing.assert_allclose(
        BceSumPerFrame()(truth.reshape(3, 4, 30), logits32.reshape(3, 4, 30)),
        nats.mean(),
        rtol=1e-5,
    )


def test_bce_of_extreme_logits_is_finite_and_so_is_its_gradient():
    logits = tf.constant([[[-1e4, 1e4, -1e4, 1e4]]])
    truth = tf.constant([[[0.0, 1.0, 1.0, 0.0]]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = BceSumPerFrame()(truth, logits)
    assert float(loss) == 2e4
    np.testing.assert_array_equal(
        tape.gradient(loss, logits), [[[0, 0, -1, 1]]]
    )


def test_half_sse(rng):
    truth, prediction = frames(rng, 3, 4, 5), frames(rng, 3, 4, 5)
    half = 0.5 * ((truth - prediction) ** 2).sum(-1)
    np.testing.assert_allclose(
        HalfSsePerFrame()(truth, prediction), half.mean(), rtol=1e-5
    )
    np.testing.assert_allclose(
        metrics.half_sse_per_frame(truth, prediction), half, rtol=1e-5
    )


def test_squared_and_absolute_errors_sum_over_a_frame(rng):
    truth, prediction = frames(rng, 2, 3, 4, 5, 3), frames(rng, 2, 3, 4, 5, 3)
    error = (truth.astype(float) - prediction).reshape(2, 3, -1)
    np.testing.assert_allclose(
        metrics.mse_sum_per_frame(truth, prediction), (error**2).sum(-1)
    )
    np.testing.assert_allclose(
        metrics.mae_sum_per_frame(truth, prediction), abs(error).sum(-1)
    )


@pytest.mark.parametrize("channels", [None, 3])
def test_ssim_and_psnr_are_scikit_images(rng, channels):
    shape = (2, 3, 24, 32) + ((channels,) if channels else ())
    truth, prediction = smooth(rng, *shape)
    ssim = metrics.ssim(truth, prediction)
    of_openstl = metrics.ssim_openstl(truth, prediction)
    psnr = metrics.psnr(truth, prediction)
    assert ssim.shape == psnr.shape == (2, 3)
    for i in np.ndindex(2, 3):
        expected = skimage.metrics.structural_similarity(
            truth[i],
            prediction[i],
            data_range=1.0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            channel_axis=-1 if channels else None,
        )
        np.testing.assert_allclose(ssim[i], expected, atol=1e-4)
        # What scikit-image takes by itself; older versions took this range.
        expected = skimage.metrics.structural_similarity(
            truth[i],
            prediction[i],
            data_range=2.0,
            channel_axis=-1 if channels else None,
        )
        np.testing.assert_allclose(of_openstl[i], expected, atol=1e-4)
        np.testing.assert_allclose(
            psnr[i],
            skimage.metrics.peak_signal_noise_ratio(
                truth[i], prediction[i], data_range=1.0
            ),
            rtol=1e-5,
        )


def test_perfect_frames():
    truth = np.zeros((1, 1, 16, 16), np.float32)
    truth[0, 0, 3:9, 4:12] = 1
    assert metrics.ssim(truth, truth) == pytest.approx(1)
    assert metrics.ssim_openstl(truth, truth) == pytest.approx(1)
    assert metrics.psnr(truth, truth) == 100
    assert metrics.mse_sum_per_frame(truth, truth) == 0
    # Clipped at EPSILON, as documented: 256 pixels of -log(1 - 1e-7).
    assert metrics.bce_sum_per_frame(truth, truth) == pytest.approx(256e-7)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.floats(-20, 20), st.floats(0, 20))
def test_no_prediction_is_below_the_entropy(seed, shift, spread):
    rng = np.random.default_rng(seed)
    truth = np.round(frames(rng, 2, 3, 7) * 255) / 255
    logits = rng.normal(shift, spread, truth.shape)
    bound = metrics.entropy_sum_per_frame(truth)
    assert (
        metrics.bce_sum_per_frame(truth, logits, logits=True) >= bound - 1e-5
    ).all()
    with np.errstate(divide="ignore"):
        best = np.log(truth) - np.log1p(-truth)
    np.testing.assert_allclose(
        metrics.bce_sum_per_frame(truth, np.clip(best, -50, 50), logits=True),
        bound,
        atol=1e-5,
    )
