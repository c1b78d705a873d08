"""Evaluation of an exported encoder, as those who take it have it."""

import math
import pathlib
import types

import keras
import tensorflow as tf

from video_repr import artefact
from video_repr import configs
from video_repr import inputs
from video_repr.configs.data import data_of
from video_repr.errors import InputError
from video_repr.evaluation.prediction import evaluate
from video_repr.evaluation.run import with_test_file


def evaluate_export(directory, test_file=None, sequences=None):
    """Evaluates the future that a SavedModel predicts, on the test set.

    Args:
        directory: an export with a future decoder, of a run.
        test_file: a published Moving MNIST test file to use instead of the
            config's test set.
        sequences: number of test sequences, the first; None for all.

    Returns:
        A dict like `evaluate`'s, with "data" as in evaluation.json.

    Raises:
        InputError: if the export cannot be used, or the test set not read.
    """
    about = artefact.check(directory)
    if "run" not in about:
        raise InputError(
            f"Expected the export of a run. Received: {str(directory)!r}"
        )
    config = configs.from_dict(about["run"])
    config = with_test_file(config, test_file, directory)
    data = data_of(config)
    clips = data.test()[:sequences]
    model = Exported(directory, config.model)
    return {
        **evaluate(model, clips, data.mean_frame()),
        "data": {**data.describe(), "sequences": len(clips)},
    }


class Exported:
    """What `evaluate` asks of a `VideoSeq2Seq`, by an export's signatures.

    Args:
        directory: an export with a future decoder.
        config: `configs.ModelConfig` of what is to be predicted.
        encoder: the `Encoder` in whose values errors are told; the export's
            own when None.

    Raises:
        InputError: if the export cannot be used, or is of other frames than
            the encoder.
    """

    jit_compile = False

    def __init__(self, directory, config, encoder=None):
        about = artefact.check(directory)["encoder"]
        if not about["predicts_future"]:
            raise InputError(
                "Expected an export with a future decoder. Received: "
                f"{str(directory)!r}"
            )
        values = math.prod(about["frame_shape"])
        if encoder is not None and encoder.features != values:
            raise InputError(
                f"Expected an export of frames of {encoder.features} values. "
                f"Received: {str(directory)!r}, of {values}"
            )
        # It owns the variables that its signatures only refer to.
        self._saved = tf.saved_model.load(str(directory))
        self._future_frames = config.future_frames
        self.input_frames = config.input_frames
        self.encoder = encoder or keras.models.load_model(
            pathlib.Path(directory) / "encoder.keras"
        )
        self.decoders = {"future": types.SimpleNamespace(output=config.output)}

    def targets(self, clips):
        end = self.input_frames + self._future_frames
        return {"future": clips[:, self.input_frames : end]}

    def __call__(self, clips, training):
        signatures = self._saved.signatures
        clips = inputs.scale(clips[:, : self.input_frames], "float32")
        frames = signatures["predict_future"](
            steps=tf.constant(self._future_frames),
            **signatures["states"](clips=clips),
        )["frames"]
        if self.decoders["future"].output != "logistic":
            return {"future": self.encoder.scaled(frames)}
        # Their logits are not exported. In float32 a probability is 0 or 1
        # where a logit would still tell how sure: cut off, it costs a pixel
        # that is wrong 28 or 18 nats.
        frames = tf.clip_by_value(tf.cast(frames, tf.float64), 1e-12, 1 - 1e-8)
        return {"future": tf.math.log(frames) - tf.math.log1p(-frames)}
