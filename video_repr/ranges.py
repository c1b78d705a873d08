"""Checks that numbers lie in a range."""

import numbers
import re

from video_repr.errors import InputError

_INTERVAL = re.compile(r"([\[(])([^,]+), ([^,]+)([\])])")


def check_ranges(values, where="", **intervals):
    """Refuses attributes outside of their intervals.

    >>> check_ranges(config, epochs="[1, inf)", dropout="[0, 1)")

    Args:
        values: an object with numbers as attributes; None is not checked.
        where: prefix of their names in messages.
        **intervals: interval of each attribute; "[" and "]" include the bound,
            "(" and ")" do not.

    Raises:
        InputError: naming the first that lies outside.
    """
    for name, interval in intervals.items():
        value = getattr(values, name)
        opening, low, high, closing = _INTERVAL.fullmatch(interval).groups()
        low, high = float(low), float(high)
        above = value is None or (
            value >= low if opening == "[" else value > low
        )
        below = value is None or (
            value <= high if closing == "]" else value < high
        )
        if above and below:
            continue
        raise InputError(
            f"Expected {where}{name} {_in_words(interval)}. Received: {value}"
        )


def whole_number(name, value, least=1):
    """A whole number as an int.

    Args:
        name: of the argument, for the message.
        value: of the argument; NumPy's integers are taken too.
        least: the least that is taken.

    Raises:
        InputError: if it is something else.
    """
    if (
        isinstance(value, bool)
        # NumPy's integers are not int.
        or not isinstance(value, numbers.Integral)
        or value < least
    ):
        raise InputError(
            f"{name} must be a whole number of at least {least}. Received: "
            f"{name}={value!r}"
        )
    return int(value)


def _in_words(interval):
    opening, low, high, closing = _INTERVAL.fullmatch(interval).groups()
    if (opening, closing) == ("[", "]"):
        return f"from {low} to {high}"
    words = f"of at least {low}" if opening == "[" else f"above {low}"
    if high == "inf":
        return f"{words} and finite" if opening == "(" else words
    return f"{words} and {'at most' if closing == ']' else 'below'} {high}"
