"""Samples the frames of a source in time."""

import numpy as np

# Seconds: times that differ by less are equal, so that a rounded rate, 29.97
# for 30000 / 1001, finds the right frames.
_SAME = 1e-5
# Seconds: the next frame after a longer hold begins a new clip.
_STILL = 10.0


def at_rate(frames, rate):
    """Resamples frames.

    At each multiple of 1 / rate, from the first frame on, it takes the last
    frame that counts as shown by then. So it repeats some frames of a film of a
    lower rate, skips some of a film of a higher rate, and repeats a picture for
    as long as it is held. After a picture that is held for more than ten
    seconds, a new run begins, and the multiples start again. The last frame is
    held for its duration.

    Args:
        frames: yields `Shown` in the order of time.
        rate: frames a second; None keeps each frame once.

    Yields:
        `(run, seconds, frame)` with the number of the run.
    """
    if rate is None:
        for shown in frames:
            yield 0, shown.seconds, shown.frame
        return
    shown, run, start, k = None, 0, 0.0, 0
    for following in frames:
        if shown is None:
            start = following.moment
        while start + k / rate < following.moment - _SAME:
            yield run, start + k / rate, shown.frame
            k += 1
        if shown and following.moment - shown.moment > _STILL:
            run, start, k = run + 1, following.moment, 0
        shown = following
    if shown is None:
        return
    # A frame without a duration is shown at its own time.
    end = max(shown.until, shown.moment + 2 * _SAME) - _SAME
    while start + k / rate < end:
        yield run, start + k / rate, shown.frame
        k += 1


def in_spans(frames, spans):
    """Keeps the frames of some spans of time.

    Args:
        frames: yields `(seconds, frame)` in the order of time.
        spans: sorted pairs `(start, end)` in seconds that do not overlap;
            None keeps all frames.

    Yields:
        `(span, seconds, frame)` with the number of the span.
    """
    if spans is None:
        for seconds, frame in frames:
            yield 0, seconds, frame
        return
    spans = list(enumerate(spans))
    for seconds, frame in frames:
        while spans and seconds >= spans[0][1][1]:
            spans.pop(0)
        if not spans:
            return
        number, (start, _) = spans[0]
        if seconds >= start:
            yield number, seconds, frame


def random_spans(duration, count, seconds, rng):
    """Random spans of one length that do not overlap.

    Args:
        duration: duration of the film in seconds.
        count: number of spans; there are fewer if they do not fit.
        seconds: length of each span.
        rng: a NumPy random generator.

    Returns:
        Sorted pairs `(start, end)`; the whole film if it is shorter than
        one span.
    """
    count = min(count, int(duration // seconds))
    if not count:
        return [(0.0, max(duration, seconds))]
    # The rest of the film is divided at random into the gaps between spans.
    free = np.sort(rng.uniform(0, duration - count * seconds, count))
    starts = free + np.arange(count) * seconds
    return [(float(s), float(s + seconds)) for s in starts]
