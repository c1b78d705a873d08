"""keras.layers.LSTM, and RNN around the peephole cell."""

import functools

import keras
import tensorflow as tf
from keras import ops

# The worker asks each module for it.
from benchmarks.step.ours import device_memory  # noqa: F401
from benchmarks.step.ours import every_step
from benchmarks.step.work import AbsentError
from video_repr import PeepholeLSTMCell
from video_repr.precision import set_precision


def step(work, peephole, jit_compile):
    if work.devices > 1:
        raise AbsentError("written for one device")
    set_precision(work.precision)
    model = SameWork(work, peephole)
    if work.task != "train":
        return _inference(model, work, jit_compile)
    clips = tf.constant(work.clips())
    optimizer = keras.optimizers.Adam(1e-3)
    if work.classes:
        y = tf.constant(work.labels())
        model.compile(optimizer, every_step, jit_compile=jit_compile)
    else:
        n = work.input_frames
        y = tf.concat([clips[:, :n][:, ::-1], clips[:, n:]], axis=1)
        loss = _cross_entropy if work.output == "logistic" else _half_sse
        model.compile(optimizer, loss, jit_compile=jit_compile)
    model(clips)
    optimizer.build(model.trainable_variables)
    return lambda: model.train_on_batch(clips, y, return_dict=True)["loss"]


def _inference(model, work, jit_compile):
    clips = tf.constant(work.clips())
    states = [[tf.constant(x) for x in state] for state in work.states()]

    def infer():
        if work.task == "encode":
            return model.encode(clips)[0, 0]
        return model.roll_out(states)[0, 0]

    return tf.function(infer, jit_compile=jit_compile)


def _lstm(units, peephole):
    options = {"return_sequences": True, "return_state": True}
    if peephole:
        return keras.layers.RNN(PeepholeLSTMCell(units), **options)
    # cuDNN's kernel is refused by XLA.
    return keras.layers.LSTM(units, use_cudnn=False, **options)


class SameWork(keras.Model):
    """The same work, made of layers that return their states."""

    def __init__(self, work, peephole):
        super().__init__()
        self.work = work
        branches = 1 if work.classes else 3
        self.stacks = [
            [_lstm(units, peephole) for units in work.units]
            for _ in range(branches)
        ]
        self.readouts = [
            keras.layers.Dense(work.classes or work.features)
            for _ in range(max(1, branches - 1))
        ]

    def call(self, clips):
        n, batch = self.work.input_frames, self.work.batch
        sequence, states = _run(self.stacks[0], clips[:, :n])
        if self.work.classes:
            return self.readouts[0](sequence)
        # A layer of Keras needs an input: a zero.
        nothing = ops.zeros((batch, n, 1))
        future = ops.zeros((batch, self.work.future_frames, 1))
        if self.work.conditional:
            future = ops.concatenate(
                [ops.zeros_like(clips[:, :1]), clips[:, n:-1]], axis=1
            )
        outputs = []
        for stack, readout, inputs in zip(
            self.stacks[1:], self.readouts, (nothing, future), strict=True
        ):
            sequence, _ = _run(stack, inputs, states)
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
            sequence, states = _run(self.stacks[2], frame[:, None], states)
            logits = self.readouts[1](sequence[:, 0])
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
    return ops.mean(ops.sum(ops.softplus(logits) - truth * logits, axis=-1))


def _half_sse(truth, outputs):
    return ops.mean(0.5 * ops.sum(ops.square(truth - outputs), axis=-1))


SYSTEMS = {
    f"keras {name}{suffix}": functools.partial(
        step, peephole=peephole, jit_compile=jit_compile
    )
    for name, peephole in (("LSTM", False), ("RNN(PeepholeLSTMCell)", True))
    for suffix, jit_compile in ((", XLA", True), ("", False))
}
