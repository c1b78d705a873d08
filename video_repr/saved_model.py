"""Encoders to take away: Reusable SavedModels and .keras files."""

import json
import math
import pathlib

import keras
import tensorflow as tf

from video_repr.errors import InputError
from video_repr.files import whole_directory
from video_repr.files import write_json


def export_encoder(encoder, directory, frame_shape, config=None, videos=None):
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
    `SavedModelEncoder` makes a Keras layer of the SavedModel alone.

    Args:
        encoder: a built `Encoder`.
        directory: directory to write; one that exists is replaced.
        frame_shape: shape of a frame, for example (64, 64).
        config: JSON-ready record of what made the encoder, for config.json.
        videos: names of the videos that it learned from by split, for
            videos.json.

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

    @tf.function
    def read(clips, training=False):
        return encoder(clips, return_sequences=True, training=training)

    for spec in {clips, flat}:
        for training in (False, True):
            call.get_concrete_function(spec, training=training)
            read.get_concrete_function(spec, training=training)
    artefact.__call__ = call
    artefact.read = read

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
        if videos is not None:
            write_json(partial / "videos.json", videos)


@keras.saving.register_keras_serializable(package="video_repr")
class SavedModelEncoder(keras.layers.Layer):
    """An exported encoder as a Keras layer, of the SavedModel alone.

    For fine-tuning with Keras where `encoder.keras` is not at hand; an
    `ActionClassifier` takes it like an `Encoder`. It cannot be compiled by
    XLA: an `Encoder` can.

    Example:
    >>> encoder = SavedModelEncoder("runs/demo/export")
    >>> model = keras.Sequential([encoder, keras.layers.Dense(2)])

    Args:
        directory: an export. A `.keras` file that holds this layer has its
            weights, and needs the export to be there still.

    Call arguments:
        clips: `[batch, time, *frame_shape]` or `[batch, time, features]`,
            float32, as the encoder reads them.
        return_sequences: whether to return what an `Encoder` returns then.
        training: whether dropout is active.

    Returns:
        The top layer's last h, `[batch, units]`; with `return_sequences` the
        pair `(sequence, states)` of `Encoder`.

    Raises:
        InputError: if there is no export of an encoder.
    """

    def __init__(self, directory, **kwargs):
        super().__init__(**kwargs)
        self.directory = str(directory)
        self._artefact = _load(directory)
        trainable = {id(v) for v in self._artefact.trainable_variables}
        for variable in self._artefact.variables:
            self._track_variable(
                keras.Variable(
                    variable,
                    trainable=id(variable) in trainable,
                    dtype=variable.dtype.name,
                    # As it was called before it was exported.
                    name=variable.name.partition(":")[0].replace("/", "_"),
                )
            )
        last = self._artefact.signatures["sequence"]
        self.units = (last.structured_outputs["features"].shape[-1],)
        self.supports_jit = False
        self.built = True

    def call(self, clips, return_sequences=False, training=False):
        for loss in self._artefact.regularization_losses:
            self.add_loss(loss())
        # Exported once for each.
        training = bool(training)
        if return_sequences:
            return self._artefact.read(clips, training=training)
        return self._artefact(clips, training=training)

    def get_config(self):
        return {**super().get_config(), "directory": self.directory}


def _load(path):
    if not (pathlib.Path(path) / "saved_model.pb").is_file():
        raise InputError(
            f"Expected an export with saved_model.pb. Received: {str(path)!r}"
        )
    try:
        artefact = tf.saved_model.load(str(path))
    except Exception as error:
        # TensorFlow has many types for what a broken SavedModel raises.
        raise InputError(
            f"Expected a whole export. Received: {str(path)!r}: {error}"
        ) from error
    missing = [
        name
        for name in ("variables", "trainable_variables", "read")
        if not hasattr(artefact, name)
    ]
    if missing:
        raise InputError(
            f"Expected an encoder that video_repr exported. Received: "
            f"{str(path)!r} without {', '.join(missing)}"
        )
    return artefact


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
    config, videos = run.config().to_dict(), None
    if run.videos_file.exists():
        videos = json.loads(run.videos_file.read_text())
    export_encoder(model.encoder, directory, frame_shape, config, videos)
    return directory
