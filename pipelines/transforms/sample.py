"""Which frames of a source are kept."""

import numpy as np

# Seconds.
_LONGEST = 10.0


def at_rate(frames, rate):
    """Resamples timed frames.

    Args:
        frames: yields `(seconds, frame)` in the order of time.
        rate: frames in a second; None keeps the frames as they are.

    Yields:
        `(seconds, frame)`: at each multiple of 1 / rate the frame that is
        shown then, repeated where the source is slower. A frame that would
        be shown for longer than `_LONGEST` seconds is a broken time: there
        the multiples begin anew.
    """
    if rate is None:
        yield from frames
        return
    frames = iter(frames)
    shown = next(frames, None)
    if shown is None:
        return
    start, k = shown[0], 0
    for following in frames:
        if following[0] - shown[0] > _LONGEST:
            yield start + k / rate, shown[1]
            shown, start, k = following, following[0], 0
            continue
        while start + k / rate < following[0]:
            yield start + k / rate, shown[1]
            k += 1
        shown = following
    yield start + k / rate, shown[1]


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
    """Spans of one length at random places that do not overlap.

    Args:
        duration: of the film in seconds.
        count: number of spans; fewer come where they do not fit.
        seconds: length of each.
        rng: a NumPy random generator.

    Returns:
        Sorted pairs `(start, end)`; the whole film if it is shorter than
        one span.
    """
    count = min(count, int(duration // seconds))
    if not count:
        return [(0.0, max(duration, seconds))]
    # What is left of the film is divided at random between the spans.
    free = np.sort(rng.uniform(0, duration - count * seconds, count))
    starts = free + np.arange(count) * seconds
    return [(float(s), float(s + seconds)) for s in starts]
