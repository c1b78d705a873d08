"""What all encoders have in common: a stack of recurrent layers."""

import keras
import numpy as np

from video_repr import inputs
from video_repr import presets
from video_repr.export import layout
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


class StackedEncoder(
    ReadsPaddedClips, ReturnsFeatures, ChecksInputs, SavesTrainable, keras.Model
):
    """A stack of recurrent layers that reads a clip into its state.

    An encoder knows what a frame is: `frame_of` says it of the shape of a
    frame, `to_sequence` gives what the lowest layer reads of frames, and
    `read_out` the features of the top layer's h.

    Attributes:
        frame: what a frame is, `inputs.FlatFrames` or `inputs.Pictures`; None
            before it is built.
    """

    frame = None

    def __init__(
        self,
        units,
        *,
        return_sequences,
        return_state,
        dropout,
        input_dropout,
        recurrent_dropout,
        forget_bias,
        offset,
        scale,
        pixels,
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

    def stack(self, layer):
        """Makes the layers, by a function of units and options."""
        self.lstms = [
            layer(
                size,
                return_sequences=True,
                return_state=True,
                dropout=self.dropout if number else self.input_dropout,
                recurrent_dropout=self.recurrent_dropout,
                forget_bias=self.forget_bias,
                dtype=self.dtype_policy,
                name=f"lstm_{number + 1}",
            )
            for number, size in enumerate(self.units)
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
        return presets.load(directory / "encoder.keras", StackedEncoder)

    def build(self, clips_shape, initial_states_shape=None):
        frame_shape = conversion.frame_shape(clips_shape)
        self.frame = self.frame_of(frame_shape)
        self.frame.check(frame_shape)
        if self.pixels is None and len(frame_shape) > 1:
            self.pixels = True
        shape = self.sequence_shape(frame_shape)
        for name in ("offset", "scale"):
            values = np.size(getattr(self, name))
            if self.frame.last_axis % values:
                raise ValueError(
                    f"{name} must be a number, or one for each channel. "
                    f"Received: {values} numbers for frames of shape "
                    f"{frame_shape}"
                )
        for lstm, size in zip(self.lstms, self.units, strict=True):
            lstm.build((None, None, *shape))
            shape = (*shape[:-1], size)

    def call(
        self,
        clips,
        initial_states=None,
        mask=None,
        training=False,
        give=None,
    ):
        frame_shape = conversion.frame_shape(clips.shape)
        self.frame.check(frame_shape)
        frames = self.frames(clips)
        if initial_states is None:
            initial_states = [None] * len(self.lstms)
        else:
            initial_states = conversion.as_states(
                initial_states, self.state_shapes(frame_shape)
            )
            frames = conversion.on_grid(frames, initial_states, self.frame)
        mask = conversion.as_mask(clips, mask)
        sequence = self.to_sequence(self.scaled(frames))
        states = []
        for lstm, state in zip(self.lstms, initial_states, strict=True):
            sequence, h, c = lstm(
                sequence, initial_state=state, mask=mask, training=training
            )
            states.append([h, c])
        return self.given(
            self.read_out(states[-1][0]), self.read_out(sequence), states, give
        )

    def frames(self, clips, dtype=None, pixels=None):
        """Clips as the model computes with them, checked.

        Args:
            clips: as for a call.
            dtype: floating point dtype of the result; that of the computation
                when None.
            pixels: as for the constructor; the encoder's own when None.

        Returns:
            `[batch, time, ...]`, arranged as `frame` says. uint8 pixels come
            out in [0, 1].

        Raises:
            InputError: for wrong clips.
        """
        pixels = self.pixels if pixels is None else pixels
        return self.frame.arrange(
            conversion.as_floats(clips, dtype or self.compute_dtype, pixels)
        )

    def last(self, clips):
        """The last frame of clips, scaled, as a residual decoder begins.

        Args:
            clips: as for a call.

        Returns:
            `[batch, ...]`, arranged as `frame` says.
        """
        return self.scaled(self.frames(clips[:, -1:]))[:, 0]

    def activations(self, clips, initial_states=None):
        """Activations of the gates while a clip is read.

        Args:
            clips: as for a call.
            initial_states: as for a call.

        Returns:
            A list with the result of the layer's `activations` for each layer,
            lowest first.
        """
        sequence = self.to_sequence(self.scaled(self.frames(clips, "float32")))
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
        return inputs.PaddedClips(self.pixels, frame=self.frame), None, None

    @property
    def is_scaled(self):
        """Whether offset or scale change the values of frames."""
        return bool(np.any(self.offset) or np.any(np.not_equal(self.scale, 1)))

    def scaled(self, frames):
        """Frames `[batch, time, ...]`, scaled as the layers read them."""
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
            "dropout": self.dropout,
            "input_dropout": self.input_dropout,
            "recurrent_dropout": self.recurrent_dropout,
            "forget_bias": self.forget_bias,
            "offset": np.asarray(self.offset).tolist(),
            "scale": np.asarray(self.scale).tolist(),
            "pixels": self.pixels,
        }
