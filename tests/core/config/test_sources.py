"""Lists and quotes in environment values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from orchestrator_core.config.sources import Environ, parse, split, unquote

items = st.text(st.characters(exclude_characters=",\"'", exclude_categories=["Cs"]), min_size=1).map(str.strip)


@given(st.lists(items.filter(bool)), st.sampled_from(["{}", '"{}"', "'{}'", " {} "]))
def test_any_items_are_split_as_they_were_joined(values: list[str], form: str) -> None:
    assert split(form.format(",".join(values)).strip()) == tuple(values)
    assert split(",".join(form.format(value) for value in values)) == tuple(values)


@given(st.text())
def test_splitting_never_fails_and_gives_no_empty_item(text: str) -> None:
    assert all(split(text))


@given(st.text(st.characters(exclude_characters='"')))
def test_only_matching_quotes_are_taken_away(text: str) -> None:
    assert unquote(f'"{text}"') == text.strip()
    assert unquote(f"\"{text}'") == f"\"{text}'"


@pytest.mark.parametrize(
    ("annotation", "text", "expected"),
    [
        (str, "a,b", "a,b"),
        (int | None, "5", "5"),
        (tuple[str, ...], "a,b", ("a", "b")),
        (tuple[str, ...] | None, "a", ("a",)),
        (Sequence[str], "a", ("a",)),
        (Annotated[list[str], Field(min_length=1)] | None, "a,b", ("a", "b")),
        (Mapping[str, str], '{"a": "b"}', {"a": "b"}),
        (dict[str, int] | None, '{"a": 1}', {"a": 1}),
    ],
)
def test_the_type_decides_how_a_value_is_read(annotation: Any, text: str, expected: Any) -> None:
    assert parse(annotation, text) == expected


def test_a_name_that_is_set_twice_is_seen_once() -> None:
    environ = Environ({"A": "1", "B": " "}, {"A": "2", "B": "3", "C": None})
    assert {(variable.name, variable.value) for variable in environ} == {("A", "1"), ("B", "3")}
    assert "1" not in repr(environ.first(["A"]))
