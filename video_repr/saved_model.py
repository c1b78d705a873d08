"""Encoders to take away: Reusable SavedModels and .keras files."""

import contextlib
import math

import keras
import tensorflow as tf

from video_repr import artefact
from video_repr.errors import InputError
from video_repr.files import whole_directory
from video_repr.layers import recurrence
from video_repr.models import frames as _frames


def export_encoder(encoder, directory, frame_shape, **options):
    """Writes an encoder as a Reusable SavedModel and as a .keras file.

    `tf.saved_model.load(directory)` needs nothing of video_repr. What it
    loads is callable on clips, `[batch, time, *frame_shape]` or `[batch,
    time, features]`, float32 and in [0, 1] for pixels, with `training` True
    or False, and returns the top layer's last h, `[batch, units]`; it has
    `variables`, `trainable_variables` and `regularization_losses`, and the
    signatures

        serving_default  clips -> features [batch, units]
        encode           the same
        sequence         clips -> features [batch, time, units], every step
        states           clips -> h_1, c_1, h_2, ... [batch, units], by layer
        step             frame [batch, *frame_shape] and states -> states
        predict_future   states and steps -> frames [batch, steps,
                         *frame_shape], where a future decoder is given

    Its `unrolled` is like itself for clips of `input_frames`, written out
    step by step, so that it can be fine-tuned under XLA. `encoder.keras`
    beside it is for `keras.models.load_model`. `SavedModelEncoder` makes a
    Keras layer of the SavedModel alone. Weights and computation are float32.

    Args:
        encoder: a built `Encoder`.
        directory: directory to write; one that exists is replaced.
        frame_shape: shape of a frame, for example (64, 64).
        **options: as for `write_encoder`.

    Raises:
        InputError: if the frame shape does not fit the encoder.
    """
    with whole_directory(directory) as partial:
        write_encoder(encoder, partial, frame_shape, **options)
        artefact.seal(partial)


def write_encoder(
    encoder,
    directory,
    frame_shape,
    *,
    future=None,
    input_frames=None,
    pixels=False,
    **about,
):
    """Writes all of an export but what tells about it.

    Args:
        encoder: as for `export_encoder`.
        directory: an existing directory.
        frame_shape: as for `export_encoder`.
        future: the `Decoder` of the frames after a clip.
        input_frames: number of frames that the encoder was trained to read;
            without it nothing is unrolled.
        pixels: whether frames must be in [0, 1].
        **about: JSON-ready records for config.json.

    Raises:
        InputError: if the frame shape does not fit the encoder.
    """
    frame_shape = tuple(frame_shape)
    if math.prod(frame_shape) != encoder.features:
        raise InputError(
            f"Expected a frame shape of {encoder.features} values. Received: "
            f"{frame_shape}"
        )
    encoder = _in_float32(encoder, (None, None, encoder.features))
    flat = (encoder.features,)
    with recurrence.for_executor():
        root = _reusable(encoder, None, {frame_shape, flat}, pixels)
        signatures = _signatures(encoder, root.read, frame_shape, pixels)
    if input_frames is not None:
        with _unrolled(encoder):
            # Many operations, and a file of megabytes for each shape.
            root.unrolled = _reusable(
                encoder, input_frames, {frame_shape}, pixels
            )
    if future is not None:
        future = _in_float32(future)
        root.future = tf.train.Checkpoint()
        root.future.variables = [v.value for v in future.variables]
        with recurrence.for_executor():
            signatures["predict_future"] = _predict_future(
                encoder, future, frame_shape
            )
    with _warnings_only(tf.get_logger()):
        tf.saved_model.save(root, str(directory), signatures=signatures)
    encoder.save(directory / "encoder.keras")
    artefact.write_config(
        directory,
        {
            "units": list(encoder.units),
            "frame_shape": list(frame_shape),
            "input_frames": input_frames,
            "pixels": pixels,
            "predicts_future": future is not None,
        },
        **about,
    )


def _reusable(encoder, time, frame_shapes, pixels):
    """A callable with variables, for clips `[batch, time, *frame_shape]`."""
    # A Checkpoint rather than a tf.Module, whose `variables` is a property
    # and is not saved.
    root = tf.train.Checkpoint()
    root.variables = [v.value for v in encoder.variables]
    root.trainable_variables = [v.value for v in encoder.trainable_variables]
    root.regularization_losses = [
        _regularization_loss(v)
        for v in encoder.trainable_variables
        if v.regularizer is not None
    ]

    draws = any(
        (encoder.dropout, encoder.input_dropout, encoder.recurrent_dropout)
    )

    # All that is exported calls this one: each time that it is traced, and
    # its gradient with it, takes seconds.
    @tf.function
    def run(clips, training):
        _check_values(clips, pixels)
        return encoder(clips, return_sequences=True, training=training)

    @tf.function
    def read(clips, training=False):
        return run(clips, training and draws)

    @tf.function
    def call(clips, training=False):
        _, states = run(clips, training and draws)
        return states[-1][0]

    for shape in frame_shapes:
        clips = tf.TensorSpec((None, time, *shape), tf.float32, "clips")
        for training in (False, True):
            call.get_concrete_function(clips, training=training)
            read.get_concrete_function(clips, training=training)
    root.__call__ = call
    root.read = read
    return root


def _signatures(encoder, read, frame_shape, pixels):
    clips = tf.TensorSpec((None, None, *frame_shape), tf.float32, "clips")
    frame = tf.TensorSpec((None, *frame_shape), tf.float32, "frame")

    @tf.function(input_signature=[clips])
    def features(clips):
        _, states = read(clips)
        return {"features": states[-1][0]}

    @tf.function(input_signature=[clips])
    def sequence(clips):
        sequence, _ = read(clips)
        return {"features": sequence}

    @tf.function(input_signature=[clips])
    def states(clips):
        _, states = read(clips)
        return _named(states)

    @tf.function
    def step(frame, **states):
        _check_values(frame, pixels)
        return _named(encoder(frame[:, None], initial_states=_by_layer(states)))

    return {
        "serving_default": features,
        "encode": features,
        "sequence": sequence,
        "states": states,
        "step": step.get_concrete_function(frame, **_state_specs(encoder)),
    }


def _predict_future(encoder, decoder, frame_shape):
    @tf.function
    def predict_future(steps, **states):
        tf.debugging.Assert(
            steps >= 1, ["Expected steps of at least 1. Received:", steps]
        )
        # Two at least, for decoders whose first frame takes no transition.
        outputs = decoder(_by_layer(states), steps=tf.maximum(steps, 2))
        frames = encoder.unscaled(decoder.to_frames(outputs[:, :steps]))
        shape = (tf.shape(frames)[0], steps, *frame_shape)
        return {"frames": tf.reshape(frames, shape)}

    steps = tf.TensorSpec((), tf.int32, "steps")
    return predict_future.get_concrete_function(steps, **_state_specs(encoder))


def _state_specs(encoder):
    return {
        name: tf.TensorSpec((None, units), tf.float32, name)
        for layer, units in enumerate(encoder.units, start=1)
        for name in (f"h_{layer}", f"c_{layer}")
    }


def _named(states):
    return {
        f"{name}_{layer}": value
        for layer, state in enumerate(states, start=1)
        for name, value in zip("hc", state, strict=True)
    }


def _by_layer(states):
    return [
        [states[f"h_{layer}"], states[f"c_{layer}"]]
        for layer in range(1, len(states) // 2 + 1)
    ]


def _check_values(frames, pixels):
    """Refuses frames in the graph; XLA leaves the question out."""
    finite = tf.reduce_all(tf.math.is_finite(frames))
    tf.debugging.Assert(
        finite, ["Expected finite values. Received: NaN or infinity"]
    )
    if pixels:
        low, high = tf.reduce_min(frames), tf.reduce_max(frames)
        tf.debugging.Assert(
            # Of no frames they are infinite the wrong way round.
            (low >= 0) & (high <= 1),
            ["Expected pixels in [0, 1]. Received: from", low, "to", high],
        )


@contextlib.contextmanager
def _unrolled(encoder):
    for lstm in encoder.lstms:
        lstm.unroll = True
    try:
        yield
    finally:
        for lstm in encoder.lstms:
            lstm.unroll = encoder.unroll


@contextlib.contextmanager
def _warnings_only(logger):
    # It would tell of a directory that is about to be renamed.
    level = logger.level
    logger.setLevel("WARNING")
    try:
        yield
    finally:
        logger.setLevel(level)


def _in_float32(layer, *shapes):
    """A built layer that computes in float32, with the weights of one."""
    if layer.compute_dtype == "float32":
        return layer
    twin = type(layer).from_config({**layer.get_config(), "dtype": "float32"})
    twin.build(*shapes)
    twin.set_weights(layer.get_weights())
    return twin


def _regularization_loss(variable):
    return tf.function(
        lambda: variable.regularizer(variable.value), input_signature=[]
    )


@keras.saving.register_keras_serializable(package="video_repr")
class SavedModelEncoder(keras.layers.Layer):
    """An exported encoder as a Keras layer, of the SavedModel alone.

    For fine-tuning with Keras where `encoder.keras` is not at hand; an
    `ActionClassifier` takes it like an `Encoder`.

    Example:
    >>> encoder = SavedModelEncoder("saved_models/demo/1")
    >>> model = keras.Sequential([encoder, keras.layers.Dense(2)])

    Args:
        directory: an export. A `.keras` file that holds this layer has its
            weights, and needs the export to be there still.
        unroll: read clips of the length that the encoder was trained on, and
            no other, step by step written out. XLA can compile that, and not
            the loop that reads clips of any length.

    Call arguments:
        clips: `[batch, time, *frame_shape]` or `[batch, time, features]`,
            float32, as the encoder reads them; or uint8 pixels, which are
            scaled to [0, 1].
        return_sequences: whether to return what an `Encoder` returns then.
        training: whether dropout is active.

    Returns:
        The top layer's last h, `[batch, units]`; with `return_sequences` the
        pair `(sequence, states)` of `Encoder`.

    Raises:
        InputError: if there is no export of an encoder, it is broken or
            altered, or of a newer version of this package.
    """

    def __init__(self, directory, unroll=False, **kwargs):
        # It computes in float32, whatever the policy.
        super().__init__(**{"dtype": "float32", "autocast": False, **kwargs})
        self.directory = str(directory)
        self.unroll = unroll
        self._about = artefact.check(directory)["encoder"]
        self._saved = _load(directory)
        self.units = tuple(self._about["units"])
        self.frame_shape = tuple(self._about["frame_shape"])
        self.features = math.prod(self.frame_shape)
        if unroll and self._about["input_frames"] is None:
            raise InputError(
                "Expected an export with a length of clips for unroll=True. "
                f"Received: {self.directory!r} without"
            )
        trainable = {id(v) for v in self._saved.trainable_variables}
        for variable in self._saved.variables:
            self._track_variable(
                keras.Variable(
                    variable,
                    trainable=id(variable) in trainable,
                    dtype=variable.dtype.name,
                    # As it was called before it was exported.
                    name=variable.name.partition(":")[0].replace("/", "_"),
                )
            )
        self.supports_jit = unroll
        self.built = True

    def call(self, clips, return_sequences=False, training=False):
        clips = _frames.scale(clips, "float32")
        self._check(clips.shape)
        if len(clips.shape) == 3:
            batch, time = keras.ops.shape(clips)[:2]
            clips = keras.ops.reshape(clips, (batch, time, *self.frame_shape))
        read = self._saved.unrolled if self.unroll else self._saved
        for loss in self._saved.regularization_losses:
            self.add_loss(loss())
        # Exported once for each.
        training = bool(training)
        if return_sequences:
            return read.read(clips, training=training)
        return read(clips, training=training)

    def _check(self, shape):
        """Refuses clips of another shape than the export's."""
        time = self._about["input_frames"] if self.unroll else None
        if tuple(shape[2:]) not in (self.frame_shape, (self.features,)) or (
            time is not None and shape[1] != time
        ):
            expected = ("batch", time or "time", *self.frame_shape)
            raise ValueError(
                f"{self.directory} reads clips of shape "
                f"[{', '.join(map(str, expected))}]. Received: {tuple(shape)}"
            )

    def get_config(self):
        return {
            **super().get_config(),
            "directory": self.directory,
            "unroll": self.unroll,
        }


def _load(path):
    try:
        return tf.saved_model.load(str(path))
    except Exception as error:
        # TensorFlow has many types for what a broken SavedModel raises.
        raise InputError(
            f"Expected a whole export. Received: {str(path)!r}: {error}"
        ) from error
