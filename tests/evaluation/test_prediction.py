import keras
import numpy as np
import pytest

from video_repr import Decoder
from video_repr import Encoder
from video_repr import VideoSeq2Seq
from video_repr import metrics
from video_repr.evaluation import evaluate


def model_of(frame, output="logistic", **conditional):
    keras.utils.set_random_seed(0)
    size = int(np.prod(frame))
    model = VideoSeq2Seq(
        Encoder((6,)),
        {
            "reconstruction": Decoder((6,), size, output=output),
            "future": Decoder((6,), size, output=output, **conditional),
        },
        input_frames=4,
        future_frames=3,
    )
    model.compile("sgd", jit_compile=False)
    model.build((None, 7, *frame))
    return model


@pytest.fixture(scope="module")
def clips():
    rng = np.random.default_rng(5)
    return rng.integers(0, 256, (7, 7, 12, 14), np.uint8)


@pytest.fixture(scope="module")
def model():
    return model_of((12, 14), conditional=True)


@pytest.fixture(scope="module")
def evaluation(model, clips):
    return evaluate(model, clips, np.full((12, 14), 0.25), batch_size=3)


def test_scores_are_those_of_the_frames_that_predict_returns(
    evaluation, model, clips
):
    frames = model.predict(clips, verbose=0)
    truth = clips / 255
    # The reconstruction's first step is the last frame that was read.
    wanted = {
        "reconstruction": (truth[:, 3::-1], frames["reconstruction"][:, ::-1]),
        "future": (truth[:, 4:], frames["future"]),
    }
    for branch, (true, predicted) in wanted.items():
        for name, function in (
            ("bce_sum_per_frame", metrics.bce_sum_per_frame),
            ("half_sse_per_frame", metrics.half_sse_per_frame),
            ("mse_sum_per_frame", metrics.mse_sum_per_frame),
            ("mae_sum_per_frame", metrics.mae_sum_per_frame),
            ("ssim", metrics.ssim),
            ("ssim_openstl", metrics.ssim_openstl),
            ("psnr", metrics.psnr),
        ):
            curve = function(true, predicted).mean(axis=0)
            scores = evaluation[branch]
            np.testing.assert_allclose(
                scores["per_step"][name], curve, rtol=1e-4, err_msg=name
            )
            assert scores[name] == pytest.approx(curve.mean(), rel=1e-4)


def test_the_loss_of_keras_evaluate_is_the_same_number(
    evaluation, model, clips
):
    losses = model.evaluate(clips, verbose=0, return_dict=True)
    for branch in ("reconstruction", "future"):
        assert evaluation[branch]["bce_sum_per_frame"] == pytest.approx(
            losses[f"{branch}_loss"], rel=1e-5
        )


def test_baselines_are_of_the_future(evaluation, clips):
    baselines, truth = evaluation["baselines"], clips[:, 4:] / 255
    assert evaluation["baselines_of"] == "future"
    assert set(baselines) == {"last_frame", "mean_frame"}
    squared = ((truth - clips[:, 3:4] / 255) ** 2).sum((2, 3)).mean(0)
    np.testing.assert_allclose(
        baselines["last_frame"]["per_step"]["mse_sum_per_frame"],
        squared,
        rtol=1e-5,
    )
    mean = -(truth * np.log(0.25) + (1 - truth) * np.log(0.75))
    assert baselines["mean_frame"]["bce_sum_per_frame"] == pytest.approx(
        mean.sum((2, 3)).mean()
    )


def test_lower_bound_is_the_entropy_of_the_grey_pixels(evaluation, clips):
    p = clips[:, 4:].astype(float) / 255
    grey = (p > 0) & (p < 1)
    q = p[grey]
    entropy = -(q * np.log(q) + (1 - q) * np.log(1 - q)).sum() / (7 * 3)
    bound = evaluation["lower_bound"]["future"]["bce_sum_per_frame"]
    assert bound == pytest.approx(entropy, abs=1e-3)
    assert bound < evaluation["future"]["bce_sum_per_frame"]


def test_batches_change_nothing(evaluation, model, clips):
    whole = evaluate(model, clips, np.full((12, 14), 0.25), batch_size=100)
    for branch in ("reconstruction", "future"):
        np.testing.assert_allclose(
            whole[branch]["per_step"]["bce_sum_per_frame"],
            evaluation[branch]["per_step"]["bce_sum_per_frame"],
            rtol=1e-5,
        )


def test_models_of_features_have_no_cross_entropy_and_no_ssim(rng):
    model = model_of((9,), "linear")
    clips = rng.normal(0, 4, (5, 7, 9)).astype("float32")
    evaluation = evaluate(model, clips, np.zeros(9))
    assert set(evaluation["future"]) == {
        "half_sse_per_frame",
        "mse_sum_per_frame",
        "mae_sum_per_frame",
        "per_step",
    }
    assert evaluation["lower_bound"] == {}
    expected = (clips[:, 4:] ** 2).sum(-1).mean()
    assert evaluation["baselines"]["mean_frame"][
        "mse_sum_per_frame"
    ] == pytest.approx(expected, rel=1e-5)


def test_an_autoencoders_baselines_are_of_the_reconstruction(rng):
    model = VideoSeq2Seq(
        Encoder((6,)), {"reconstruction": Decoder((6,), 16)}, input_frames=3
    )
    model.build((None, 3, 4, 4))
    clips = rng.random((2, 3, 4, 4)).astype("float32")
    evaluation = evaluate(model, clips, np.full((4, 4), 0.5))
    assert evaluation["baselines_of"] == "reconstruction"
    last = evaluation["baselines"]["last_frame"]["per_step"]
    # The last frame that was read is the first to be reconstructed.
    assert last["mse_sum_per_frame"][0] == 0
    assert min(last["mse_sum_per_frame"][1:]) > 0


@pytest.mark.parametrize("logit", [-1e3, -89.0, 89.0, 1e3])
def test_sure_predictions_overflow_nothing(model, clips, logit):
    """As those of a well trained model are for pixels that never change."""
    weights = model.get_weights()
    for decoder in model.decoders.values():
        decoder.readout.kernel.assign(decoder.readout.kernel * 0)
        decoder.readout.bias.assign(decoder.readout.bias * 0 + logit)
    truth = np.full_like(clips, 255 if logit > 0 else 0)
    with np.errstate(all="raise", under="ignore"):
        found = evaluate(model, truth, np.zeros((12, 14)))
    model.set_weights(weights)
    assert found["future"]["bce_sum_per_frame"] < 1e-30
    assert found["future"]["mse_sum_per_frame"] < 1e-30
    assert found["future"]["psnr"] == 100
