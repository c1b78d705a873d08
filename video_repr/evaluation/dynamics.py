"""Measures of a recurrence that runs without input."""

import numpy as np


def energy(outputs):
    """How much moves at each step.

    Args:
        outputs: outputs of a layer, `[clips, time, units]`, or maps, `[clips,
            time, rows, columns, filters]`.

    Returns:
        `[time]`: the squared change since the step before, summed over units,
        at every place, mean over clips; the first value repeats the second.
    """
    found = np.mean([_changes(clip) for clip in outputs], axis=0)
    return np.concatenate([found[:1], found])


def _changes(outputs):
    # Of one clip at a time, as maps of many would fill the memory.
    change = np.diff(np.asarray(outputs, np.float64), axis=0)
    return np.square(change).reshape(len(change), -1).sum(axis=1)


def energy_ratio(outputs, early=10, late=100):
    """Energy at a late step relative to that at an early one.

    Near 0 the dynamics have died out; from 1 on they have not decayed.

    Args:
        outputs: as for `energy`, of at least `late` steps.
        early: number of the early step.
        late: number of the late step.

    Returns:
        A number. Each energy is the mean of the five steps up to its step. It
        is 0 if nothing moved at the early step.
    """
    found = energy(outputs)
    before = found[early - 5 : early].mean()
    return float(found[late - 5 : late].mean() / before) if before else 0.0


def dominant_periods(outputs):
    """The period of each unit's strongest oscillation.

    It is the peak of the spectrum under a Hann window, after removal of a cubic
    trend.

    Args:
        outputs: outputs of a layer, `[time, units]`; or maps, `[time, rows,
            columns, filters]`, in which a unit is a channel at one place.

    Returns:
        `[units]`, in steps; NaN for units that do not oscillate. Their spectrum
        has no peak at a period that fits three times into the time, as with a
        decay, or their standard deviation is no more than a thousandth.
    """
    time = len(outputs)
    outputs = np.asarray(outputs, np.float64).reshape(time, -1)
    trends = np.polynomial.legendre.legvander(np.linspace(-1, 1, time), 3)
    moving = outputs - trends @ np.linalg.lstsq(trends, outputs, rcond=None)[0]
    # Padded, so that a period need not divide the time.
    padded = 8 * time
    power = np.abs(
        np.fft.rfft(moving * np.hanning(time)[:, None], n=padded, axis=0)
    )
    # The rest of a trend has its peak at periods that fit in twice.
    seen = power[2 * padded // time :]
    strongest = 2 * padded // time + seen.argmax(axis=0)
    periods = padded / strongest
    is_seen = (periods <= time / 3) & (moving.std(axis=0) > 1e-3)
    return np.where(is_seen, periods, np.nan)
