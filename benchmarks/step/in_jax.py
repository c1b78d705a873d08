"""Peephole LSTMs as a jax.lax.scan, under jit, with optax's Adam."""

import functools
import math

import jax
import jax.numpy as jnp
import optax

from benchmarks.step.work import AbsentError

# Names of JAX for what the products of matrices are computed in.
_PRECISIONS = {
    "float32": "float32",
    "tf32": "tensorfloat32",
    "mixed_bfloat16": "bfloat16",
}


def step(work):
    if work.devices > 1:
        raise AbsentError("written for one device")
    jax.config.update(
        "jax_default_matmul_precision", _PRECISIONS[work.precision]
    )
    optimizer = optax.adam(1e-3)
    parameters = _parameters(work, jax.random.key(0))
    clips = jnp.asarray(work.vectors())
    if work.task != "train":
        infer = jax.jit(functools.partial(_infer, work))
        states = jax.tree.map(jnp.asarray, work.states())
        return lambda: infer(parameters, clips, states)
    labels = jnp.asarray(work.labels()) if work.classes else None
    state = optimizer.init(parameters)

    def update(parameters, state, clips):
        loss, gradient = jax.value_and_grad(_loss, argnums=1)(
            work, parameters, clips, labels
        )
        change, state = optimizer.update(gradient, state)
        return optax.apply_updates(parameters, change), state, loss

    update = jax.jit(update, donate_argnums=(0, 1))

    def run():
        nonlocal parameters, state
        parameters, state, loss = update(parameters, state, clips)
        return loss

    return run


def device_memory():
    """Peak bytes on the GPU, None without one."""
    statistics = jax.devices()[0].memory_stats() or {}
    return statistics.get("peak_bytes_in_use")


def _infer(work, parameters, clips, states):
    stacks = parameters["stacks"]
    if work.task == "encode":
        clips = clips.swapaxes(0, 1)
        _, states = _run(stacks[0], clips, work.input_frames, None)
        return states[-1][0][0, 0]
    kernel, bias = parameters["readouts"][-1]

    def transition(carry, _):
        frame, states = carry
        sequence, states = _run(stacks[-1], frame[None], 1, states)
        logits = sequence[0] @ kernel + bias
        return (jax.nn.sigmoid(logits), states), logits

    nothing = jnp.zeros((work.batch, work.features))
    states = [tuple(state) for state in states]
    _, logits = jax.lax.scan(
        transition, (nothing, states), length=work.future_frames
    )
    return logits[-1, 0, 0]


def _parameters(work, key):
    decoders = [] if work.classes else [*work.decoded]
    features = [
        work.values,
        *(
            work.values if work.conditional and name == "future" else 0
            for name in decoders
        ),
    ]
    window = (work.kernel_size,) * 2 if work.patch else ()
    stacks = []
    for below in features:
        stack = []
        for units in work.units:
            key, a, b = jax.random.split(key, 3)
            stack.append(
                {
                    "kernel": _uniform(a, *window, below, 4 * units)
                    if below
                    else None,
                    "recurrent": _uniform(b, *window, units, 4 * units),
                    "peephole": jnp.zeros((3, units)),
                    "bias": jnp.zeros(4 * units),
                }
            )
            below = units
        stacks.append(stack)
    outputs = work.classes or work.values
    readouts = []
    for _ in range(max(1, len(decoders))):
        key, a = jax.random.split(key)
        readouts.append(
            (_uniform(a, work.units[-1], outputs), jnp.zeros(outputs))
        )
    return {"stacks": stacks, "readouts": readouts}


def _uniform(key, *shape):
    limit = math.prod(shape[:-1]) ** -0.5
    return jax.random.uniform(key, shape, minval=-limit, maxval=limit)


def _loss(work, parameters, clips, labels):
    n = work.input_frames
    # Time first, as scan wants it.
    clips = clips.swapaxes(0, 1)
    stacks, readouts = parameters["stacks"], parameters["readouts"]
    sequence, states = _run(stacks[0], clips[:n], n, None)
    if work.classes:
        kernel, bias = readouts[0]
        return optax.softmax_cross_entropy_with_integer_labels(
            sequence @ kernel + bias,
            jnp.broadcast_to(labels, sequence.shape[:2]),
        ).mean()
    inputs = dict.fromkeys(work.decoded)
    if work.conditional:
        inputs["future"] = jnp.concatenate(
            [jnp.zeros_like(clips[:1]), clips[n:-1]]
        )
    truths = {"reconstruction": clips[:n][::-1], "future": clips[n:]}
    total = 0.0
    for stack, (kernel, bias), (name, read) in zip(
        stacks[1:], readouts, inputs.items(), strict=True
    ):
        truth = truths[name]
        sequence, _ = _run(stack, read, len(truth), states)
        outputs = sequence @ kernel + bias
        if work.output == "logistic":
            total += (jax.nn.softplus(outputs) - truth * outputs).sum()
        else:
            total += 0.5 * ((truth - outputs) ** 2).sum()
    return total / (work.batch * sum(work.decoded.values()))


def _run(stack, sequence, steps, initial):
    states = []
    for i, layer in enumerate(stack):
        units = layer["peephole"].shape[1]
        if initial:
            state = initial[i]
        else:
            state = (jnp.zeros((*sequence.shape[1:-1], units)),) * 2
        if layer["kernel"] is None:
            drive = jnp.broadcast_to(layer["bias"], (steps, 4 * units))
        else:
            drive = _product(sequence, layer["kernel"]) + layer["bias"]

        def cell(state, drive, layer=layer):
            h, c = state
            z = drive + _product(h, layer["recurrent"])
            i, f, g, o = jnp.split(z, 4, axis=-1)
            i = jax.nn.sigmoid(i + layer["peephole"][0] * c)
            f = jax.nn.sigmoid(f + layer["peephole"][1] * c)
            c = f * c + i * jnp.tanh(g)
            o = jax.nn.sigmoid(o + layer["peephole"][2] * c)
            h = o * jnp.tanh(c)
            return (h, c), h

        state, sequence = jax.lax.scan(cell, state, drive)
        states.append(state)
    return sequence, states


def _product(vectors, kernel):
    """Of vectors and a matrix, or of grids of vectors and a convolution."""
    if kernel.ndim == 2:
        return vectors @ kernel
    # Those of all steps at once.
    images = vectors.reshape((-1, *vectors.shape[-3:]))
    result = jax.lax.conv_general_dilated(
        images,
        kernel,
        (1, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return result.reshape((*vectors.shape[:-1], kernel.shape[-1]))


SYSTEMS = {"jax scan": step, "jax conv scan": step}
