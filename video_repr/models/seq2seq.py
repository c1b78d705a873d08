"""Autoencoder, future predictor and composite, as one model."""

import contextlib
import functools

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from video_repr import inputs
from video_repr.errors import InputError
from video_repr.layers.shapes import ComputesOutputShape
from video_repr.layers.trainable import SavesTrainable
from video_repr.layers.trainable import hand_down
from video_repr.losses import BceSumPerFrame
from video_repr.losses import HalfSsePerFrame
from video_repr.models import conversion
from video_repr.models.compiled import LoadsCompiled
from video_repr.models.compiled import check_loss_scaling
from video_repr.models.input_checks import ChecksInputs
from video_repr.models.replicas import TrainsReplicas
from video_repr.models.stacked_decoder import StackedDecoder
from video_repr.models.stacked_encoder import StackedEncoder
from video_repr.ranges import whole_number

BRANCHES = ("reconstruction", "future")


@keras.saving.register_keras_serializable(package="video_repr")
class VideoSeq2Seq(
    ChecksInputs,
    TrainsReplicas,
    LoadsCompiled,
    SavesTrainable,
    ComputesOutputShape,
    keras.Model,
):
    """Learns to represent clips by unrolling an encoder's state.

    With a reconstruction decoder it is the paper's autoencoder, with a future
    decoder its future predictor, with both its composite model (sections 2.2
    to 2.4). It learns the reconstruction in reverse order.

    It trains on clips alone; `targets` cuts the targets from them:

    >>> encoder = Encoder(units=(512,))
    >>> model = VideoSeq2Seq(
    ...     encoder,
    ...     {
    ...         "reconstruction": Decoder((512,), 64 * 64),
    ...         "future": Decoder((512,), 64 * 64, conditional=True),
    ...     },
    ...     input_frames=10,
    ...     future_frames=10,
    ... )
    >>> model.compile("adam", jit_compile=True)
    >>> model.fit(clips)

    In Keras's `evaluate`, conditional decoders read their own predictions.

    Args:
        encoder: an `Encoder`.
        decoders: a `Decoder` for "reconstruction", for "future", or for each.
        input_frames: number of frames that the encoder reads.
        future_frames: number of frames after the input that the future decoder
            learns to predict. `predict_future` can predict more or fewer.

    Call arguments:
        clips: `[batch, input_frames + future_frames, ...]`, floating point or
            uint8 pixels. Outside of training the future frames are not read
            and may be missing.
        training: whether the model is trained.

    Returns:
        A dict with the outputs of each decoder, `[batch, input_frames or
        future_frames, ...]`, in the frame shape of the clips. Logistic decoders
        return logits, so that the loss has full precision. `predict` returns
        frames.
    """

    def __init__(
        self, encoder, decoders, *, input_frames, future_frames=0, **kwargs
    ):
        super().__init__(**kwargs)
        if not isinstance(encoder, StackedEncoder):
            raise InputError(
                "encoder must be an Encoder or a ConvEncoder. Received: "
                f"encoder={encoder!r}"
            )
        if not (
            isinstance(decoders, dict)
            and decoders
            and set(decoders) <= set(BRANCHES)
            and all(
                isinstance(one, StackedDecoder) for one in decoders.values()
            )
        ):
            raise InputError(
                "decoders must be a dict with a Decoder or a ConvDecoder for "
                '"reconstruction", for "future", or for each. Received: '
                f"decoders={decoders!r}"
            )
        self.encoder = encoder
        self.decoders = dict(decoders)
        self.input_frames = whole_number("input_frames", input_frames)
        self.future_frames = whole_number(
            "future_frames", future_frames, least=int("future" in decoders)
        )
        hand_down(self)

    @property
    def clip_frames(self):
        """Number of frames of a clip to train on."""
        if "future" in self.decoders:
            return self.input_frames + self.future_frames
        return self.input_frames

    def build(self, clips_shape):
        frame_shape = conversion.frame_shape(clips_shape)
        if self.encoder.pixels is None:
            # Linear outputs can have any values, whatever the frame shape.
            self.encoder.pixels = self._is_logistic
        if not self.encoder.built:
            # A pretrained encoder already has its weights.
            self.encoder.build(
                (clips_shape[0], self.input_frames, *frame_shape)
            )
        states = self.encoder.state_shapes(frame_shape)
        for branch, decoder in self.decoders.items():
            decoder.frame.check(frame_shape, f"for the {branch} decoder")
            grids = [
                of.frame.grid(frame_shape) for of in (self.encoder, decoder)
            ]
            if grids[0] != grids[1]:
                raise InputError(
                    f"Expected a {branch} decoder of states as the encoder's, "
                    f"on a grid of {grids[0]}. Received: one for {grids[1]}"
                )
            if self.encoder.is_scaled and decoder.output == "logistic":
                raise ValueError(
                    "Expected linear or rectified outputs of a model whose "
                    "encoder scales its frames. Received: a logistic "
                    f"{branch} decoder"
                )
            if not decoder.built:
                decoder.build([[(None, *shape)] * 2 for shape in states])

    def call(self, clips, training=False):
        self._check_frames(clips.shape, training)
        frame_shape = tuple(clips.shape[2:])
        # The other frames are not read.
        read = clips if training else clips[:, : self.input_frames]
        frames = self._frames(read)
        with inputs.checking(inputs.Check.SKIP):
            states = self.encoder.encode_states(
                frames[:, : self.input_frames], training=training
            )
            scaled, truths = self.encoder.scaled(frames), {}
            if training:
                truths = self.targets(scaled)
            return {
                branch: self.encoder.frame.restore(
                    decoder(
                        states,
                        steps=self._steps(branch),
                        truth=truths.get(branch),
                        last=scaled[:, self.input_frames - 1],
                        training=training,
                    ),
                    frame_shape,
                )
                for branch, decoder in self.decoders.items()
            }

    def compute_output_shape(self, clips_shape):
        batch, _, *frame_shape = clips_shape
        return {
            branch: (batch, self._steps(branch), *frame_shape)
            for branch in self.decoders
        }

    def targets(self, clips):
        """The targets of each decoder.

        Args:
            clips: `[batch, time, ...]`, as for `call`.

        Returns:
            A dict: "reconstruction", the input frames in reverse order, and
            "future", the frames after them.
        """
        n = self.input_frames
        cut = {
            "reconstruction": clips[:, :n][:, ::-1],
            "future": clips[:, n : n + self.future_frames],
        }
        return {branch: cut[branch] for branch in self.decoders}

    def compile(self, optimizer="rmsprop", loss=None, **kwargs):
        """Keras's `compile`, with the paper's loss by default.

        It is `BceSumPerFrame` for logistic outputs and `HalfSsePerFrame` for
        others, summed over the decoders.

        Args:
            optimizer: as for `keras.Model.compile`.
            loss: as for `keras.Model.compile`, or None.
            **kwargs: as for `keras.Model.compile`.

        Raises:
            ValueError: for a model that computes in float16 without loss
                scaling.
        """
        if loss is None:
            loss = {
                branch: BceSumPerFrame()
                if decoder.output == "logistic"
                else HalfSsePerFrame()
                for branch, decoder in self.decoders.items()
            }
        super().compile(optimizer=optimizer, loss=loss, **kwargs)
        check_loss_scaling(self, self.encoder, *self.decoders.values())
        # Compiled with XLA if the step is.
        vars(self).pop("_predict_future", None)

    def make_variables(self):
        super().make_variables()
        own = BceSumPerFrame, HalfSsePerFrame
        if type(self).compute_loss is not VideoSeq2Seq.compute_loss or not (
            self.built
            and self.compiled
            and isinstance(self.loss, dict)
            and all(isinstance(loss, own) for loss in self.loss.values())
        ):
            return
        # The means of the decoders' losses.
        frames = {
            branch: np.zeros((1, self._steps(branch), 1), np.float32)
            for branch in self.decoders
        }
        with self.distribute_strategy.scope():
            self.compute_loss(None, frames, frames)
        self.reset_metrics()

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        # Targets that are cut from the clips have been checked with them.
        how = inputs.checking(inputs.Check.SKIP)
        with contextlib.nullcontext() if y is not None else how:
            return super().compute_loss(
                x, self._truth(x, y), y_pred, sample_weight, training
            )

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return super().compute_metrics(
            x, self._truth(x, y), y_pred, sample_weight
        )

    def predict(self, x, *args, **kwargs):
        """Keras's `predict`: frames for clips.

        Args:
            x: `[clips, input_frames or more, ...]`.
            *args: as for `keras.Model.predict`.
            **kwargs: as for `keras.Model.predict`.

        Returns:
            A dict with the frames of each decoder, `[clips, time, ...]`; the
            reconstruction is in the order of the clip.
        """
        return super().predict(x, *args, **kwargs)

    def expected(self, method):
        learns = method != "predict"
        frame = self.encoder.frame
        clips = inputs.Clips(
            self._reads_pixels,
            self.clip_frames if learns else self.input_frames,
            frame,
        )
        if not learns:
            return clips, None, None
        targets = inputs.Targets(
            {
                branch: inputs.Clips(
                    decoder.output == "logistic",
                    self._steps(branch),
                    frame,
                )
                for branch, decoder in self.decoders.items()
            }
        )
        return clips, targets, inputs.Weights()

    def predict_step(self, data):
        clips, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        frames = {
            branch: self.encoder.unscaled(
                self.decoders[branch].to_frames(outputs)
            )
            for branch, outputs in self(clips, training=False).items()
        }
        if "reconstruction" in frames:
            frames["reconstruction"] = frames["reconstruction"][:, ::-1]
        return frames

    def predict_future(self, clips, steps, batch_size=32):
        """Predicts any number of frames.

        Args:
            clips: `[clips, input_frames, ...]`; frames after those are not
                read.
            steps: number of frames to predict.
            batch_size: number of clips in a batch.

        Returns:
            An array of frames, `[clips, steps, ...]`, float32.

        Raises:
            ValueError: if the model has no future decoder.
        """
        if "future" not in self.decoders:
            raise ValueError(
                "predict_future needs a model with a future decoder. "
                f"Received: a model with {sorted(self.decoders)}"
            )
        clips = np.asarray(clips)
        expected, _, _ = self.expected("predict")
        expected.check(clips)
        clips = clips[:, : self.input_frames]
        # NumPy's integers would become tensors inside.
        steps = whole_number("steps", steps)
        return np.concatenate(
            [
                self._predict_future(
                    tf.convert_to_tensor(clips[i : i + batch_size]), steps
                )
                for i in range(0, len(clips), batch_size)
            ]
        )

    @functools.cached_property
    def _predict_future(self):
        @tf.function(reduce_retracing=True, jit_compile=bool(self.jit_compile))
        def predict(batch, steps):
            decoder = self.decoders["future"]
            # The clips have been checked.
            with inputs.checking(inputs.Check.SKIP):
                read = self._frames(batch)
                states = self.encoder.encode_states(read, training=False)
                last = self.encoder.scaled(read[:, -1:])[:, 0]
                frames = decoder.to_frames(
                    decoder(states, steps=steps, last=last)
                )
            frames = self.encoder.unscaled(frames)
            frames = self.encoder.frame.restore(frames, batch.shape[2:])
            return ops.cast(frames, "float32")

        return predict

    def get_config(self):
        return {
            **super().get_config(),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "decoders": {
                branch: keras.saving.serialize_keras_object(decoder)
                for branch, decoder in self.decoders.items()
            },
            "input_frames": self.input_frames,
            "future_frames": self.future_frames,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        for key in ("encoder", "decoders"):
            config[key] = keras.saving.deserialize_keras_object(
                config[key], custom_objects=custom_objects
            )
        return super().from_config(config)

    def _steps(self, branch):
        if branch == "future":
            return self.future_frames
        return self.input_frames

    def check_arguments(self, given):
        # Without y, Keras ignores weights silently.
        for name in ("sample_weight", "class_weight"):
            if given.get("y") is None and given.get(name) is not None:
                raise ValueError(
                    f"{name} needs targets of one's own, "
                    "y=model.targets(clips). Received: y=None"
                )

    def _frames(self, clips):
        return self.encoder.frames(
            clips, self.compute_dtype, self._reads_pixels
        )

    @property
    def _is_logistic(self):
        return any(
            decoder.output == "logistic" for decoder in self.decoders.values()
        )

    @property
    def _reads_pixels(self):
        # Cross entropy needs values in [0, 1]. Linear outputs can have any
        # values, whatever the frame shape.
        return self._is_logistic or bool(self.encoder.pixels)

    def _truth(self, clips, y):
        if y is None:
            y = self.targets(clips)
        return tf.nest.map_structure(
            lambda frames: self.encoder.scaled(inputs.scale(frames, "float32")),
            y,
        )

    def _check_frames(self, shape, training):
        received = shape[1]
        if received is None:
            return
        needed = self.clip_frames if training else self.input_frames
        if received < needed:
            raise ValueError(
                f"Clips need {needed} frames"
                f"{' in training' if training else ''} ({self.input_frames} "
                f"to read, {self.clip_frames - self.input_frames} to "
                f"predict). Received: clips of shape {tuple(shape)}"
            )
