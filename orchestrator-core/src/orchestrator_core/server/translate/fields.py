"""Typed reading of a client's JSON, with errors that name the place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator_core.provider_api import InvalidRequest, Json


def invalid(place: str, problem: str) -> InvalidRequest:
    """Make the error for what stands at `place`, a dotted path, without repeating its value."""
    where = f"Invalid value at '{place}'" if place else "Invalid body"
    return InvalidRequest(f"{where}: {problem}.", param=place or None)


class Fields:
    """A JSON object whose fields are read by type. A field that is null counts as not set.

    Every method raises `InvalidRequest` where the field is of another type.
    """

    __slots__ = ("_index", "_place", "data")

    def __init__(self, data: Json, place: str = "", index: int | None = None) -> None:
        """Wrap the value that stands at `place`, a dotted path, or at `index` of the list there.

        Raises:
            InvalidRequest: The value is no object.
        """
        self._place = place
        self._index = index
        if not isinstance(data, dict):
            raise invalid(self.place, "expected an object")
        self.data: Mapping[str, Json] = data

    @property
    def place(self) -> str:
        """Where the object stands, a dotted path."""
        return self._place if self._index is None else f"{self._place}.{self._index}"

    def at(self, key: str | int) -> str:
        """Return the dotted path of a field."""
        place = self.place
        return f"{place}.{key}" if place else str(key)

    def string(self, key: str) -> str | None:
        """Read an optional string."""
        value = self.data.get(key)
        if value is not None and not isinstance(value, str):
            raise invalid(self.at(key), "expected a string")
        return value

    def required(self, key: str, *, empty: bool = True) -> str:
        """Read a string that must be there; `empty` says whether it may be empty."""
        value = self.string(key)
        if value is None:
            raise invalid(self.at(key), "a string is required")
        if not value and not empty:
            raise invalid(self.at(key), "it may not be empty")
        return value

    def number(self, key: str) -> float | None:
        """Read an optional number; an integer stays one."""
        value = self.data.get(key)
        if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            return value
        raise invalid(self.at(key), "expected a number")

    def integer(self, key: str, *, least: int | None = None) -> int | None:
        """Read an optional integer that is not below `least`."""
        value = self.data.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise invalid(self.at(key), "expected an integer")
        if least is not None and value < least:
            raise invalid(self.at(key), f"expected at least {least}")
        return value

    def boolean(self, key: str) -> bool | None:
        """Read an optional boolean."""
        value = self.data.get(key)
        if value is not None and not isinstance(value, bool):
            raise invalid(self.at(key), "expected true or false")
        return value

    def items(self, key: str) -> Sequence[Json]:
        """Read an optional list; none is an empty one."""
        value = self.data.get(key)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise invalid(self.at(key), "expected a list")
        return value

    def objects(self, key: str) -> Sequence[Fields]:
        """Read an optional list of objects."""
        items = self.items(key)
        if not items:
            return ()
        place = self.at(key)
        return [Fields(item, place, index) for index, item in enumerate(items)]

    def object(self, key: str) -> Fields | None:
        """Read an optional object."""
        value = self.data.get(key)
        return None if value is None else Fields(value, self.at(key))

    def need(self, key: str) -> Fields:
        """Read an object that must be there."""
        return Fields(self.data.get(key), self.at(key))
