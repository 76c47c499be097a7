"""Random text that cannot be guessed, drawn from the system many at a time.

It lies in this layer because ids are made in several that are above it.
"""

from __future__ import annotations

import os
import secrets
from typing import Final

_BYTES: Final = 16
_AT_ONCE: Final = 256

_drawn: list[str] = []
os.register_at_fork(after_in_child=_drawn.clear)  # parent and child would give the same


def random_hex() -> str:
    """Return 32 hexadecimal digits that nobody else has.

    Asking the system lets go of the interpreter's lock, which a busy thread beside then takes: with one call for each
    id that cost a twelfth of a turn.
    """
    try:
        return _drawn.pop()  # a single step: threads never get the same
    except IndexError:
        text = secrets.token_hex(_BYTES * _AT_ONCE)
    own, *others = (text[place : place + 2 * _BYTES] for place in range(0, len(text), 2 * _BYTES))
    _drawn.extend(others)
    return own
