import math
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from video_repr.errors import InputError
from video_repr.ranges import check_ranges


@given(
    value=st.floats() | st.integers() | st.none(),
    low=st.integers(-3, 3),
    high=st.integers(-3, 3) | st.just(math.inf),
    opening=st.sampled_from("[("),
    closing=st.sampled_from("])"),
)
def test_what_lies_inside(value, low, high, opening, closing):
    inside = value is None or (
        (low <= value if opening == "[" else low < value)
        and (value <= high if closing == "]" else value < high)
    )
    values = types.SimpleNamespace(x=value)
    interval = f"{opening}{low}, {high}{closing}"
    if inside:
        check_ranges(values, x=interval)
        return
    with pytest.raises(InputError, match=r"Expected a\.x"):
        check_ranges(values, "a.", x=interval)


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        ("[1, inf)", "of at least 1"),
        ("(0, inf)", "above 0 and finite"),
        ("[0, 1]", "from 0 to 1"),
        ("[0, 1)", "of at least 0 and below 1"),
        ("(0, 1000]", "above 0 and at most 1000"),
    ],
)
def test_in_words(interval, words):
    values = types.SimpleNamespace(x=math.nan)
    with pytest.raises(InputError) as error:
        check_ranges(values, x=interval)
    assert str(error.value) == f"Expected x {words}. Received: nan"
