"""Writes encoders as Reusable SavedModels and .keras files."""

import contextlib
import dataclasses

import tensorflow as tf

from video_repr import inputs
from video_repr.errors import InputError
from video_repr.export import layout
from video_repr.files import whole_directory
from video_repr.layers import recurrence


def export_encoder(
    encoder,
    directory,
    frame_shape,
    *,
    future=None,
    input_frames=None,
    pixels=None,
):
    """Writes an encoder as a Reusable SavedModel and as a .keras file.

    `tf.saved_model.load(directory)` does not need video_repr. Call the loaded
    object on clips, `[batch, time, *frame_shape]` or `[batch, time, features]`,
    float32 and in [0, 1] for pixels, with `training` True or False. It returns
    the features after the last frame, `[batch, feature_size]`. It has
    `variables`, `trainable_variables` and `regularization_losses`, and the
    signatures

        serving_default  clips -> features [batch, feature_size]
        encode           the same
        sequence         clips -> features [batch, time, feature_size], every
                         step
        states           clips -> h_1, c_1, h_2, ... [batch, units], by layer
        step             frame [batch, *frame_shape] and states -> states
        predict_future   states and steps -> frames [batch, steps,
                         *frame_shape], if a future decoder is given; a
                         residual one also takes the last frame

    Those of a `ConvEncoder` read pictures of any size that its patch divides,
    and their states are maps, `[batch, rows, columns, filters]`.

    It can be fine-tuned, under XLA too. `keras.models.load_model` reads
    `encoder.keras` beside it. `SavedModelEncoder` makes a Keras layer of the
    SavedModel. Weights and computation are float32.

    Args:
        encoder: a built `Encoder`.
        directory: directory to write; an export in it is replaced.
        frame_shape: shape of a frame, for example (64, 64).
        future: the `Decoder` of the frames after a clip, built.
        input_frames: number of frames that the encoder was trained to read, for
            config.json.
        pixels: whether frames must be in [0, 1]; the encoder's own setting
            when None.

    Raises:
        InputError: if the encoder or the decoder is not built, the frame
            shape does not fit them, or the directory exists and is not an
            export.
    """
    with whole_directory(directory, layout.EXPORT) as partial:
        write_encoder(
            encoder,
            partial,
            frame_shape,
            future=future,
            input_frames=input_frames,
            pixels=pixels,
        )
        layout.seal(partial)


def write_encoder(
    encoder,
    directory,
    frame_shape,
    *,
    future=None,
    input_frames=None,
    pixels=None,
    about=None,
):
    """Writes an export without its card, metrics and checksums.

    Args:
        encoder: as for `export_encoder`.
        directory: an existing directory.
        frame_shape: as for `export_encoder`.
        future: as for `export_encoder`.
        input_frames: as for `export_encoder`.
        pixels: as for `export_encoder`.
        about: JSON-ready entries for config.json, by name.

    Raises:
        InputError: as for `export_encoder`.
    """
    frame_shape = tuple(frame_shape)
    _check_fits(encoder, future, frame_shape)
    encoder = _in_float32(encoder)
    if pixels is None:
        pixels = inputs.are_pixels(encoder.pixels, (None, None, *frame_shape))
    root, signatures = _reusable(encoder, frame_shape, pixels)
    if future is not None:
        future = _in_float32(future)
        root.future = tf.train.Checkpoint()
        root.future.variables = [v.value for v in future.variables]
        signatures["predict_future"] = _predict_future(
            encoder, future, frame_shape
        )
    with _warnings_only(tf.get_logger()):
        tf.saved_model.save(root, str(directory), signatures=signatures)
    encoder.save(directory / "encoder.keras")
    layout.write_config(
        directory,
        {
            "units": list(encoder.units),
            "feature_size": encoder.feature_size,
            "pictures": _pictures(encoder.frame),
            "frame_shape": list(frame_shape),
            "input_frames": input_frames,
            "pixels": pixels,
            "predicts_future": future is not None,
        },
        **(about or {}),
    )


def _check_fits(encoder, future, frame_shape):
    """Refuses layers that are not built or do not fit together."""
    for name, part in (("encoder", encoder), ("future decoder", future)):
        if part is not None and not part.built:
            raise InputError(
                f"Expected a built {name}, which has weights. Received: one "
                "that has not been called"
            )
        if part is not None:
            part.frame.check(frame_shape, f"for the {name}")


def _pictures(frame):
    """What pictures an encoder reads; None if its frames are flat."""
    is_picture = isinstance(frame, inputs.Pictures)
    return dataclasses.asdict(frame) if is_picture else None


def _reusable(encoder, frame_shape, pixels):
    """A callable object with variables, and its signatures."""
    # A Checkpoint rather than a tf.Module: the `variables` of a Module is a
    # property, which is not saved.
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

    # All exported functions call this one, whatever the shape of their frames:
    # tracing it and its gradient takes seconds each time.
    @tf.function
    def run(clips, training):
        clips = inputs.checked(clips, pixels)
        # Set here, during tracing, as saving traces once more.
        with recurrence.for_executor(), inputs.checking(inputs.Check.SKIP):
            return encoder(clips, training=training, give="both")

    @tf.function
    def read(clips, training=False):
        return run(encoder.frame.arrange(clips), training and draws)

    @tf.function
    def call(clips, training=False):
        _, states = read(clips, training)
        return encoder.read_out(states[-1][0])

    for shape in encoder.frame.shapes(frame_shape):
        clips = tf.TensorSpec((None, None, *shape), tf.float32, "clips")
        for training in (False, True):
            call.get_concrete_function(clips, training=training)
            read.get_concrete_function(clips, training=training)
    root.__call__ = call
    root.read = read
    return root, _signatures(encoder, read, frame_shape, pixels)


def _signatures(encoder, read, frame_shape, pixels):
    shape = encoder.frame.shapes(frame_shape)[0]
    clips = tf.TensorSpec((None, None, *shape), tf.float32, "clips")
    frame = tf.TensorSpec((None, *shape), tf.float32, "frame")

    @tf.function(input_signature=[clips])
    def features(clips):
        _, states = read(clips)
        return {"features": encoder.read_out(states[-1][0])}

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
        frame = inputs.checked(frame, pixels)
        states = {name: inputs.checked(value) for name, value in states.items()}
        with recurrence.for_executor(), inputs.checking(inputs.Check.SKIP):
            return _named(
                encoder.encode_states(
                    frame[:, None], initial_states=_by_layer(states)
                )
            )

    return {
        "serving_default": features,
        "encode": features,
        "sequence": sequence,
        "states": states,
        "step": step.get_concrete_function(
            frame, **_state_specs(encoder, shape)
        ),
    }


def _predict_future(encoder, decoder, frame_shape):
    shape = encoder.frame.shapes(frame_shape)[0]

    @tf.function
    def predict_future(steps, frame=None, **states):
        tf.debugging.Assert(
            steps >= 1, ["Expected steps of at least 1. Received:", steps]
        )
        # At least two steps, for decoders whose first frame takes no
        # transition.
        last = None
        if frame is not None:
            last = encoder.last(frame[:, None])
        with recurrence.for_executor():
            outputs = decoder(
                _by_layer(states), steps=tf.maximum(steps, 2), last=last
            )
        frames = encoder.unscaled(decoder.to_frames(outputs[:, :steps]))
        return {"frames": encoder.frame.restore(frames, shape)}

    given = {"steps": tf.TensorSpec((), tf.int32, "steps")}
    if decoder.residual:
        given["frame"] = tf.TensorSpec((None, *shape), tf.float32, "frame")
    return predict_future.get_concrete_function(
        **given, **_state_specs(encoder, shape)
    )


def _state_specs(encoder, frame_shape):
    shapes = encoder.state_shapes(frame_shape)
    return {
        name: tf.TensorSpec((None, *shape), tf.float32, name)
        for layer, shape in enumerate(shapes, start=1)
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


@contextlib.contextmanager
def _warnings_only(logger):
    # It would log a directory that is about to be renamed.
    level = logger.level
    logger.setLevel("WARNING")
    try:
        yield
    finally:
        logger.setLevel(level)


def _in_float32(layer):
    """A built copy of a layer that computes in float32, with its weights."""
    if layer.compute_dtype == "float32":
        return layer
    twin = type(layer).from_config({**layer.get_config(), "dtype": "float32"})
    twin.build_from_config(layer.get_build_config())
    twin.set_weights(layer.get_weights())
    return twin


def _regularization_loss(variable):
    return tf.function(
        lambda: variable.regularizer(variable.value), input_signature=[]
    )
