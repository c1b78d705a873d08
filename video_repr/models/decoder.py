"""The decoder: from a state to frames."""

import keras
import tensorflow as tf
from keras import ops

from video_repr import inputs
from video_repr.layers import PeepholeLSTM
from video_repr.layers import recurrence
from video_repr.models.stacked_decoder import StackedDecoder
from video_repr.ranges import whole_number


@keras.saving.register_keras_serializable(package="video_repr")
class Decoder(StackedDecoder):
    """A stack of peephole LSTMs that unrolls a state into frames.

    Every layer starts from the encoder's h and c of the same layer. The
    output layer reads the top layer alone: y_t = W_out h_t + b_out (paper,
    sections 2.2 to 2.4).

    An unconditioned decoder has no input. In a conditional one the first layer
    also reads the previous frame, and zeros at its first step. In training this
    is the true frame, otherwise always the decoder's own.

    In a residual one each frame is the one before plus a change, and the first
    is the last frame that was read plus a change; the frame before is the one
    that a conditional decoder reads. Natural video is mostly the frame before.

    Args:
        units: number of units of each layer, lowest first; the same as the
            encoder's.
        output_dim: number of values in a frame.
        conditional: whether the decoder reads the previous frame.
        output: "logistic" for frames in [0, 1], "linear", or "rectified" for
            values that are not negative.
        first_step: "step" takes a step from the encoder's state and then
            emits the first frame: T frames are T transitions. "copy" emits
            the first frame from the encoder's state itself: T frames are
            T - 1 transitions. The authors released code for both.
        residual: whether the output layer emits changes; for linear outputs.
        scheduled_sampling: share of the true previous frames that a
            conditional decoder sees replaced by its own predictions in
            training, drawn anew for each frame: a number, or a
            `keras.optimizers.schedules.LearningRateSchedule` over training
            steps.
        dropout: share of the inputs of every layer above the first, and of
            the output layer, that is dropped in training.
        forget_bias: initial bias of the forget gates.
        output_bias: initial bias of the output layer. For logistic outputs the
            log-odds of the mean pixel is a good start, with much less left to
            learn.
        seed: seed of the dropout of the output layer and of the sampling.

    Call arguments:
        states: `[[h, c], ...]`, a pair a layer, as the encoder returns them.
        steps: number of frames, at least 1; or a tensor of at least 2 if it is
            not known during tracing.
        truth: `[batch, steps, ...]`, the frames to predict, scaled as for an
            encoder. Only a conditional decoder in training reads them.
        last: `[batch, ...]`, the last frame that was read, scaled likewise.
            Only a residual decoder needs it.
        training: whether the decoder is trained.

    Returns:
        `[batch, steps, output_dim]`: frames, or their logits where the output
        is logistic. `to_frames` turns either into frames.

    Raises:
        InputError: for wrong states or frames, as in an encoder.
    """

    grid = ()

    def __init__(
        self,
        units,
        output_dim,
        *,
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
            units,
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
        self.output_dim = whole_number("output_dim", output_dim)
        self.frame = inputs.FlatFrames(self.output_dim)
        self.stack(PeepholeLSTM, self.output_dim)

    def build(self, states_shape=None, truth_shape=None, last_shape=None):
        self.build_layers((self.output_dim if self.conditional else 0,))

    def emitted_shape(self, state_shape):
        return (self.output_dim,)

    def to_sequence(self, frames):
        return frames

    def read_out(self, h):
        return self.readout(h)

    def blank(self, states):
        batch = ops.shape(states[0][0])[0]
        return ops.zeros((batch, self.output_dim), self.compute_dtype)

    def no_input(self, states, steps):
        batch = ops.shape(states[0][0])[0]
        return ops.zeros((batch, steps, 0), self.compute_dtype)

    def run_by_itself(self, states, steps, before):
        transitions = self._transitions(steps)
        if self.residual or (isinstance(steps, int) and not transitions):
            return super().run_by_itself(states, steps, before)
        frame, outputs = before, []
        if self.first_step == "copy":
            first = self._emit(states[-1][0], training=False)
            frame, outputs = self.to_frames(first), [first[:, None]]
        rolled = recurrence.roll_out(
            frame,
            self._cast(states),
            [
                _tensors(
                    cell.kernel,
                    cell.recurrent_kernel,
                    cell.peephole,
                    cell.bias,
                )
                for cell in (lstm.cell for lstm in self.lstms)
            ],
            _tensors(self.readout.kernel, self.readout.bias),
            lambda values: self.to_frames(self._rectify(values)),
            steps=transitions,
        )
        outputs.append(self._rectify(rolled))
        return self._of_steps(ops.concatenate(outputs, axis=1), steps)

    def get_config(self):
        return {
            **super().get_config(),
            "units": list(self.units),
            "output_dim": self.output_dim,
        }


def _tensors(*variables):
    return [tf.convert_to_tensor(variable) for variable in variables]
