"""The error of a configuration that cannot be used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator_core.config.load import Config


class ConfigError(Exception):
    """The configuration cannot be used; every reason at once.

    Attributes:
        problems: What is wrong and what is expected, one sentence each, without any value.
        rest: The configuration with the defaults in place of what is wrong, so that the rest of it can be judged
            too; None where nothing can be made of it.
    """

    def __init__(self, problems: Sequence[str], rest: Config | None = None) -> None:
        """Make an error of everything that was found."""
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)
        self.rest = rest
