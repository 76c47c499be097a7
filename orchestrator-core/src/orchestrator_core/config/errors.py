"""The error of a configuration that cannot be used."""

from __future__ import annotations

from collections.abc import Sequence


class ConfigError(Exception):
    """The configuration cannot be used; every reason at once.

    Attributes:
        problems: What is wrong and what is expected, one sentence each, without any value.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        """Make an error of everything that was found."""
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)
