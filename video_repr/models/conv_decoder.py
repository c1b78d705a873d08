"""The convolutional decoder: from maps of states to pictures."""

import functools

import keras
from keras import ops

from video_repr import inputs
from video_repr.layers import PeepholeConvLSTM
from video_repr.layers.patches import from_patches
from video_repr.layers.patches import to_patches
from video_repr.models import conversion
from video_repr.models.stacked_decoder import StackedDecoder
from video_repr.ranges import whole_number


@keras.saving.register_keras_serializable(package="video_repr")
class ConvDecoder(StackedDecoder):
    """A stack of convolutional peephole LSTMs that unrolls a state.

    `Decoder`, applied convolutionally: every layer starts from the maps of a
    `ConvEncoder` of the same patch. The output layer makes a patch of each
    vector of the top layer, y_t = W_out h_t + b_out at every place.

    Args:
        filters: number of channels of each layer's state, lowest first; the
            same as the encoder's.
        channels: number of channels of a frame.
        kernel_size: height and width of the kernels, in patches; a number or a
            pair.
        patch: the encoder's.
        peepholes: as for `ConvEncoder`.
        conditional: as for `Decoder`, as all that follow.
        output: ...
        first_step: ...
        residual: ...
        scheduled_sampling: ...
        dropout: ...
        forget_bias: ...
        output_bias: ...
        seed: ...

    Call arguments:
        states: `[[h, c], ...]`, a pair a layer, each `[batch, rows, columns,
            filters]`, as the encoder returns them.
        steps: as for `Decoder`, as all that follow.
        truth: ...
        last: ...
        training: ...

    Returns:
        `[batch, steps, rows * patch, columns * patch, channels]`: frames, or
        their logits where the output is logistic.

    Raises:
        InputError: for wrong states or frames, as in an encoder.
    """

    grid = None, None

    def __init__(
        self,
        filters,
        channels=1,
        kernel_size=3,
        patch=1,
        *,
        peepholes="channel",
        conditional=False,
        output="logistic",
        first_step="step",
        residual=False,
        scheduled_sampling=0.0,
        dropout=0.0,
        forget_bias=0.0,
        output_bias=0.0,
        seed=None,
        **kwargs,
    ):
        super().__init__(
            filters,
            conditional=conditional,
            output=output,
            first_step=first_step,
            residual=residual,
            scheduled_sampling=scheduled_sampling,
            dropout=dropout,
            forget_bias=forget_bias,
            output_bias=output_bias,
            seed=seed,
            **kwargs,
        )
        self.channels = whole_number("channels", channels)
        self.patch = whole_number("patch", patch)
        self.peepholes = peepholes
        self.frame = inputs.Pictures(channels, patch)
        self.stack(
            functools.partial(
                PeepholeConvLSTM, kernel_size=kernel_size, peepholes=peepholes
            ),
            patch**2 * channels,
        )
        self.kernel_size = self.lstms[0].kernel_size

    @property
    def filters(self):
        """The argument."""
        return self.units

    def build(self, states_shape, truth_shape=None, last_shape=None):
        conversion.check_state_shapes(
            [[tuple(value[1:]) for value in s] for s in states_shape],
            self.state_shapes,
        )
        _, *grid, _ = states_shape[0][0]
        read = self.patch**2 * self.channels if self.conditional else 0
        self.build_layers((*grid, read))

    def emitted_shape(self, state_shape):
        rows, columns, _ = state_shape
        return (
            rows and rows * self.patch,
            columns and columns * self.patch,
            self.channels,
        )

    def to_sequence(self, frames):
        return to_patches(frames, self.patch)

    def read_out(self, h):
        return from_patches(self.readout(h), self.patch)

    def blank(self, states):
        batch, rows, columns, _ = ops.shape(states[0][0])
        return ops.zeros(
            (batch, rows * self.patch, columns * self.patch, self.channels),
            self.compute_dtype,
        )

    def no_input(self, states, steps):
        batch, rows, columns, _ = ops.shape(states[0][0])
        return ops.zeros((batch, steps, rows, columns, 0), self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": list(self.filters),
            "channels": self.channels,
            "kernel_size": self.kernel_size,
            "patch": self.patch,
            "peepholes": self.peepholes,
        }
