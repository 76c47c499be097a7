"""Names that others choose, such as those of models and of errors: made fit for a line of a log and for a database."""

from __future__ import annotations

from typing import Final

MAX_NAME: Final = 256
"""Characters of a name that are kept."""


def plain_name(text: str | None) -> str | None:
    """Return a name without what cannot be printed, NUL among it, and not longer than `MAX_NAME`.

    None where nothing is left.
    """
    if text is None or (text.isprintable() and 0 < len(text) <= MAX_NAME):
        return text
    return "".join(filter(str.isprintable, text[: 4 * MAX_NAME]))[:MAX_NAME] or None
