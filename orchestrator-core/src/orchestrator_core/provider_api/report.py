"""What a provider had to change in a request, so that nothing is dropped in silence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from orchestrator_core.provider_api.errors import UnsupportedParameter

Action = Literal["mapped", "downgraded", "dropped"]


@dataclass(frozen=True, slots=True)
class Adjustment:
    """One change between what was asked and what was sent.

    Attributes:
        subject: The parameter (`temperature`) or the part (`image`, `reasoning`) concerned.
        action: `mapped`: said in other words, nothing lost; `downgraded`: something lost; `dropped`: left out.
        reason: Why, for people.
    """

    subject: str
    action: Action
    reason: str


class AdjustmentReport:
    """Collects adjustments while a provider compiles a request, and refuses them where the caller is strict."""

    def __init__(self, *, strict: bool) -> None:
        """Start an empty report.

        Args:
            strict: Whether losing something is an error.
        """
        self._strict = strict
        self.adjustments: list[Adjustment] = []
        self._known: set[Adjustment] = set()

    def mapped(self, subject: str, reason: str) -> None:
        """Note that `subject` was said in other words."""
        self._add(Adjustment(subject, "mapped", reason))

    def downgraded(self, subject: str, reason: str) -> None:
        """Note that `subject` arrives with less than it had.

        Raises:
            UnsupportedParameter: The caller is strict.
        """
        self._lose(Adjustment(subject, "downgraded", reason))

    def dropped(self, subject: str, reason: str) -> None:
        """Note that `subject` was left out.

        Raises:
            UnsupportedParameter: The caller is strict.
        """
        self._lose(Adjustment(subject, "dropped", reason))

    def omitted(self, subject: str, reason: str) -> None:
        """Note that a part of the history was left out which only another provider reads.

        A conversation that moves between providers leaves such parts behind by design: a strict caller accepts it.
        """
        self._add(Adjustment(subject, "dropped", reason))

    def _lose(self, adjustment: Adjustment) -> None:
        if self._strict:
            raise UnsupportedParameter(
                f"{adjustment.subject} would be {adjustment.action}: {adjustment.reason}. "
                "Leave it out, choose another model, or do not ask strictly.",
                param=adjustment.subject,
            )
        self._add(adjustment)

    def _add(self, adjustment: Adjustment) -> None:
        if adjustment not in self._known:
            self._known.add(adjustment)
            self.adjustments.append(adjustment)
