"""Evaluation of an exported encoder, by its SavedModel."""

import pathlib
import types

import keras
import tensorflow as tf

from video_repr import configs
from video_repr import inputs
from video_repr.data.run_data import load_data
from video_repr.errors import InputError
from video_repr.evaluation.prediction import evaluate
from video_repr.evaluation.run import with_test_file
from video_repr.export import layout


def evaluate_export(directory, test_file=None, sequences=None):
    """Evaluates the future that a SavedModel predicts, on the test set.

    Args:
        directory: an export of a run, with a future decoder.
        test_file: a published Moving MNIST test file to use instead of the
            config's test set.
        sequences: number of test sequences, from the first on; None for all.

    Returns:
        A dict like `evaluate`'s, with "data" as in evaluation.json.

    Raises:
        InputError: if the export or the test set cannot be used.
    """
    about = layout.check(directory)
    if "run" not in about:
        raise InputError(
            f"Expected the export of a run. Received: {str(directory)!r}"
        )
    config = configs.from_dict(about["run"])
    config = with_test_file(config, test_file, directory)
    data = load_data(config)
    clips = data.test()[:sequences]
    model = Exported(directory, config.model)
    return {
        **evaluate(model, clips, data.mean_frame()),
        "data": {**data.describe(), "sequences": len(clips)},
    }


class Exported:
    """An export's signatures with the interface that `evaluate` needs.

    Args:
        directory: an export with a future decoder.
        config: `configs.ModelConfig`, with the numbers of frames.
        encoder: the `Encoder` in whose units errors are computed; the export's
            own when None.

    Raises:
        InputError: if the export cannot be used, or its frames have another
            size than the encoder's.
    """

    jit_compile = False

    def __init__(self, directory, config, encoder=None):
        about = layout.check(directory)["encoder"]
        if not about["predicts_future"]:
            raise InputError(
                "Expected an export with a future decoder. Received: "
                f"{str(directory)!r}"
            )
        if encoder is not None:
            encoder.frame.check(tuple(about["frame_shape"]))
        # It owns the variables, which its signatures only refer to.
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
        given = signatures["states"](clips=clips)
        predict = signatures["predict_future"]
        if "frame" in predict.structured_input_signature[1]:
            given["frame"] = clips[:, -1]
        steps = tf.constant(self._future_frames)
        frames = predict(steps=steps, **given)["frames"]
        if self.decoders["future"].output != "logistic":
            return {"future": self.encoder.scaled(frames)}
        # The logits are not exported. In float32 a very sure probability is
        # exactly 0 or 1. Clipped, it costs 28 or 18 nats for a wrong pixel.
        frames = tf.clip_by_value(tf.cast(frames, tf.float64), 1e-12, 1 - 1e-8)
        return {"future": tf.math.log(frames) - tf.math.log1p(-frames)}
