"""The time loop of the convolutional peephole LSTM, with its own gradient.

It is the loop of `recurrence`, with convolutions for products and states
`[batch, rows, columns, filters]`. The cell is of its own type, float32 in mixed
precision. The gradient of the recurrent kernel is one convolution over all
steps.
"""

import tensorflow as tf

from video_repr.layers.recurrence import backward
from video_repr.layers.recurrence import forward
from video_repr.layers.recurrence import thinned

# Of `[batch, time, ...]`, and back.
_TIME_FIRST = [1, 0, 2, 3, 4]


def peephole_conv_lstm(
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
    """Runs a convolutional peephole LSTM over a whole sequence.

    Args:
        drive: what enters the gates from outside the recurrence: the
            convolved input and bias of every step, `[batch, time, rows,
            columns, 4 * filters]`; or, without input, the bias alone, `[4 *
            filters]`, the same at every step.
        h: `[batch, rows, columns, filters]`, initial output.
        c: as h, of its own type: initial cell.
        recurrent_kernel: `[height, width, filters, 4 * filters]`.
        peephole: `[3, filters]` or `[3, rows, columns, filters]`, of the type
            of c.
        steps: as for `peephole_lstm`.
        from_zeros: as for `peephole_lstm`.
        mask: as for `peephole_lstm`.
        kept: as h, factor of h where the gates read it; 1 when None.
        unroll: as for `peephole_lstm`.

    Returns:
        `(sequence, c)`: h after every step, `[batch, time, rows, columns,
        filters]`, and the last cell. They are differentiable once, with respect
        to the first five arguments.
    """
    has_input = drive.shape.rank == 5
    # [batch, 1, 1, 1] at every step.
    taken = None
    if mask is not None:
        taken = tf.transpose(mask)[:, :, None, None, None]
    convolution = {"strides": [1] * 4, "padding": "SAME"}

    @tf.custom_gradient
    def run(drive, h, c, recurrent_kernel, peephole):
        drive = tf.transpose(drive, _TIME_FIRST) if has_input else drive
        drive_at = (lambda t: drive[t]) if has_input else (lambda t: drive)
        hs, cs, activations = forward(
            drive_at,
            steps,
            h,
            c,
            lambda x: tf.nn.conv2d(x, recurrent_kernel, 1, "SAME"),
            peephole,
            from_zeros,
            taken,
            kept,
            unroll,
            axis=-1,
        )
        c_before = tf.concat([c[None], cs[:-1]], axis=0)

        def gradient(dhs, dc):
            dz, dh, dc = backward(
                tf.transpose(dhs, _TIME_FIRST),
                dc,
                activations,
                c_before,
                cs,
                lambda dz: tf.raw_ops.Conv2DBackpropInput(
                    input_sizes=tf.shape(h),
                    filter=recurrent_kernel,
                    out_backprop=tf.cast(dz, h.dtype),
                    **convolution,
                ),
                peephole,
                from_zeros,
                taken,
                kept,
                unroll,
                axis=-1,
            )
            h_before = tf.concat([h[None], hs[:-1]], axis=0)
            # All steps at once.
            drecurrent = tf.raw_ops.Conv2DBackpropFilter(
                input=_images(thinned(h_before, kept)),
                filter_sizes=tf.shape(recurrent_kernel),
                out_backprop=_images(tf.cast(dz, h.dtype)),
                **convolution,
            )
            dzi, dzf, _, dzo = tf.split(dz, 4, axis=-1)
            over = list(range(6 - peephole.shape.rank))
            dpeephole = tf.stack(
                [
                    tf.reduce_sum(dzi * c_before, axis=over),
                    tf.reduce_sum(dzf * c_before, axis=over),
                    tf.reduce_sum(dzo * cs, axis=over),
                ]
            )
            ddrive = tf.cast(dz, drive.dtype)
            ddrive = (
                tf.transpose(ddrive, _TIME_FIRST)
                if has_input
                else tf.reduce_sum(ddrive, axis=[0, 1, 2, 3])
            )
            dstate = (None, None) if from_zeros else (dh, dc)
            return (ddrive, *dstate, drecurrent, dpeephole)

        return (tf.transpose(hs, _TIME_FIRST), cs[-1]), gradient

    return run(drive, h, c, recurrent_kernel, peephole)


def _images(steps):
    """Those of all steps as one batch."""
    shape = tf.shape(steps)
    return tf.reshape(steps, tf.concat([[shape[0] * shape[1]], shape[2:]], 0))
