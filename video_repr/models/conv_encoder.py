"""The convolutional encoder: from a clip of pictures to maps of states."""

import functools
import itertools

import keras
import tensorflow as tf

from video_repr import inputs
from video_repr.errors import InputError
from video_repr.layers import PeepholeConvLSTM
from video_repr.layers.patches import to_patches
from video_repr.models.stacked_encoder import StackedEncoder
from video_repr.ranges import whole_number


@keras.saving.register_keras_serializable(package="video_repr")
class ConvEncoder(StackedEncoder):
    """A stack of convolutional peephole LSTMs that reads a clip into its state.

    The paper's encoder, applied convolutionally across the frames (section 4):
    the states are maps, a vector for each patch of a frame. A call pools them
    into one feature vector.

    Example:
    >>> encoder = ConvEncoder(filters=(128,), patch=8)
    >>> clips = np.random.rand(8, 10, 64, 64).astype("float32")
    >>> encoder(clips).shape
    TensorShape([8, 256])
    >>> ((h, c),) = encoder.encode_states(clips)
    >>> h.shape
    TensorShape([8, 8, 8, 128])
    >>> encoder(np.random.rand(8, 10, 128, 128)).shape
    TensorShape([8, 256])

    Args:
        filters: number of channels of each layer's state, lowest first.
        kernel_size: height and width of the kernels, in patches; a number or a
            pair.
        patch: height and width of the patches that frames are cut into, in
            pixels. They have to divide a frame.
        pooling: rows and columns of cells that the top state is pooled into:
            the features are the mean and the maximum of each channel in each
            cell. `(1, 1)` drops all positions.
        peepholes: as for `PeepholeConvLSTMCell`: "channel", "full", for frames
            of one size alone, or None.
        return_sequences: as for `Encoder`, as all that follow.
        return_state: ...
        dropout: ...
        input_dropout: ...
        recurrent_dropout: ...
        forget_bias: ...
        offset: ...
        scale: ...
        pixels: ...

    Call arguments:
        clips: `[batch, time, height, width]` or `[batch, time, height, width,
            channels]`, of any size that the patch divides; otherwise as for
            `Encoder`.
        initial_states: as for `Encoder`.
        mask: as for `Encoder`.
        training: whether dropout is active.

    Returns:
        The features after the last frame, `[batch, feature_size]`; with
        `return_sequences` those of every step, `[batch, time, feature_size]`.
        With `return_state` the tuple of that and of `[h, c]` of each layer,
        lowest first, each `[batch, height / patch, width / patch, filters]`.

    Raises:
        InputError: for wrong clips, as in `Encoder`.
    """

    def __init__(
        self,
        filters,
        kernel_size=3,
        patch=1,
        *,
        pooling=(1, 1),
        peepholes="channel",
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
            filters,
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
        self.patch = whole_number("patch", patch)
        self.pooling = tuple(pooling)
        self.peepholes = peepholes
        if len(self.pooling) != 2 or min(self.pooling) < 1:
            raise InputError(
                "Expected pooling of rows and columns of cells, at least 1 "
                f"each. Received: {pooling}"
            )
        self.stack(
            functools.partial(
                PeepholeConvLSTM, kernel_size=kernel_size, peepholes=peepholes
            )
        )
        self.kernel_size = self.lstms[0].kernel_size

    @property
    def filters(self):
        """The argument."""
        return self.units

    @property
    def feature_size(self):
        """Number of values in a feature vector."""
        rows, columns = self.pooling
        return 2 * rows * columns * self.filters[-1]

    def frame_of(self, frame_shape):
        size = tuple(frame_shape[:2]) if self.peepholes == "full" else None
        return inputs.Pictures.of(frame_shape, self.patch, size)

    def sequence_shape(self, frame_shape):
        values = self.patch**2 * self.frame.channels
        return (*self.frame.grid(frame_shape), values)

    def to_sequence(self, frames):
        return to_patches(frames, self.patch)

    def read_out(self, h):
        rows, columns = self.pooling
        cells = []
        for row in _cells(h, -3, rows):
            for cell in _cells(row, -2, columns):
                mean = tf.reduce_mean(cell, axis=[-3, -2])
                highest = tf.reduce_max(cell, axis=[-3, -2])
                # XLA's maximum leaves out NaN, which says that clips are wrong.
                cells += [mean, tf.where(tf.math.is_nan(mean), mean, highest)]
        return tf.concat(cells, axis=-1)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": list(self.filters),
            "kernel_size": self.kernel_size,
            "patch": self.patch,
            "pooling": self.pooling,
            "peepholes": self.peepholes,
        }


def _cells(maps, axis, count):
    """Slices of an axis, of equal size as far as that is possible."""
    if count == 1:
        return [maps]
    size = maps.shape[axis]
    if size is not None and size < count:
        raise InputError(
            f"Expected a state of at least {count} rows and columns to pool "
            f"into as many cells. Received: one of {size}"
        )
    size = tf.shape(maps)[axis] if size is None else size
    ends = [size * number // count for number in range(count + 1)]
    rest = [slice(None)] * (-axis - 1)
    return [
        maps[(..., slice(start, end), *rest)]
        for start, end in itertools.pairwise(ends)
    ]
