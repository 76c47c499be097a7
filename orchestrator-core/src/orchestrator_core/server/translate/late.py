"""Canonical forms that are made when somebody asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar, overload

T = TypeVar("T")


class Late(Sequence[T]):
    """A sequence of what is known to be well-formed, which is read when somebody asks for it.

    Where the provider speaks the client's dialect nobody does: it is sent the client's own.

    Args:
        read: Reads them all.
        length: How many there are, where that shows without reading them.
    """

    __slots__ = ("_items", "_length", "_read")

    def __init__(self, read: Callable[[], Sequence[T]], length: int | None = None) -> None:
        self._read = read
        self._length = length
        self._items: Sequence[T] | None = None

    def _all(self) -> Sequence[T]:
        if self._items is None:
            self._items = self._read()
        return self._items

    @overload
    def __getitem__(self, place: int) -> T: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[T]: ...

    def __getitem__(self, place: int | slice) -> T | Sequence[T]:
        return self._all()[place]

    def __iter__(self) -> Iterator[T]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all()) if self._length is None else self._length

    def __eq__(self, other: object) -> bool:
        return self._all() == other

    __hash__ = None  # type: ignore[assignment]  # as of lists, which it stands for
