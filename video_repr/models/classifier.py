"""The action classifier: an encoder with a softmax at every step."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from video_repr import inputs
from video_repr.data.clips import block_starts
from video_repr.data.clips import hold
from video_repr.errors import InputError
from video_repr.layers.shapes import ComputesOutputShape
from video_repr.layers.trainable import SavesTrainable
from video_repr.layers.trainable import hand_down
from video_repr.losses import CrossEntropySumOverSteps
from video_repr.models import conversion
from video_repr.models.compiled import LoadsCompiled
from video_repr.models.compiled import check_loss_scaling
from video_repr.models.input_checks import ChecksInputs
from video_repr.models.input_checks import ReadsPaddedClips
from video_repr.models.replicas import TrainsReplicas
from video_repr.ranges import check_ranges
from video_repr.ranges import whole_number


@keras.saving.register_keras_serializable(package="video_repr")
class ActionClassifier(
    ReadsPaddedClips,
    ChecksInputs,
    TrainsReplicas,
    LoadsCompiled,
    SavesTrainable,
    ComputesOutputShape,
    keras.Model,
):
    """Classifies the action at every step of a clip.

    A softmax reads the encoder's top layer at every step; each step has the
    clip's label (paper, section 3.4). The prediction for a clip is the mean
    over its steps, that for a video the mean over its blocks of `block`
    frames, one every `stride` frames.

    Example:
    >>> encoder = keras.models.load_model("encoder.keras")
    >>> classifier = ActionClassifier(encoder, classes=101, dropout=0.5)
    >>> classifier.compile(keras.optimizers.Adam(1e-4))
    >>> classifier.fit(blocks, labels, epochs=10)
    >>> classifier.predict_videos(videos).argmax(axis=1)

    Labels are whole numbers that count from 0. With `encoder.trainable =
    False` before `compile` it is a linear probe of the encoder's outputs.

    Args:
        encoder: an `Encoder`, or any layer with its `encode_sequence` and
            `feature_size`.
        classes: number of classes.
        dropout: share of the top layer's outputs that is dropped in training.
            The encoder has its own, between its layers.
        block: frames of a block of a video.
        stride: frames from the start of a block to that of the next.
        seed: seed of the dropout.

    Call arguments:
        clips: `[batch, time, ...]`, as the encoder reads them.
        mask: `[batch, time]`, true for the frames to read; all when None.
            Others count neither in `CrossEntropySumOverSteps` nor in
            `ClipAccuracy`. `fit`, `evaluate` and `predict` take clips with
            their mask as a dict of "clips" and "mask", as in
            `ClipDataset.clips(pad=True)`; in a functional model
            `keras.layers.Masking` makes a mask.
        training: whether dropout is active.

    Returns:
        Logits, `[batch, time, classes]`.
    """

    def __init__(
        self,
        encoder,
        classes,
        *,
        dropout=0.0,
        block=16,
        stride=8,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        _check_encoder(encoder, "encode_sequence")
        self.encoder = encoder
        self.classes = whole_number("classes", classes, least=2)
        self.block = whole_number("block", block)
        self.stride = whole_number("stride", stride)
        self.seed = seed
        self.dropout = dropout
        check_ranges(self, dropout="[0, 1)")
        self.supports_masking = True
        self.dropping = keras.layers.Dropout(
            dropout, seed=seed, dtype=self.dtype_policy, name="dropout"
        )
        # Zeros: with few labels, uniform initial probabilities are best.
        self.readout = keras.layers.Dense(
            classes,
            kernel_initializer="zeros",
            dtype=self.dtype_policy,
            name="readout",
        )
        hand_down(self)

    def build(self, clips_shape):
        if not self.encoder.built:
            self.encoder.build(clips_shape)
        _check_encoder(self.encoder, "feature_size")
        sequence_shape = (*clips_shape[:2], self.encoder.feature_size)
        self.dropping.build(sequence_shape)
        self.readout.build(sequence_shape)

    def call(self, clips, mask=None, training=False):
        inputs.check_dtype(tf.as_dtype(clips.dtype))
        sequence = self.encoder.encode_sequence(
            clips, mask=mask, training=training
        )
        return self.readout(self.dropping(sequence, training=training))

    def compute_output_shape(self, clips_shape):
        return (*clips_shape[:2], self.classes)

    def compute_mask(self, clips, mask=None):
        return conversion.as_mask(clips, mask)

    def compile(self, optimizer="rmsprop", loss=None, metrics=None, **kwargs):
        """Keras's `compile`, with the paper's loss and the clips' accuracy.

        Args:
            optimizer: as for `keras.Model.compile`.
            loss: `CrossEntropySumOverSteps` when None.
            metrics: `ClipAccuracy` when None.
            **kwargs: as for `keras.Model.compile`.

        Raises:
            ValueError: for a model that computes in float16 without loss
                scaling.
        """
        super().compile(
            optimizer,
            CrossEntropySumOverSteps() if loss is None else loss,
            metrics=[ClipAccuracy()] if metrics is None else metrics,
            **kwargs,
        )
        check_loss_scaling(self, self.encoder)

    def predict_step(self, data):
        clips, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return clip_probabilities(self(clips, training=False))

    def predict(self, x, *args, **kwargs):
        """Keras's `predict`: probabilities of clips, `[clips, classes]`."""
        return super().predict(x, *args, **kwargs)

    def expected(self, method):
        # Another kind of encoder checks its own inputs.
        clips = inputs.PaddedClips(getattr(self.encoder, "pixels", False))
        if method == "predict":
            return clips, None, None
        # Another loss may have other targets.
        by_label = isinstance(
            getattr(self, "loss", None), CrossEntropySumOverSteps
        )
        labels = inputs.Labels(self.classes) if by_label else None
        return clips, labels, inputs.Weights(per_clip=by_label)

    def predict_videos(self, videos, batch_size=64):
        """Probabilities of videos of any lengths.

        A video that is shorter than a block is one block, with its last frame
        repeated.

        Args:
            videos: a sequence of arrays `[time, ...]`.
            batch_size: blocks that are computed at once.

        Returns:
            `[videos, classes]`: the mean over each video's blocks.

        Raises:
            InputError: if there is no video, or one without frames.
        """
        blocks = [
            (number, start)
            for number, video in enumerate(videos)
            for start in block_starts(len(video), self.block, self.stride)
        ]
        if not blocks:
            raise InputError("Expected at least one video. Received: none")
        sums = np.zeros((len(videos), self.classes))
        counts = np.zeros(len(videos))
        for first in range(0, len(blocks), batch_size):
            rows = blocks[first : first + batch_size]
            clips = np.stack(
                [
                    hold(_scaled(videos[n][s : s + self.block]), self.block)
                    for n, s in rows
                ]
            )
            # Always one shape, so that the model is compiled once.
            padding = [(0, batch_size - len(rows))] + [(0, 0)] * (
                clips.ndim - 1
            )
            found = self.predict_on_batch(np.pad(clips, padding))[: len(rows)]
            owners = [number for number, _ in rows]
            np.add.at(sums, owners, found)
            np.add.at(counts, owners, 1)
        return sums / counts[:, None]

    def check_arguments(self, given):
        if given.get("class_weight") is not None:
            inputs.check_class_weight(given["class_weight"], self.classes)

    def get_config(self):
        return {
            **super().get_config(),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "classes": self.classes,
            "dropout": self.dropout,
            "block": self.block,
            "stride": self.stride,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        config["encoder"] = keras.saving.deserialize_keras_object(
            config["encoder"], custom_objects=custom_objects
        )
        return super().from_config(config)


def _check_encoder(encoder, attribute):
    if not (
        isinstance(encoder, keras.layers.Layer) and hasattr(encoder, attribute)
    ):
        raise InputError(
            "encoder must be an Encoder, or another layer with encode_sequence "
            f"and feature_size. Received: encoder={encoder!r}"
        )


def clip_probabilities(logits):
    """Mean probabilities over the unmasked steps, `[batch, classes]`."""
    probabilities = ops.softmax(logits, axis=-1)
    mask = getattr(logits, "_keras_mask", None)
    if mask is None:
        return ops.mean(probabilities, axis=1)
    read = ops.cast(mask, probabilities.dtype)[..., None]
    # Zeros for a clip without any.
    steps = ops.maximum(ops.sum(read, axis=1), 1)
    return ops.sum(probabilities * read, axis=1) / steps


def _scaled(frames):
    """Frames in floating point, so that a batch can hold several videos."""
    frames = np.asarray(frames)
    inputs.check_dtype(frames.dtype)
    if frames.dtype == np.uint8:
        return frames.astype(np.float32) / 255
    return frames


@keras.saving.register_keras_serializable(package="video_repr")
class ClipAccuracy(keras.metrics.Mean):
    """Share of clips whose most probable class, over all steps, is right."""

    def __init__(self, name="clip_accuracy", **kwargs):
        super().__init__(name=name, **kwargs)

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Counts a batch.

        Args:
            y_true: labels, `[batch]`.
            y_pred: logits, `[batch, time, classes]`.
            sample_weight: weights of the clips.
        """
        found = ops.argmax(clip_probabilities(y_pred), axis=-1)
        labels = inputs.Labels(y_pred.shape[-1]).checked(
            ops.convert_to_tensor(y_true)
        )
        # Not `==`: if only one of the sizes is known, TensorFlow would not know
        # the rank of its result.
        hits = ops.equal(ops.cast(found, labels.dtype), labels)
        hits = ops.where(ops.isnan(labels), labels, hits)
        super().update_state(hits, sample_weight)
