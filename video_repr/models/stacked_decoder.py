"""What all decoders have in common: a stack of recurrent layers."""

import keras
import tensorflow as tf
from keras import ops

from video_repr.layers.random_state import SavesRandomState
from video_repr.layers.shapes import ComputesOutputShape
from video_repr.layers.trainable import SavesTrainable
from video_repr.layers.trainable import hand_down
from video_repr.models import conversion
from video_repr.ranges import check_ranges
from video_repr.ranges import whole_number

OUTPUTS = ("logistic", "linear", "rectified")
FIRST_STEPS = ("step", "copy")


class StackedDecoder(
    SavesTrainable, SavesRandomState, ComputesOutputShape, keras.layers.Layer
):
    """A stack of recurrent layers that unrolls a state into frames.

    A decoder has `to_sequence`, what the lowest layer reads of frames;
    `read_out`, what the output layer makes of the top layer's h, as a frame;
    `blank`, a frame of zeros; and `no_input`, the sequence that an
    unconditioned one reads; and `emitted_shape`, the shape of a frame.

    Attributes:
        frame: what a frame is, as an encoder's.
        grid: rows and columns of a state; none of a flat one.
    """

    def __init__(
        self,
        units,
        *,
        conditional,
        output,
        first_step,
        residual,
        scheduled_sampling,
        dropout,
        forget_bias,
        output_bias,
        seed,
        **kwargs,
    ):
        super().__init__(**kwargs)
        _check_choice("output", output, OUTPUTS)
        _check_choice("first_step", first_step, FIRST_STEPS)
        if residual and output != "linear":
            raise ValueError(
                "residual needs linear outputs: a frame is the one before plus "
                f"a change. Received: output={output!r}"
            )
        self.units = conversion.check_layers(units)
        self.conditional = conditional
        self._output = output
        self.first_step = first_step
        self.residual = residual
        if isinstance(scheduled_sampling, dict):
            scheduled_sampling = keras.optimizers.schedules.deserialize(
                scheduled_sampling
            )
        elif not callable(scheduled_sampling) and not (
            0 <= scheduled_sampling <= 1
        ):
            raise ValueError(
                "scheduled_sampling must be a share from 0 to 1, or a "
                "schedule. Received: "
                f"scheduled_sampling={scheduled_sampling!r}"
            )
        self.scheduled_sampling = scheduled_sampling
        self.dropout = dropout
        check_ranges(self, dropout="[0, 1)")
        self.forget_bias = forget_bias
        self.output_bias = output_bias
        self.seed = seed
        if dropout or self._samples:
            self.seed_generator = keras.random.SeedGenerator(seed)

    def stack(self, layer, values):
        """Makes the layers.

        Args:
            layer: function of units and options that makes a recurrent one.
            values: number of values that the output layer emits.
        """
        self.lstms = [
            layer(
                size,
                return_sequences=True,
                dropout=self.dropout if number else 0.0,
                forget_bias=self.forget_bias,
                dtype=self.dtype_policy,
                name=f"lstm_{number + 1}",
            )
            for number, size in enumerate(self.units)
        ]
        self.readout = keras.layers.Dense(
            values,
            # The paper's scale of 1/sqrt(fan-in), as in the recurrent layers.
            kernel_initializer=keras.initializers.VarianceScaling(
                1 / 3, "fan_in", "uniform"
            ),
            bias_initializer=keras.initializers.Constant(self.output_bias),
            dtype=self.dtype_policy,
            name="readout",
        )
        hand_down(self)

    @property
    def output(self):
        """The argument; for other layers Keras has the symbolic output here."""
        return self._output

    @property
    def _samples(self):
        return self.conditional and (
            callable(self.scheduled_sampling) or self.scheduled_sampling > 0
        )

    def build_layers(self, shape):
        """Builds the layers.

        Args:
            shape: of what the lowest reads at a step, without the batch.
        """
        for lstm, size in zip(self.lstms, self.units, strict=True):
            lstm.build((None, None, *shape))
            shape = (*shape[:-1], size)
        self.readout.build((None, None, *shape))
        if self._samples:
            self.training_steps = self.add_weight(
                name="training_steps",
                shape=(),
                dtype="int32",
                initializer="zeros",
                trainable=False,
            )

    def call(self, states, steps, truth=None, last=None, training=False):
        if not tf.is_tensor(steps):
            steps = whole_number("steps", steps)
        states = conversion.as_states(states, self.state_shapes)
        before = self._before(states, last)
        if not self.conditional:
            return self._run(
                self.no_input(states, self._transitions(steps)),
                states,
                before,
                training,
            )
        if not training:
            return self.run_by_itself(states, steps, before)
        if truth is None or truth.shape[1] != steps:
            raise ValueError(
                "A conditional decoder is trained on the true frames, "
                f"[batch, {steps}, ...]. Received: truth of "
                f"shape {None if truth is None else tuple(truth.shape)}"
            )
        previous = self._previous(self._frames(truth, states), before)
        if not self._samples:
            first = steps - self._transitions(steps)
            sequence = self.to_sequence(previous[:, first:])
            return self._run(sequence, states, previous, training)
        return self._run_sampled(states, steps, before, previous)

    def compute_output_shape(
        self, states_shape, truth_shape=None, last_shape=None
    ):
        h, _ = states_shape[0]
        # The number of steps is another argument.
        return (h[0], None, *self.emitted_shape(h[1:]))

    def to_frames(self, outputs):
        """Frames from the result of `call`."""
        if self.output == "logistic":
            return ops.sigmoid(outputs)
        return outputs

    def activations(self, states, steps, last=None):
        """Activations of the gates while a state is unrolled.

        Args:
            states: as for a call.
            steps: number of transitions, at least 1.
            last: as for a call.

        Returns:
            A list with the result of the layer's `activations` for each layer,
            lowest first, `[batch, steps, ...]`.
        """
        states = conversion.as_states(states, self.state_shapes)
        first = 0 if self.first_step == "step" else 1
        if self.conditional:
            own = self.to_frames(self(states, steps=steps + first, last=last))
            previous = self._previous(own, self._before(states, last))
            sequence = self.to_sequence(previous[:, first:])
        else:
            sequence = self.no_input(states, steps)
        return conversion.activations(self.lstms, sequence, states)

    def run_by_itself(self, states, steps, before):
        """Runs each transition from the decoder's previous frame."""
        return self._unroll(
            states, steps, before, lambda t, own: own, training=False
        )

    @property
    def state_shapes(self):
        """Shapes of the h and c of each layer, without the batch."""
        return [(*self.grid, size) for size in self.units]

    def _frames(self, clips, states):
        """True frames, checked and arranged."""
        self.frame.check(conversion.frame_shape(clips.shape))
        frames = self.frame.arrange(
            conversion.as_floats(
                clips, self.compute_dtype, pixels=self.output == "logistic"
            )
        )
        return conversion.on_grid(frames, states, self.frame)

    def _before(self, states, last):
        """The frame before the first; zeros if a model knows none."""
        if not self.residual:
            return self.blank(states)
        if last is None:
            raise ValueError(
                "A residual decoder begins with the last frame that was read. "
                "Received: last=None"
            )
        return self._frames(last[:, None], states)[:, 0]

    def _transitions(self, steps):
        return steps if self.first_step == "step" else steps - 1

    def _previous(self, frames, before):
        """The frame before each."""
        return ops.concatenate([before[:, None], frames[:, :-1]], axis=1)

    def _run(self, sequence, states, previous, training):
        """Runs all transitions at once, from known inputs."""
        top = states[-1][0][:, None]
        if sequence.shape[1] == 0:
            h = top
        else:
            h = sequence
            for lstm, state in zip(self.lstms, states, strict=True):
                h = lstm(h, initial_state=state, training=training)
            if self.first_step == "copy":
                h = ops.concatenate([top, h], axis=1)
        outputs = self._emit(h, training)
        if not self.residual:
            return outputs
        if self.conditional:
            return outputs + previous
        # Small changes would be lost in a sum of bfloat16.
        outputs = ops.cumsum(ops.cast(outputs, "float32"), axis=1)
        return ops.cast(outputs, self.compute_dtype) + previous[:, None]

    def _run_sampled(self, states, steps, before, previous):
        """Runs each transition from a true frame or from the decoder's own."""
        share = self.scheduled_sampling
        if callable(share):
            share = share(self.training_steps)
        self.training_steps.assign_add(1)
        first = steps - self._transitions(steps)
        batch, frames, *frame = ops.shape(previous)
        own = (
            keras.random.uniform(
                (batch, frames - first, *[1] * len(frame)),
                seed=self.seed_generator,
            )
            < share
        )
        return self._unroll(
            states,
            steps,
            before,
            lambda t, frame: ops.where(
                own[:, t], frame, previous[:, first + t]
            ),
            training=True,
        )

    def _unroll(self, states, steps, before, choose, training):
        """Runs one transition after the other.

        Args:
            states: as for a call.
            steps: as for a call.
            before: the frame before the first.
            choose: function of the number of a transition and the decoder's
                previous frame; the frame that it reads.
            training: as for a call.

        Returns:
            As a call.
        """
        transitions = self._transitions(steps)
        frame, outputs = before, []
        if self.first_step == "copy":
            first = self._emit(states[-1][0], training)
            if self.residual:
                first += before
            frame, outputs = self.to_frames(first), [first[:, None]]
        if isinstance(steps, int) and not transitions:
            return outputs[0]

        def step(t, frame, states, outputs):
            read = choose(t, frame)
            h, new = self.to_sequence(read), []
            for lstm, state in zip(self.lstms, states, strict=True):
                h, state = lstm.cell(h, state, training=training)
                new.append(state)
            output = self._emit(h, training)
            if self.residual:
                output += read
            return (
                t + 1,
                self.to_frames(output),
                new,
                outputs.write(t, output),
            )

        *_, unrolled = tf.while_loop(
            lambda t, *_: t < transitions,
            step,
            (
                0,
                frame,
                self._cast(states),
                tf.TensorArray(self.compute_dtype, size=transitions),
            ),
            maximum_iterations=transitions,
        )
        unrolled = unrolled.stack()
        axes = range(2, len(unrolled.shape))
        outputs.append(ops.transpose(unrolled, (1, 0, *axes)))
        return self._of_steps(ops.concatenate(outputs, axis=1), steps)

    def _of_steps(self, outputs, steps):
        """Has TensorFlow know the number of steps."""
        known = steps if isinstance(steps, int) else None
        return tf.ensure_shape(outputs, (None, known, *outputs.shape[2:]))

    def _cast(self, states):
        return [
            [
                ops.cast(h, self.compute_dtype),
                ops.cast(c, lstm.cell.cell_dtype),
            ]
            for lstm, (h, c) in zip(self.lstms, states, strict=True)
        ]

    def _emit(self, h, training):
        if self.dropout and training:
            h = keras.random.dropout(h, self.dropout, seed=self.seed_generator)
        return self._rectify(self.read_out(h))

    def _rectify(self, values):
        if self.output == "rectified":
            return ops.relu(values)
        return values

    def get_config(self):
        sampling = self.scheduled_sampling
        if callable(sampling):
            sampling = keras.optimizers.schedules.serialize(sampling)
        return {
            **super().get_config(),
            "conditional": self.conditional,
            "output": self.output,
            "first_step": self.first_step,
            "residual": self.residual,
            "scheduled_sampling": sampling,
            "dropout": self.dropout,
            "forget_bias": self.forget_bias,
            "output_bias": self.output_bias,
            "seed": self.seed,
        }


def _check_choice(name, value, choices):
    if value not in choices:
        raise ValueError(
            f"{name} must be one of {', '.join(map(repr, choices))}. "
            f"Received: {name}={value!r}"
        )
