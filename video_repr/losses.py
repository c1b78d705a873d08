"""The paper's losses, named by their reduction.

The losses of frames sum over the values of a frame and average over the frames
of a clip and over clips; this is the unit that the paper reports.
"""

import keras
import tensorflow as tf
from keras import ops

from video_repr import inputs
from video_repr.ranges import check_ranges


class _SumPerFrame(keras.losses.Loss):
    def __call__(self, y_true, y_pred, sample_weight=None):
        # Before Keras casts them.
        y_true = inputs.scale(y_true, self.dtype)
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true, y_pred):
        if not y_true.shape.is_compatible_with(y_pred.shape):
            # Otherwise an axis of size 1 would be broadcast.
            raise ValueError(
                f"{type(self).__name__} compares frames of one shape. "
                f"Received: y_true of shape {tuple(y_true.shape)}, y_pred of "
                f"shape {tuple(y_pred.shape)}"
            )
        errors = self.elementwise(y_true, y_pred)
        per_frame = ops.sum(errors, axis=tuple(range(2, len(errors.shape))))
        return ops.mean(per_frame, axis=1)


@keras.saving.register_keras_serializable(package="video_repr")
class BceSumPerFrame(_SumPerFrame):
    """Cross entropy of logistic outputs, in nats per frame.

    Call arguments:
        y_true: frames in [0, 1], `[batch, time, ...]`.
        y_pred: logits of the same shape, as logistic decoders return them.

    Raises:
        InputError: for frames outside [0, 1], whose loss could be negative. In
            a graph an assertion fails; under XLA the loss is NaN.
    """

    def __init__(self, name="bce_sum_per_frame", **kwargs):
        super().__init__(name=name, **kwargs)

    @staticmethod
    def elementwise(y_true, y_pred):
        y_true = inputs.checked(y_true, pixels=True)
        # -y log s(z) - (1 - y) log(1 - s(z)), which never overflows.
        return ops.softplus(y_pred) - y_true * y_pred


@keras.saving.register_keras_serializable(package="video_repr")
class HalfSsePerFrame(_SumPerFrame):
    """Half the sum of squared errors of a frame.

    Call arguments:
        y_true: frames or percepts, `[batch, time, ...]`.
        y_pred: the same shape, as linear or rectified decoders return them.
    """

    def __init__(self, name="half_sse_per_frame", **kwargs):
        super().__init__(name=name, **kwargs)

    @staticmethod
    def elementwise(y_true, y_pred):
        return 0.5 * ops.square(y_true - y_pred)


@keras.saving.register_keras_serializable(package="video_repr")
class CrossEntropySumOverSteps(keras.losses.Loss):
    """Cross entropy of an action at every step, summed over the steps.

    Call arguments:
        y_true: labels, `[batch]`, whole numbers that count from 0.
        y_pred: logits, `[batch, time, classes]`; steps that their Keras mask
            leaves out have no loss.

    Args:
        label_smoothing: share of the probability of the true class that is
            spread over all classes.

    Raises:
        InputError: for labels that are not a class. In a graph an assertion
            fails; under XLA the loss is NaN.
    """

    def __init__(
        self,
        label_smoothing=0.0,
        name="cross_entropy_sum_over_steps",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        self.label_smoothing = label_smoothing
        check_ranges(self, label_smoothing="[0, 1)")

    def __call__(self, y_true, y_pred, sample_weight=None):
        mask = getattr(y_pred, "_keras_mask", None)
        if mask is not None:
            # Keras would multiply the losses, [batch], by it, [batch, time].
            y_pred = tf.identity(y_pred), ops.cast(mask, self.dtype)
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true, y_pred):
        y_pred, read = y_pred if isinstance(y_pred, tuple) else (y_pred, None)
        # Keras casts labels to the type of the logits.
        labels = inputs.Labels(y_pred.shape[-1]).checked(y_true)
        log_p = ops.log_softmax(y_pred, axis=-1)
        if read is not None:
            log_p *= read[..., None]
        one_hot = ops.one_hot(
            ops.cast(labels, "int32"), y_pred.shape[-1], dtype=log_p.dtype
        )
        of_label = ops.sum(log_p * one_hot[:, None], axis=(1, 2))
        of_all = ops.sum(ops.mean(log_p, axis=-1), axis=1)
        share = self.label_smoothing
        loss = -(1 - share) * of_label - share * of_all
        return ops.where(ops.isnan(labels), float("nan"), loss)

    def get_config(self):
        return {
            **super().get_config(),
            "label_smoothing": self.label_smoothing,
        }
