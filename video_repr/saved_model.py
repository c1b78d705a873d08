"""Encoders to take away: Reusable SavedModels and .keras files."""

import math

import tensorflow as tf

from video_repr.errors import InputError
from video_repr.files import whole_directory
from video_repr.files import write_json


def export_encoder(encoder, directory, frame_shape, config=None):
    """Writes an encoder as a Reusable SavedModel and as a .keras file.

    `tf.saved_model.load(directory)` needs nothing of video_repr. What it
    loads is callable on clips, `[batch, time, *frame_shape]` or `[batch,
    time, features]`, float32 and in [0, 1] for images, with `training` True
    or False, and returns the top layer's last h, `[batch, units]`; it has
    `variables`, `trainable_variables` and `regularization_losses`, and the
    signatures

        serving_default  clips -> features [batch, units]
        sequence         clips -> features [batch, time, units], every step
        states           clips -> h_1, c_1, h_2, ... [batch, units], by layer

    `encoder.keras` beside it is for `keras.models.load_model`.

    Args:
        encoder: a built `Encoder`.
        directory: directory to write; one that exists is replaced.
        frame_shape: shape of a frame, for example (64, 64).
        config: JSON-ready record of what made the encoder, for config.json.

    Raises:
        InputError: if the frame shape does not fit the encoder.
    """
    if math.prod(frame_shape) != encoder.features:
        raise InputError(
            f"Expected a frame shape of {encoder.features} values. Received: "
            f"{tuple(frame_shape)}"
        )
    clips = tf.TensorSpec((None, None, *frame_shape), tf.float32, "clips")
    flat = tf.TensorSpec((None, None, encoder.features), tf.float32, "clips")
    # A Checkpoint rather than a tf.Module, whose `variables` is a property
    # and is not saved.
    artefact = tf.train.Checkpoint()
    artefact.variables = [v.value for v in encoder.variables]
    artefact.trainable_variables = [
        v.value for v in encoder.trainable_variables
    ]
    artefact.regularization_losses = [
        _regularization_loss(v)
        for v in encoder.trainable_variables
        if v.regularizer is not None
    ]

    @tf.function
    def call(clips, training=False):
        return encoder(clips, training=training)[-1][0]

    for spec in {clips, flat}:
        for training in (False, True):
            call.get_concrete_function(spec, training=training)
    artefact.__call__ = call

    @tf.function(input_signature=[clips])
    def features(clips):
        return {"features": encoder(clips)[-1][0]}

    @tf.function(input_signature=[clips])
    def sequence(clips):
        return {"features": encoder(clips, return_sequences=True)[0]}

    @tf.function(input_signature=[clips])
    def states(clips):
        return {
            f"{name}_{layer}": value
            for layer, state in enumerate(encoder(clips), start=1)
            for name, value in zip("hc", state, strict=True)
        }

    with whole_directory(directory) as partial:
        tf.saved_model.save(
            artefact,
            str(partial),
            signatures={
                "serving_default": features,
                "sequence": sequence,
                "states": states,
            },
        )
        encoder.save(partial / "encoder.keras")
        if config is not None:
            write_json(partial / "config.json", config)


def _is_export(directory):
    return all(
        (directory / name).is_file()
        for name in ("saved_model.pb", "encoder.keras", "config.json")
    )


def _regularization_loss(variable):
    return tf.function(
        lambda: variable.regularizer(variable.value), input_signature=[]
    )


def export_run(run, directory=None):
    """Exports the encoder of a run's best checkpoint.

    Args:
        run: a `runs.Run`.
        directory: directory to write; None for the run's own `export`.

    Returns:
        The directory.

    Raises:
        InputError: if the run cannot be read, or the directory is there and
            is no export.
    """
    directory = run.export if directory is None else directory
    if directory.exists() and not _is_export(directory):
        raise InputError(
            "Expected a new directory, or an export to replace. Received: "
            f"{str(directory)!r}, which has other files"
        )
    model = run.model()
    # As it was built: the dataset may be gone.
    frame_shape = tuple(model.get_build_config()["input_shape"][2:])
    config = run.config().to_dict()
    export_encoder(model.encoder, directory, frame_shape, config)
    return directory
