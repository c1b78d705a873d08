"""The encoder: from a clip to a state."""

import keras

from video_repr import inputs
from video_repr.layers import PeepholeLSTM
from video_repr.models.stacked_encoder import StackedEncoder


@keras.saving.register_keras_serializable(package="video_repr")
class Encoder(StackedEncoder):
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
            units,
            return_sequences=return_sequences,
            return_state=return_state,
            dropout=dropout,
            input_dropout=input_dropout,
            recurrent_dropout=recurrent_dropout,
            forget_bias=forget_bias,
            offset=offset,
            scale=scale,
            pixels=pixels,
            **kwargs,
        )
        self.stack(PeepholeLSTM)

    @property
    def feature_size(self):
        """Number of values in a feature vector."""
        return self.units[-1]

    def frame_of(self, frame_shape):
        return inputs.FlatFrames.of(frame_shape)

    def sequence_shape(self, frame_shape):
        return (self.frame.values,)

    def to_sequence(self, frames):
        return frames

    def read_out(self, h):
        return h

    @property
    def features(self):
        """Number of values in a frame."""
        return self.frame.values

    def get_config(self):
        return {**super().get_config(), "units": list(self.units)}
