"""The paper's equations in float64 NumPy, written without the package.

Everything is a plain loop over time, one gate at a time, so that it shares
neither code nor structure with what it judges.
"""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def split_gates(packed):
    n = packed.shape[-1] // 4
    return [packed[..., k * n : (k + 1) * n] for k in range(4)]


def step(x, h, c, weights):
    """One step; `weights` are (kernel or None, recurrent, peephole, bias)."""
    kernel, recurrent, peephole, bias = weights
    w_hi, w_hf, w_hc, w_ho = split_gates(recurrent)
    b_i, b_f, b_c, b_o = split_gates(bias)
    if kernel is None:
        x_i = x_f = x_c = x_o = 0
    else:
        x_i, x_f, x_c, x_o = (x @ w for w in split_gates(kernel))
    w_ci, w_cf, w_co = peephole
    i = sigmoid(x_i + h @ w_hi + w_ci * c + b_i)
    f = sigmoid(x_f + h @ w_hf + w_cf * c + b_f)
    g = np.tanh(x_c + h @ w_hc + b_c)
    c = f * c + i * g
    o = sigmoid(x_o + h @ w_ho + w_co * c + b_o)
    return o * np.tanh(c), c


def lstm(x, h, c, weights, steps=None):
    """All steps: outputs [batch, time, units], and the last h and c."""
    hs = []
    for t in range(x.shape[1] if steps is None else steps):
        h, c = step(None if x is None else x[:, t], h, c, weights)
        hs.append(h)
    return np.stack(hs, axis=1), h, c


def encoder(x, layers):
    """States [(h, c), ...] of a stack that starts from zeros."""
    states = []
    for weights in layers:
        zeros = np.zeros((len(x), len(weights[1])))
        x, h, c = lstm(x, zeros, zeros, weights)
        states.append((h, c))
    return states


def decoder(
    states, layers, w_out, b_out, steps, *, truth=None, conditional=False,
    first_step="step", to_frame=sigmoid,
):  # fmt: skip
    """Outputs before the non-linearity, step by step.

    A conditional decoder sees `truth` where it is given, otherwise its own.
    """
    states = list(states)
    outputs = []
    for t in range(steps):
        if first_step == "copy" and t == 0:
            outputs.append(states[-1][0] @ w_out + b_out)
            continue
        x = None
        if conditional:
            if t == 0:
                x = np.zeros((len(states[0][0]), w_out.shape[1]))
            elif truth is not None:
                x = truth[:, t - 1]
            else:
                x = to_frame(outputs[-1])
        for n, weights in enumerate(layers):
            h, c = step(x, *states[n], weights)
            states[n] = h, c
            x = h
        outputs.append(x @ w_out + b_out)
    return np.stack(outputs, axis=1)


def lstm_weights(layer):
    """What this oracle takes, from a PeepholeLSTM or a cell."""
    cell = getattr(layer, "cell", layer)
    return tuple(
        None if w is None else np.asarray(w, np.float64)
        for w in (cell.kernel, cell.recurrent_kernel, cell.peephole, cell.bias)
    )


def finite_differences(function, arrays, epsilon=1e-5):
    """Central differences of a scalar function for each of its arrays."""
    gradients = []
    for array in arrays:
        gradient = np.zeros_like(array)
        for index in np.ndindex(array.shape):
            kept = array[index]
            array[index] = kept + epsilon
            high = function()
            array[index] = kept - epsilon
            low = function()
            array[index] = kept
            gradient[index] = (high - low) / (2 * epsilon)
        gradients.append(gradient)
    return gradients
