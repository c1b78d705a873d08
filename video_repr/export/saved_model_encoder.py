"""Exported encoders as Keras layers."""

import keras
import tensorflow as tf

from video_repr import inputs
from video_repr.errors import InputError
from video_repr.export import layout
from video_repr.layers.features import ReturnsFeatures


@keras.saving.register_keras_serializable(package="video_repr")
class SavedModelEncoder(ReturnsFeatures, keras.layers.Layer):
    """An exported encoder as a Keras layer, from its SavedModel.

    It computes and fine-tunes like the SavedModel without video_repr;
    `encoder.keras` has the `Encoder` itself. An `ActionClassifier` can use
    either.

    Example:
    >>> encoder = SavedModelEncoder("saved_models/demo/1")
    >>> model = keras.Sequential([encoder, keras.layers.Dense(2)])

    Args:
        directory: an export. A `.keras` file with this layer contains its
            weights and this path, exactly as given; to load the file, the
            export must still be there.
        return_sequences: as for `Encoder`.
        return_state: as for `Encoder`.

    Call arguments:
        clips: `[batch, time, *frame_shape]` or `[batch, time, features]`,
            floating point and finite, pixels in [0, 1]; or uint8 pixels,
            which are scaled to [0, 1]. In a model Keras casts uint8 to float
            first, unless the input is `keras.Input(..., dtype="uint8")`.
        initial_states: not supported, and no mask either; the `Encoder` in
            `encoder.keras` takes both.
        training: whether dropout is active.

    Returns:
        The same as an `Encoder`.

    Raises:
        InputError: if there is no export of an encoder, or it is broken,
            altered, or written by a newer version of this package.
    """

    def __init__(
        self, directory, *, return_sequences=False, return_state=False, **kwargs
    ):
        # It computes in float32, whatever the dtype policy.
        super().__init__(
            return_sequences=return_sequences,
            return_state=return_state,
            **{"dtype": "float32", "autocast": False, **kwargs},
        )
        self.directory = str(directory)
        about = layout.check(directory)["encoder"]
        self._saved = _load(directory)
        self.units = tuple(about["units"])
        self.frame_shape = tuple(about["frame_shape"])
        self.feature_size = about.get("feature_size", self.units[-1])
        self.frame = inputs.frame_of(about)
        self.pixels = about["pixels"]
        trainable = {id(v) for v in self._saved.trainable_variables}
        for variable in self._saved.variables:
            self._track_variable(
                keras.Variable(
                    variable,
                    trainable=id(variable) in trainable,
                    dtype=variable.dtype.name,
                    # The path of the variable before the export.
                    name=variable.name.partition(":")[0].replace("/", "_"),
                )
            )
        self.built = True

    def call(
        self,
        clips,
        initial_states=None,
        mask=None,
        training=False,
        give=None,
    ):
        for name, given in (
            ("initial_states", initial_states),
            ("mask", mask),
        ):
            if given is not None:
                raise InputError(
                    f"Expected clips without {name} for {self.directory}; the "
                    f"Encoder in its encoder.keras takes {name}. Received: "
                    f"{name} of type {type(given).__name__}"
                )
        clips = tf.convert_to_tensor(clips)
        self._check(clips.shape)
        if tf.executing_eagerly():
            # In a graph the export itself checks them.
            inputs.checked(clips, self.pixels)
        clips = self.frame.restore(
            self.frame.arrange(inputs.scale(clips, "float32")),
            self.frame_shape,
        )
        for loss in self._saved.regularization_losses:
            self.add_loss(loss())
        # There is an exported function for each value.
        training = bool(training)
        if give is None and not (self.return_sequences or self.return_state):
            return self._saved(clips, training=training)
        sequence, states = self._saved.read(clips, training=training)
        return self.given(sequence[:, -1], sequence, states, give)

    def _check(self, shape):
        """Refuses clips of another shape than the export's."""
        if shape.rank is not None and shape.rank > 1 and shape[1] == 0:
            raise ValueError(
                f"{self.directory} reads clips of at least 1 frame. Received: "
                f"{tuple(shape)}"
            )
        self.frame.check(tuple(shape[2:]))

    def get_config(self):
        return {**super().get_config(), "directory": self.directory}

    @classmethod
    def from_config(cls, config):
        try:
            # Keras's would put the whole config before what is wrong.
            return cls(**config)
        except InputError as error:
            raise InputError(
                "A SavedModelEncoder that was saved needs its export, at the "
                f"same path. {error}"
            ) from error


def _load(path):
    try:
        return tf.saved_model.load(str(path))
    except Exception as error:
        # TensorFlow has many types for what a broken SavedModel raises.
        raise InputError(
            f"Expected a whole export. Received: {str(path)!r}: {error}"
        ) from error
