"""JSON values that are nearly as they should be."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def changed(
    draw: st.DrawFn, given: Sequence[dict[str, Any]], names: Sequence[str], values: Sequence[Any]
) -> dict[str, Any]:
    """Make one of the given objects, with one value in it replaced, or with one more where an object is.

    Args:
        draw: Draws what is left open.
        given: The objects.
        names: Names of what more an object may have.
        values: What a value may be replaced by, beside any other.
    """
    value: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(given)))
    *path, last = draw(st.sampled_from(_paths(value)[1:]))
    place: Any = value
    for key in path:
        place = place[key]
    key = last if isinstance(place, list) else draw(st.just(last) | st.sampled_from(names))
    place[key] = draw(JSON_VALUES | st.sampled_from(values))
    return value


def _paths(value: Any, *path: Any) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, each in inside for found in _paths(each, *path, key))]
