"""What becomes of a state that runs on by itself, in numbers."""

import numpy as np


def energy(outputs):
    """How much moves at each step.

    Args:
        outputs: outputs of a layer, `[clips, time, units]`.

    Returns:
        `[time]`: the squared change of all units since the step before, mean
        over clips; the first is the second's.
    """
    change = np.diff(np.asarray(outputs, np.float64), axis=1)
    found = np.square(change).sum(axis=-1).mean(axis=0)
    return np.concatenate([found[:1], found])


def energy_ratio(outputs, early=10, late=100):
    """Energy at a late step relative to that at an early one.

    Near 0 the dynamics have died out; from 1 on they have not decayed.

    Args:
        outputs: `[clips, time, units]`, of at least `late` steps.
        early: number of the early step.
        late: number of the late step.

    Returns:
        A number; each energy is the mean of the five steps up to its own.
    """
    found = energy(outputs)
    return float(
        found[late - 5 : late].mean() / found[early - 5 : early].mean()
    )


def half_life(ratio, early=10, late=100):
    """In how many steps the energy halves, from an `energy_ratio`.

    Args:
        ratio: as `energy_ratio` returns it.
        early: number of the early step.
        late: number of the late step.

    Returns:
        A number of steps; infinite where the energy does not decay.
    """
    if ratio >= 1:
        return np.inf
    return float((late - early) * np.log(0.5) / np.log(max(ratio, 1e-300)))


def dominant_periods(outputs):
    """The period of each unit's strongest oscillation.

    Args:
        outputs: outputs of a layer, `[time, units]`.

    Returns:
        `[units]`, in steps; NaN for units that do not move: whose standard
        deviation is no more than a thousandth.
    """
    outputs = np.asarray(outputs, np.float64)
    time = len(outputs)
    moving = outputs - outputs.mean(axis=0)
    # Half a wave longer than what was seen is no period: trends are taken out.
    steps = np.linspace(-1, 1, time)[:, None]
    moving -= steps * (steps * moving).sum(axis=0) / np.square(steps).sum()
    power = np.abs(np.fft.rfft(moving, axis=0))[1:]
    periods = time / (1.0 + power.argmax(axis=0))
    return np.where(moving.std(axis=0) > 1e-3, periods, np.nan)
