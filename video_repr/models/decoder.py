"""The decoder: from a state to frames."""

import keras
import tensorflow as tf
from keras import ops

from video_repr.layers import PeepholeLSTM
from video_repr.layers import recurrence
from video_repr.layers.random_state import SavesRandomState
from video_repr.layers.shapes import ComputesOutputShape
from video_repr.layers.trainable import SavesTrainable
from video_repr.layers.trainable import hand_down
from video_repr.models import conversion
from video_repr.ranges import check_ranges
from video_repr.ranges import whole_number

OUTPUTS = ("logistic", "linear", "rectified")
FIRST_STEPS = ("step", "copy")


@keras.saving.register_keras_serializable(package="video_repr")
class Decoder(
    SavesTrainable, SavesRandomState, ComputesOutputShape, keras.layers.Layer
):
    """A stack of peephole LSTMs that unrolls a state into frames.

    Every layer starts from the encoder's h and c of the same layer. The
    output layer reads the top layer alone: y_t = W_out h_t + b_out (paper,
    sections 2.2 to 2.4).

    An unconditioned decoder has no input. In a conditional one the first layer
    also reads the previous frame, and zeros at its first step. In training this
    is the true frame, otherwise always the decoder's own.

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
        truth: `[batch, steps, output_dim]`, the frames to predict, scaled as
            for an encoder. Only a conditional decoder in training reads them.
        training: whether the decoder is trained.

    Returns:
        `[batch, steps, output_dim]`: frames, or their logits where the output
        is logistic. `to_frames` turns either into frames.

    Raises:
        InputError: for wrong states or frames, as in an encoder.
    """

    def __init__(
        self,
        units,
        output_dim,
        *,
        conditional=False,
        output="logistic",
        first_step="step",
        scheduled_sampling=0.0,
        dropout=0.0,
        forget_bias=0.0,
        output_bias=0.0,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        _check_choice("output", output, OUTPUTS)
        _check_choice("first_step", first_step, FIRST_STEPS)
        self.units = conversion.check_layers(units)
        self.output_dim = whole_number("output_dim", output_dim)
        self.conditional = conditional
        self._output = output
        self.first_step = first_step
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
        self.lstms = [
            PeepholeLSTM(
                size,
                return_sequences=True,
                dropout=dropout if layer else 0.0,
                forget_bias=forget_bias,
                dtype=self.dtype_policy,
                name=f"lstm_{layer + 1}",
            )
            for layer, size in enumerate(self.units)
        ]
        self.readout = keras.layers.Dense(
            output_dim,
            # The paper's scale of 1/sqrt(fan-in), as in the recurrent layers.
            kernel_initializer=keras.initializers.VarianceScaling(
                1 / 3, "fan_in", "uniform"
            ),
            bias_initializer=keras.initializers.Constant(output_bias),
            dtype=self.dtype_policy,
            name="readout",
        )
        hand_down(self)
        if dropout or self._samples:
            self.seed_generator = keras.random.SeedGenerator(seed)

    @property
    def output(self):
        """The argument; for other layers Keras has the symbolic output here."""
        return self._output

    @property
    def _samples(self):
        return self.conditional and (
            callable(self.scheduled_sampling) or self.scheduled_sampling > 0
        )

    def build(self, states_shape=None, truth_shape=None):
        features = self.output_dim if self.conditional else 0
        for lstm, size in zip(self.lstms, self.units, strict=True):
            lstm.build((None, None, features))
            features = size
        self.readout.build((None, None, features))
        if self._samples:
            self.training_steps = self.add_weight(
                name="training_steps",
                shape=(),
                dtype="int32",
                initializer="zeros",
                trainable=False,
            )

    def call(self, states, steps, truth=None, training=False):
        if not tf.is_tensor(steps):
            steps = whole_number("steps", steps)
        states = conversion.as_states(states, self.units)
        if not self.conditional:
            return self._run(self._no_input(states, steps), states, training)
        if not training:
            return self._run_by_itself(states, steps)
        if truth is None or truth.shape[1] != steps:
            raise ValueError(
                "A conditional decoder is trained on the true frames, "
                f"[batch, {steps}, {self.output_dim}]. Received: truth of "
                f"shape {None if truth is None else tuple(truth.shape)}"
            )
        truth = conversion.as_features(
            truth, self.compute_dtype, pixels=self.output == "logistic"
        )
        previous = self._previous(truth)
        if not self._samples:
            return self._run(previous, states, training)
        return self._run_sampled(
            states, steps, previous, self._draw_own(previous)
        )

    def compute_output_shape(self, states_shape, truth_shape=None):
        (batch, _), _ = states_shape[0]
        # The number of steps is another argument.
        return (batch, None, self.output_dim)

    def to_frames(self, outputs):
        """Frames from the result of `call`."""
        if self.output == "logistic":
            return ops.sigmoid(outputs)
        return outputs

    def activations(self, states, steps):
        """Activations of the gates while a state is unrolled.

        Args:
            states: as for a call.
            steps: number of transitions, at least 1.

        Returns:
            A list with the result of `PeepholeLSTM.activations` for each layer,
            lowest first, `[batch, steps, units]`.
        """
        states = conversion.as_states(states, self.units)
        frames = steps if self.first_step == "step" else steps + 1
        if self.conditional:
            own = self.to_frames(self(states, steps=frames))
            sequence = self._previous(own)
        else:
            sequence = self._no_input(states, frames)
        return conversion.activations(self.lstms, sequence, states)

    def _transitions(self, steps):
        return steps if self.first_step == "step" else steps - 1

    def _no_input(self, states, steps):
        batch = ops.shape(states[0][0])[0]
        return ops.zeros(
            (batch, self._transitions(steps), 0), self.compute_dtype
        )

    def _previous(self, truth):
        """The previous frame of each transition; zeros if there is none."""
        if self.first_step == "copy":
            return truth[:, :-1]
        return ops.concatenate(
            [ops.zeros_like(truth[:, :1]), truth[:, :-1]], axis=1
        )

    def _draw_own(self, previous):
        share = self.scheduled_sampling
        if callable(share):
            share = share(self.training_steps)
        self.training_steps.assign_add(1)
        batch, transitions, _ = ops.shape(previous)
        return (
            keras.random.uniform(
                (batch, transitions, 1), seed=self.seed_generator
            )
            < share
        )

    def _run(self, inputs, states, training):
        """Runs all transitions at once, from known inputs."""
        top = states[-1][0]
        if inputs.shape[1] != 0:
            sequence = inputs
            for lstm, state in zip(self.lstms, states, strict=True):
                sequence = lstm(
                    sequence, initial_state=state, training=training
                )
            if self.first_step == "copy":
                sequence = ops.concatenate([top[:, None], sequence], axis=1)
        else:
            sequence = top[:, None]
        return self._emit(sequence, training)

    def _run_by_itself(self, states, steps):
        """Runs each transition from the decoder's previous frame."""
        frame, outputs = self._start(states, training=False)
        if not isinstance(steps, int) or self._transitions(steps):
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
                steps=self._transitions(steps),
            )
            outputs.append(self._rectify(rolled))
        outputs = ops.concatenate(outputs, axis=1)
        return ops.reshape(outputs, (-1, steps, self.output_dim))

    def _run_sampled(self, states, steps, previous, own):
        """Runs each transition from a true frame or from the decoder's own.

        The frame before transition t is the decoder's own if `own[:, t]`, and
        `previous[:, t]` otherwise.
        """
        transitions = self._transitions(steps)
        frame, outputs = self._start(states, training=True)

        def step(t, frame, states, outputs):
            x = ops.where(own[:, t], frame, previous[:, t])
            new = []
            for lstm, state in zip(self.lstms, states, strict=True):
                x, state = lstm.cell(x, state, training=True)
                new.append(state)
            output = self._emit(x, training=True)
            return (
                t + 1,
                self.to_frames(output),
                new,
                outputs.write(t, output),
            )

        *_, sampled = tf.while_loop(
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
        outputs.append(ops.transpose(sampled.stack(), (1, 0, 2)))
        outputs = ops.concatenate(outputs, axis=1)
        return ops.reshape(outputs, (-1, steps, self.output_dim))

    def _start(self, states, training):
        """The input of the first transition, and the outputs before it."""
        if self.first_step == "copy":
            first = self._emit(states[-1][0], training)
            return self.to_frames(first), [first[:, None]]
        batch = ops.shape(states[0][0])[0]
        return ops.zeros((batch, self.output_dim), self.compute_dtype), []

    def _cast(self, states):
        return [
            [ops.cast(value, self.compute_dtype) for value in state]
            for state in states
        ]

    def _emit(self, h, training):
        if self.dropout and training:
            h = keras.random.dropout(h, self.dropout, seed=self.seed_generator)
        return self._rectify(self.readout(h))

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
            "units": list(self.units),
            "output_dim": self.output_dim,
            "conditional": self.conditional,
            "output": self.output,
            "first_step": self.first_step,
            "scheduled_sampling": sampling,
            "dropout": self.dropout,
            "forget_bias": self.forget_bias,
            "output_bias": self.output_bias,
            "seed": self.seed,
        }


def _tensors(*variables):
    return [tf.convert_to_tensor(variable) for variable in variables]


def _check_choice(name, value, choices):
    if value not in choices:
        raise ValueError(
            f"{name} must be one of {', '.join(map(repr, choices))}. "
            f"Received: {name}={value!r}"
        )
