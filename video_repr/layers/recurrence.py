"""The time loops of the peephole LSTMs, with gradients of their own.

This is the only file where speed tricks live:

- Inside, a state is a column per sequence, `[units, batch]`. The products of
  the loop are then weights times columns, which reads the weights, much the
  largest operand, in the order they lie in memory; rows times weights makes
  the processor copy them into another order at every step. This is for XLA;
  functions that run without XLA are traced in `for_executor`.
- The gates of a step are one product.
- The gradient stores the activated gates and the cells, and turns the weight
  gradients of all steps into one product over time instead of a small product
  per step.
- A sequence that starts from zeros needs no product of the weights in its
  first step, forward or backward.
"""

import contextlib
import contextvars

import tensorflow as tf

_rows = contextvars.ContextVar("rows", default=False)


@contextlib.contextmanager
def for_executor():
    """Traces for TensorFlow's executor rather than for XLA.

    Inside the block, the loop's products are rows times weights. For the
    executor this is as fast for many sequences, and faster for one sequence, as
    in serving, and for single steps.
    """
    token = _rows.set(True)
    try:
        yield
    finally:
        _rows.reset(token)


def gates(z, c, peephole, axis=-1):
    """One step's gate arithmetic (paper, section 2).

    Args:
        z: pre-activations without the peephole terms, packed along `axis` as
            input gate, forget gate, cell input, output gate.
        c: the previous cell, of the shape of one gate.
        peephole: diagonals of W_ci, W_cf and W_co, each of a shape that
            broadcasts to `c`.
        axis: the axis of the units.

    Returns:
        `(activations, h, c)`: the activated gates, packed as `z`, the new
        output and the new cell.
    """
    zi, zf, zg, zo = tf.split(z, 4, axis=axis)
    i = tf.sigmoid(zi + peephole[0] * c)
    f = tf.sigmoid(zf + peephole[1] * c)
    g = tf.tanh(zg)
    c = f * c + i * g
    # The output gate sees the new cell.
    o = tf.sigmoid(zo + peephole[2] * c)
    h = o * tf.tanh(c)
    return tf.concat([i, f, g, o], axis=axis), h, c


def _gates_gradient(activations, c_before, c, peephole, dh, dc, axis):
    """Gradient of `gates`.

    Args:
        activations: as returned by `gates`.
        c_before: the cell before the step.
        c: the cell after the step.
        peephole: as for `gates`.
        dh: gradient that reaches the step's output.
        dc: gradient that reaches the step's new cell.
        axis: as for `gates`.

    Returns:
        `(dz, dc_before)`: gradients of the pre-activations, packed as the
        activations, and of the previous cell.
    """
    i, f, g, o = tf.split(activations, 4, axis=axis)
    tanh_c = tf.tanh(c)
    dzo = dh * tanh_c * o * (1 - o)
    dc = dc + dh * o * (1 - tanh_c * tanh_c) + dzo * peephole[2]
    dzi = dc * g * i * (1 - i)
    dzf = dc * c_before * f * (1 - f)
    dzg = dc * i * (1 - g * g)
    dc_before = dc * f + dzi * peephole[0] + dzf * peephole[1]
    return tf.concat([dzi, dzf, dzg, dzo], axis=axis), dc_before


def peephole_lstm(
    drive,
    h,
    c,
    recurrent_kernel,
    peephole,
    *,
    steps,
    from_zeros,
    mask=None,
    kept=None,
    unroll=False,
):
    """Runs a peephole LSTM over a whole sequence.

    Args:
        drive: what enters the gates from outside the recurrence: the input
            projection and bias of every step, `[batch, time, 4 * units]`,
            made by the caller in one product; or, without input, the bias
            alone, `[4 * units]`, the same at every step.
        h: `[batch, units]`, initial output.
        c: `[batch, units]`, initial cell.
        recurrent_kernel: `[units, 4 * units]`.
        peephole: `[3, units]`.
        steps: number of steps, at least 1.
        from_zeros: whether h and c are zeros without a gradient.
        mask: `[batch, time]`, bool, true for the steps to take. At others h and
            c do not change. All when None.
        kept: `[batch, units]`, factor of h where the gates read it; 1 when
            None.
        unroll: whether to trace the steps without a loop; `steps` is a Python
            number then.

    Returns:
        `(sequence, c)`: h after every step, `[batch, time, units]`, and the
        last cell, `[batch, units]`. They are differentiable once, with respect
        to the first five arguments.
    """
    has_input = drive.shape.rank == 3
    # [1, batch] at every step.
    taken = None if mask is None else tf.transpose(mask)[:, None]
    # [units, batch].
    kept = None if kept is None else tf.transpose(kept)

    @tf.custom_gradient
    def run(drive, h, c, recurrent_kernel, peephole):
        # [4 * units, batch or 1] at every step, [3, units, 1].
        drive = tf.transpose(drive, [1, 2, 0]) if has_input else drive[:, None]
        drive_at = (lambda t: drive[t]) if has_input else (lambda t: drive)
        columns = peephole[:, :, None]
        h, c = tf.transpose(h), tf.transpose(c)
        hs, cs, activations = forward(
            drive_at,
            steps,
            h,
            c,
            _product_with(recurrent_kernel, h),
            columns,
            from_zeros,
            taken,
            kept,
            unroll,
        )
        c_before = tf.concat([c[None], cs[:-1]], axis=0)

        def gradient(dhs, dc):
            dz, dh, dc = backward(
                tf.transpose(dhs, [1, 2, 0]),
                tf.transpose(dc),
                activations,
                c_before,
                cs,
                lambda dz: tf.matmul(recurrent_kernel, dz),
                columns,
                from_zeros,
                taken,
                kept,
                unroll,
            )
            drecurrent = (
                tf.einsum("tub,tzb->uz", thinned(hs[:-1], kept), dz[1:])
                if from_zeros
                else tf.einsum(
                    "tub,tzb->uz",
                    thinned(tf.concat([h[None], hs[:-1]], axis=0), kept),
                    dz,
                )
            )
            dzi, dzf, _, dzo = tf.split(dz, 4, axis=1)
            dpeephole = tf.stack(
                [
                    tf.reduce_sum(dzi * c_before, axis=[0, 2]),
                    tf.reduce_sum(dzf * c_before, axis=[0, 2]),
                    tf.reduce_sum(dzo * cs, axis=[0, 2]),
                ]
            )
            ddrive = (
                tf.transpose(dz, [2, 0, 1])
                if has_input
                else tf.reduce_sum(dz, axis=[0, 2])
            )
            dstate = (
                (None, None)
                if from_zeros
                else (tf.transpose(dh), tf.transpose(dc))
            )
            return (ddrive, *dstate, drecurrent, dpeephole)

        sequence = tf.transpose(hs, [2, 0, 1])
        return (sequence, tf.transpose(cs[-1])), gradient

    return run(drive, h, c, recurrent_kernel, peephole)


def roll_out(frame, states, layers, readout, to_frame, *, steps):
    """Runs a stack of peephole LSTMs that reads its own previous frame.

    Args:
        frame: `[batch, features]`, the input of the first step.
        states: `[[h, c], ...]`, a pair a layer, each `[batch, units]`.
        layers: `(kernel, recurrent_kernel, peephole, bias)` of each layer, as
            in `PeepholeLSTMCell`.
        readout: `(kernel, bias)` of the output layer.
        to_frame: function from the output of the output layer to a frame.
        steps: number of steps, at least 1.

    Returns:
        `[batch, steps, features]`, the outputs of the output layer.
    """
    frame = tf.transpose(frame)
    states = [[tf.transpose(x) for x in state] for state in states]
    cells = []
    for kernel, recurrent_kernel, peephole, bias in layers:
        weights = tf.concat([kernel, recurrent_kernel], axis=0)
        cells.append(
            (_product_with(weights, frame), peephole[:, :, None], bias[:, None])
        )
    kernel, bias = readout
    read, bias = _product_with(kernel, frame), bias[:, None]

    def step(t, frame, states, outputs):
        x, new = frame, []
        for (product, *rest), (h, c) in zip(cells, states, strict=True):
            peephole, bias_of_gates = rest
            z = product(tf.concat([x, h], axis=0)) + bias_of_gates
            _, x, c = gates(z, c, peephole, axis=0)
            new.append([x, c])
        output = read(x) + bias
        return t + 1, to_frame(output), new, outputs.write(t, output)

    *_, outputs = _loop(step, steps, (0, frame, states, _array(frame, steps)))
    return tf.transpose(outputs.stack(), [2, 0, 1])


def _product_with(kernel, columns):
    """The loop's product of weights with columns like `columns`."""
    # One column is one row: copying the weights would cost more than the
    # whole loop.
    if columns.shape[1] == 1 or _rows.get():
        return lambda x: tf.transpose(tf.matmul(tf.transpose(x), kernel))
    transposed = tf.transpose(kernel)
    return lambda x: tf.matmul(transposed, x)


def thinned(h, kept):
    """What the gates read of h."""
    return h if kept is None else h * kept


def forward(
    drive_at,
    steps,
    h,
    c,
    product,
    peephole,
    from_zeros,
    taken,
    kept,
    unroll=False,
    axis=0,
):
    """The loop over the steps.

    Args:
        drive_at: function from a step to what enters its gates.
        steps: number of steps.
        h: initial output.
        c: initial cell, in whose type the gates are computed.
        product: function from h to the recurrent part of what enters the gates.
        peephole: as for `gates`.
        from_zeros: whether h and c are zeros.
        taken: by step, whether it is taken, of a shape that broadcasts to h;
            None for all.
        kept: factor of h where the gates read it; 1 when None.
        unroll: whether to trace the steps without a loop.
        axis: of the units.

    Returns:
        h, c and the activated gates of all steps, `[time, ...]`.
    """

    def step(t, h, c, hs, cs, activations, first=False):
        before = h, c
        recurrent = (
            tf.concat([h] * 4, axis=axis)
            if first
            else product(thinned(h, kept))
        )
        z = tf.cast(drive_at(t) + recurrent, c.dtype)
        a, h, c = gates(z, c, peephole, axis=axis)
        h = tf.cast(h, before[0].dtype)
        if taken is not None:
            h, c = (
                tf.where(taken[t], new, old)
                for new, old in zip((h, c), before, strict=True)
            )
        return (
            t + 1,
            h,
            c,
            hs.write(t, h),
            cs.write(t, c),
            activations.write(t, a),
        )

    variables = 0, h, c, *(_array(like, steps) for like in (h, c, c))
    if from_zeros:
        variables = step(*variables, first=True)
    _, _, _, *arrays = _loop(step, steps, variables, unroll)
    return tuple(array.stack() for array in arrays)


def backward(
    dhs,
    dc,
    activations,
    c_before,
    cs,
    back,
    peephole,
    from_zeros,
    taken,
    kept,
    unroll=False,
    axis=0,
):
    """The loop back.

    Args:
        dhs: gradient of h after every step, `[time, ...]`.
        dc: gradient of the last cell.
        activations: as `forward` returns them.
        c_before: the cell before every step.
        cs: the cell after every step.
        back: function from the gradient of what enters the gates to that of the
            h that `product` read.
        peephole: as for `forward`, as all that follow.
        from_zeros: ...
        taken: ...
        kept: ...
        unroll: ...
        axis: ...

    Returns:
        The gradients of what enters the gates of every step, and of the initial
        h and c.
    """
    steps = tf.shape(dhs)[0] if dhs.shape[0] is None else dhs.shape[0]

    def before(t, dh, dc):
        """Gradients of z, of the previous cell, and of h at masked steps."""
        dh = tf.cast(dhs[t] + dh, dc.dtype)
        dz, dc_before = _gates_gradient(
            activations[t], c_before[t], cs[t], peephole, dh, dc, axis
        )
        if taken is None:
            return dz, dc_before, None
        return (
            tf.where(taken[t], dz, tf.zeros_like(dz)),
            tf.where(taken[t], dc_before, dc),
            tf.cast(tf.where(taken[t], tf.zeros_like(dh), dh), dhs.dtype),
        )

    def step(k, dh, dc, dzs):
        t = steps - 1 - k
        dz, dc, stayed = before(t, dh, dc)
        dh = thinned(back(dz), kept)
        if stayed is not None:
            dh += stayed
        return k + 1, dh, dc, dzs.write(t, dz)

    _, dh, dc, dzs = _loop(
        step,
        steps - 1 if from_zeros else steps,
        (0, tf.zeros_like(dhs[0]), dc, _array(dc, steps)),
        unroll,
    )
    if from_zeros:
        dz, dc, _ = before(0, dh, dc)
        dzs = dzs.write(0, dz)
    return dzs.stack(), dh, dc


def _loop(step, steps, variables, unroll=False):
    if unroll:
        while variables[0] < steps:
            variables = step(*variables)
        return variables
    # XLA needs the bound to size what the loop stores.
    return tf.while_loop(
        lambda t, *_: t < steps, step, variables, maximum_iterations=steps
    )


def _array(like, steps):
    return tf.TensorArray(like.dtype, size=steps)
