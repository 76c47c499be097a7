"""Which clients' budgets are series of a metric: so many at a time, whoever they are."""

from __future__ import annotations

import math
from typing import Final

from orchestrator_core.telemetry.series import Children, Number

MAX_BUDGETS: Final = 500
"""Clients whose budget is a series at a time."""

MAX_KEPT: Final = 10 * MAX_BUDGETS
"""Clients whose budget ever becomes one, where several processes keep them in files, which do not forget any."""


class BudgetSeries:
    """The shares of their budgets that clients have used."""

    def __init__(self, series: Children[Number], *, kept: bool) -> None:
        """Show none yet.

        Args:
            series: The metric, by the names of clients.
            kept: Whether several processes keep it in files.
        """
        self._series = series
        self._kept = kept
        self._shown: set[str] = set()

    def show(self, client: str, used: float | None) -> None:
        """Show the share that a client has used, where there is a place for it; None gives its place back."""
        if used is None:
            self._hide(client)
        elif client in self._shown or self._has_place(client):
            self._shown.add(client)
            self._series[client,].set(used)

    def _has_place(self, client: str) -> bool:
        return len(self._shown) < MAX_BUDGETS and ((client,) in self._series or len(self._series) < MAX_KEPT)

    def _hide(self, client: str) -> None:
        if client not in self._shown:
            return
        self._shown.remove(client)
        if self._kept:
            self._series[client,].set(math.nan)
        else:
            self._series.drop((client,))
