"""What the store does, told without a database: generators that yield statements and are sent the rows.

The same steps run on every database. A driver (`databases/`) runs them in one transaction, and may run them again from
the beginning where the transaction was lost to a conflict.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

_ROWS = 40


class Query(NamedTuple):
    """A statement, with `?` or `?1` for its parameters; `now_micros()` is the database's own time."""

    sql: str
    parameters: tuple[Any, ...] = ()


class Lock(Query):
    """A statement that locks a row until the end of the transaction; a database with one writer passes it over."""

    __slots__ = ()

    @property
    def row(self) -> tuple[Any, ...]:
        """Names the row."""
        return self.parameters


class Write(Query):
    """A statement that writes rows of its own, and whose end nobody waits for.

    A server that is far is sent it together with the next ones like it: before whatever else the transaction asks, and
    at its end. None of them may write a row that another of them writes, or need what another has written.
    """

    __slots__ = ()


class Change(NamedTuple):
    """A statement that is answered with one row: how many rows it changed.

    A server that is far is sent it together with the writes before it.

    Attributes:
        sql: The statement.
        parameters: As those of a query.
        row: Names the row that it changes as one that locks it does.
    """

    sql: str
    parameters: tuple[Any, ...]
    row: tuple[Any, ...]


class Sum(NamedTuple):
    """A statement that adds to the numbers of a row, or makes it, and whose end nobody waits for.

    A database with one writer may add up what many transactions add, and write that once, before it commits them.

    Attributes:
        sql: The statement. Its parameters are the key, the part and the numbers.
        key: What is counted.
        part: Which of its rows counts it: there are several, so that what ends at the same time need not wait.
        numbers: What is added.
    """

    sql: str
    key: tuple[Any, ...]
    part: int
    numbers: tuple[float, ...]

    @property
    def parameters(self) -> tuple[Any, ...]:
        """What the statement takes."""
        return (*self.key, self.part, *self.numbers)


Row = Any
"""What a statement returns, column by column."""

Steps = Generator[Query | Change | Sum, Sequence[Row], T]
"""Yields statements, is sent their rows, and returns a result."""

Transaction = Callable[[], Steps[T]]
"""Makes the steps of one try."""


def one(sql: str, *parameters: Any) -> Steps[Row | None]:
    """Return the first row, or None."""
    rows = yield Query(sql, parameters)
    return rows[0] if rows else None


def rows(sql: str, *parameters: Any) -> Steps[Sequence[Row]]:
    """Return all rows."""
    return (yield Query(sql, parameters))


def do(sql: str, *parameters: Any) -> Steps[None]:
    """Run a statement for what it does."""
    yield Query(sql, parameters)


def lock(sql: str, *parameters: Any) -> Steps[None]:
    """Lock rows until the end of the transaction."""
    yield Lock(sql, parameters)


def write(sql: str, *parameters: Any) -> Steps[None]:
    """Run a statement for what it does, at the latest when it matters; see `Write`."""
    yield Write(sql, parameters)


def change(sql: str, row: tuple[Any, ...], *parameters: Any) -> Steps[int]:
    """Run a statement that changes a row, and return how many it changed."""
    ((changed,),) = yield Change(sql, parameters, row)
    return int(changed)


def insert(sql: str, written: Sequence[tuple[Any, ...]]) -> Steps[None]:
    """Write rows, many with one statement: a server that is far is asked less often.

    Args:
        sql: The beginning of the statement, up to its values.
        written: The rows.
    """
    for start in range(0, len(written), _ROWS):
        some = written[start : start + _ROWS]
        marks = f"({', '.join('?' * len(some[0]))})"
        yield from do(f"{sql} VALUES {', '.join([marks] * len(some))}", *(value for row in some for value in row))
