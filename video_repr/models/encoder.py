"""The encoder: from a clip to a state."""

import keras
import numpy as np

from video_repr import inputs
from video_repr import presets
from video_repr.export import layout
from video_repr.layers import PeepholeLSTM
from video_repr.layers.features import ReturnsFeatures
from video_repr.layers.trainable import SavesTrainable
from video_repr.layers.trainable import hand_down
from video_repr.models import conversion
from video_repr.models.input_checks import ChecksInputs
from video_repr.models.input_checks import ReadsPaddedClips
from video_repr.ranges import check_ranges


class _Presets:
    """The cards of the installed released encoders, by name."""

    def __get__(self, encoder, of=None):
        if encoder is not None:
            # Keras looks at every attribute of what it saves.
            raise AttributeError("presets are the class's: Encoder.presets")
        return presets.cards()


@keras.saving.register_keras_serializable(package="video_repr")
class Encoder(
    ReadsPaddedClips, ReturnsFeatures, ChecksInputs, SavesTrainable, keras.Model
):
    """A stack of peephole LSTMs that reads a clip into its state.

    It is trained without labels and then used for other tasks (paper, section
    2.2).

    Example:
    >>> encoder = Encoder(units=(512, 512))
    >>> clips = np.random.rand(8, 10, 64, 64).astype("float32")
    >>> encoder(clips).shape
    TensorShape([8, 512])
    >>> encoder.encode_sequence(clips).shape
    TensorShape([8, 10, 512])
    >>> (h1, c1), (h2, c2) = encoder.encode_states(clips)
    >>> model = keras.Sequential([encoder, keras.layers.Dense(10)])

    Args:
        units: number of units of each layer, lowest first.
        return_sequences: whether a call returns the output of every step
            rather than the last.
        return_state: whether it returns the states of all layers as well.
        dropout: share of the inputs of every layer above the first that is
            dropped in training.
        input_dropout: share of the values of frames that is dropped in
            training.
        recurrent_dropout: share of the recurrent weights that is dropped in
            training, see `PeepholeLSTMCell`.
        forget_bias: initial bias of the forget gates.
        offset: number to subtract from the values of a frame, or one for each
            channel.
        scale: number to multiply the differences by, or one for each channel.
            With the statistics of a dataset here, users of the encoder need
            not scale their frames.
        pixels: whether frames are pixels, whose floating point values must be
            in [0, 1]. When None, frames of a `VideoSeq2Seq` are pixels if its
            outputs are logistic; for an encoder alone, frames with a height and
            a width are pixels, and percepts are not.

    Call arguments:
        clips: `[batch, time, features]`, or `[batch, time, height, width,
            channels]` and any other frame shape, floating point and finite;
            or uint8 pixels, which are scaled to [0, 1]. A functional model
            casts uint8 to float before the encoder, unless its input is
            `keras.Input(..., dtype="uint8")`.
        initial_states: states to start from, as `encode_states` returns them;
            zeros when None.
        mask: `[batch, time]`, true for the frames to read; all when None. At
            others the states do not change.
        training: whether dropout is active.

    Returns:
        The top layer's last h, `[batch, feature_size]`; with
        `return_sequences` that of every step, `[batch, time, feature_size]`.
        With `return_state` the tuple of that and of `[h, c]` of each layer,
        lowest first, each `[batch, units]`.

    Raises:
        InputError: for wrong clips. In a graph an assertion fails; under XLA
            the states are NaN.
    """

    def __init__(
        self,
        units,
        *,
        return_sequences=False,
        return_state=False,
        dropout=0.0,
        input_dropout=0.0,
        recurrent_dropout=0.0,
        forget_bias=0.0,
        offset=0.0,
        scale=1.0,
        pixels=None,
        **kwargs,
    ):
        super().__init__(
            return_sequences=return_sequences,
            return_state=return_state,
            **kwargs,
        )
        self.units = conversion.check_layers(units)
        self.supports_masking = True
        self.dropout = dropout
        check_ranges(self, dropout="[0, 1)")
        self.input_dropout = input_dropout
        self.recurrent_dropout = recurrent_dropout
        self.forget_bias = forget_bias
        self.offset = offset
        self.scale = scale
        self.pixels = pixels
        self.lstms = [
            PeepholeLSTM(
                size,
                return_sequences=True,
                return_state=True,
                dropout=dropout if layer else input_dropout,
                recurrent_dropout=recurrent_dropout,
                forget_bias=forget_bias,
                dtype=self.dtype_policy,
                name=f"lstm_{layer + 1}",
            )
            for layer, size in enumerate(self.units)
        ]
        hand_down(self)

    presets = _Presets()

    @classmethod
    def from_preset(cls, preset):
        """A released encoder.

        Example:
        >>> encoder = Encoder.from_preset("moving_mnist")

        Args:
            preset: a name in `Encoder.presets`, the directory of an export, or
                a URL such as "https://host/encoder/1". The export at a URL is
                downloaded once, and its checksums are verified.

        Returns:
            An encoder of the class that was released.

        Raises:
            InputError: if there is none, or it is broken or altered.
        """
        directory = presets.locate(preset)
        layout.check(directory)
        return presets.load(directory / "encoder.keras", cls)

    def build(self, clips_shape, initial_states_shape=None):
        self.features = features = conversion.count_features(clips_shape)
        if self.pixels is None and len(clips_shape) > 3:
            self.pixels = True
        for name in ("offset", "scale"):
            values = np.size(getattr(self, name))
            if features % values:
                raise ValueError(
                    f"{name} must be a number, or one for each channel. "
                    f"Received: {values} numbers for frames of {features} "
                    "values"
                )
        for lstm, size in zip(self.lstms, self.units, strict=True):
            lstm.build((None, None, features))
            features = size

    def call(
        self,
        clips,
        initial_states=None,
        mask=None,
        training=False,
        give=None,
    ):
        features = conversion.count_features(clips.shape)
        if features != self.features:
            raise ValueError(
                f"The encoder was built for frames of {self.features} "
                f"values. Received: clips of shape {tuple(clips.shape)}, "
                f"{features} values a frame"
            )
        initial_states = (
            [None] * len(self.lstms)
            if initial_states is None
            else conversion.as_states(initial_states, self.units)
        )
        mask = conversion.as_mask(clips, mask)
        sequence = self.scaled(
            conversion.as_features(clips, self.compute_dtype, self.pixels)
        )
        states = []
        for lstm, state in zip(self.lstms, initial_states, strict=True):
            sequence, h, c = lstm(
                sequence, initial_state=state, mask=mask, training=training
            )
            states.append([h, c])
        return self.given(sequence, states, give)

    def activations(self, clips, initial_states=None):
        """Activations of the gates while a clip is read.

        Args:
            clips: as for a call.
            initial_states: as for a call.

        Returns:
            A list with the result of `PeepholeLSTM.activations` for each layer,
            lowest first.
        """
        sequence = self.scaled(
            conversion.as_features(clips, "float32", self.pixels)
        )
        if initial_states is None:
            initial_states = [None] * len(self.lstms)
        return conversion.activations(self.lstms, sequence, initial_states)

    def export(self, *args, **kwargs):
        """Keras's `export`; `export_encoder` also writes other signatures."""
        if self.return_state:
            raise ValueError(
                "Keras exports no states of layers, which are pairs. Expected "
                "an encoder without return_state, or export_encoder(encoder, "
                "...), whose SavedModel has them. Received: return_state=True"
            )
        return super().export(*args, **kwargs)

    def expected(self, method):
        features = self.features if self.built else None
        return inputs.PaddedClips(self.pixels, features=features), None, None

    @property
    def is_scaled(self):
        """Whether offset or scale change the values of frames."""
        return bool(np.any(self.offset) or np.any(np.not_equal(self.scale, 1)))

    def scaled(self, frames):
        """Frames `[batch, time, ...]`, scaled as the LSTMs read them."""
        if not self.is_scaled:
            return frames
        offset, scale = self._per_value(frames)
        return (frames - offset) * scale

    def unscaled(self, frames):
        """The inverse of `scaled`."""
        if not self.is_scaled:
            return frames
        offset, scale = self._per_value(frames)
        return frames / scale + offset

    def _per_value(self, frames):
        # Channels are the last axis of a frame, and vary fastest in a flat
        # one.
        return [
            keras.ops.cast(np.resize(values, frames.shape[-1]), frames.dtype)
            for values in (self.offset, self.scale)
        ]

    def get_config(self):
        return {
            **super().get_config(),
            "units": list(self.units),
            "dropout": self.dropout,
            "input_dropout": self.input_dropout,
            "recurrent_dropout": self.recurrent_dropout,
            "forget_bias": self.forget_bias,
            "offset": np.asarray(self.offset).tolist(),
            "scale": np.asarray(self.scale).tolist(),
            "pixels": self.pixels,
        }
