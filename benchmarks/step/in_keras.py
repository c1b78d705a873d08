"""keras.layers.LSTM, RNN around the peephole cell, and ConvLSTM2D."""

import functools

import keras
import tensorflow as tf
from keras import ops

# The worker asks each module for it.
from benchmarks.step.ours import device_memory  # noqa: F401
from benchmarks.step.ours import every_step
from benchmarks.step.ours import updates
from benchmarks.step.work import AbsentError
from video_repr import PeepholeLSTMCell
from video_repr.precision import set_precision


def step(work, make, jit_compile):
    if work.devices > 1:
        raise AbsentError("written for one device")
    set_precision(work.precision)
    model = SameWork(work, make)
    if work.task != "train":
        return _inference(model, work, jit_compile)
    clips = tf.constant(work.vectors())
    optimizer = keras.optimizers.Adam(1e-3)
    if work.classes:
        y = tf.constant(work.labels())
        model.compile(optimizer, every_step, jit_compile=jit_compile)
    else:
        n = work.input_frames
        y = clips[:, n:]
        if work.reconstruction:
            y = tf.concat([clips[:, :n][:, ::-1], y], axis=1)
        loss = _cross_entropy if work.output == "logistic" else _half_sse
        model.compile(optimizer, loss, jit_compile=jit_compile)
    model(clips)
    optimizer.build(model.trainable_variables)
    return updates(model, clips, y)


def _inference(model, work, jit_compile):
    clips = tf.constant(work.clips())
    states = [[tf.constant(x) for x in state] for state in work.states()]

    def infer():
        if work.task == "encode":
            return model.encode(clips)[0, 0]
        return model.roll_out(states)[0, 0]

    return tf.function(infer, jit_compile=jit_compile)


_OPTIONS = {"return_sequences": True, "return_state": True}


def _lstm(work, units):
    # cuDNN's kernel is refused by XLA.
    return keras.layers.LSTM(units, use_cudnn=False, **_OPTIONS)


def _peephole(work, units):
    return keras.layers.RNN(PeepholeLSTMCell(units), **_OPTIONS)


def _convolutional(work, units):
    return keras.layers.ConvLSTM2D(
        units, work.kernel_size, padding="same", **_OPTIONS
    )


class SameWork(keras.Model):
    """The same work, made of layers that return their states."""

    def __init__(self, work, make):
        super().__init__()
        self.work = work
        decoders = 0 if work.classes else len(work.decoded)
        self.stacks = [
            [make(work, units) for units in work.units]
            for _ in range(1 + decoders)
        ]
        self.readouts = [
            keras.layers.Dense(work.classes or work.values)
            for _ in range(max(1, decoders))
        ]

    def call(self, clips):
        work, n = self.work, self.work.input_frames
        sequence, states = _run(self.stacks[0], clips[:, :n])
        if work.classes:
            return self.readouts[0](sequence)
        # A layer of Keras needs an input: a zero.
        inputs = {
            name: ops.zeros((work.batch, frames, *work.grid, 1))
            for name, frames in work.decoded.items()
        }
        if work.conditional:
            inputs["future"] = ops.concatenate(
                [ops.zeros_like(clips[:, :1]), clips[:, n:-1]], axis=1
            )
        outputs = []
        for stack, readout, read in zip(
            self.stacks[1:], self.readouts, inputs.values(), strict=True
        ):
            sequence, _ = _run(stack, read, states)
            outputs.append(readout(sequence))
        return ops.concatenate(outputs, axis=1)

    def encode(self, clips):
        _, states = _run(self.stacks[0], clips)
        return states[-1][0]

    def roll_out(self, states):
        """The frames one by one, as a user's own loop would make them."""
        steps, features = self.work.future_frames, self.work.features
        frame = tf.zeros((self.work.batch, features))

        def transition(t, frame, states, outputs):
            sequence, states = _run(self.stacks[-1], frame[:, None], states)
            logits = self.readouts[-1](sequence[:, 0])
            outputs = outputs.write(t, logits)
            return t + 1, ops.sigmoid(logits), states, outputs

        *_, outputs = tf.while_loop(
            lambda t, *_: t < steps,
            transition,
            (0, frame, states, tf.TensorArray("float32", steps)),
            maximum_iterations=steps,
        )
        return outputs.stack()[-1]


def _run(stack, sequence, initial=None):
    states = []
    for i, lstm in enumerate(stack):
        sequence, h, c = lstm(
            sequence, initial_state=initial[i] if initial else None
        )
        states.append([h, c])
    return sequence, states


def _cross_entropy(truth, logits):
    return _per_frame(ops.softplus(logits) - truth * logits)


def _half_sse(truth, outputs):
    return _per_frame(0.5 * ops.square(truth - outputs))


def _per_frame(errors):
    return ops.mean(ops.sum(errors, axis=tuple(range(2, errors.ndim))))


SYSTEMS = {
    f"keras {name}{suffix}": functools.partial(
        step, make=make, jit_compile=jit_compile
    )
    for name, make in (
        ("LSTM", _lstm),
        ("RNN(PeepholeLSTMCell)", _peephole),
        ("ConvLSTM2D", _convolutional),
    )
    for suffix, jit_compile in ((", XLA", True), ("", False))
}
