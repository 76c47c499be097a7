"""The store's statements in PostgreSQL's dialect."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from itertools import count

_HINT = re.compile(r" INDEXED BY \w+")
_MARK = re.compile(r"\?(\d*)")
_NOW = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"


@cache
def to_postgres(sql: str) -> str:
    """Return a statement with `$1` for its parameters, numbered as they stand, and the server's clock.

    Which index to use is PostgreSQL's to know: it keeps statistics.
    """
    numbers = count(1)
    sql = _HINT.sub("", sql)
    return _MARK.sub(lambda mark: f"${mark.group(1) or next(numbers)}", sql).replace("now_micros()", _NOW)


@cache
def together(statements: Sequence[str]) -> str:
    """Return one statement that does what several do, none of which numbers its parameters."""
    *before, last = statements
    named = ", ".join(f"w{number} AS ({sql})" for number, sql in enumerate(before))
    return to_postgres(f"WITH {named} {last}" if before else last)
