"""Finding sessions, newest first, in pages that cost the same however far they are.

Where something is asked for that few sessions have, those are looked at. Else an index is walked in the order of the
page until that is full: sessions that many have something in common with are soon found, unless few have all of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

from orchestrator_core.sessions.jobs import statements
from orchestrator_core.sessions.jobs.labels import Label
from orchestrator_core.sessions.jobs.rows import SessionRow
from orchestrator_core.sessions.models import SessionStatus
from orchestrator_core.sessions.steps import Steps, rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Find:
    """Which sessions to read.

    Attributes:
        tenant: Whose they are.
        user_id: The label that they have.
        labels: What their metadata say, all of it.
        status: How they are.
        inactive_before: They had no turn since, in microseconds.
        idle_before: What was last active before this, in microseconds, is expired.
        after: The time and the id of the session that they follow.
        limit: How many at most; one more is read, where there is one.
        offset: How many to skip.
    """

    tenant: str
    user_id: str | None
    labels: Sequence[Label]
    status: SessionStatus | None
    inactive_before: int | None
    idle_before: int
    after: tuple[int, str] | None
    limit: int
    offset: int

    @property
    def is_short(self) -> bool:
        """Whether it passes over few sessions that it does not give."""
        plain = self.status is None and self.inactive_before is None
        return plain and len(self._terms()) <= 1 and self.offset <= FEW

    def __call__(self) -> Steps[list[SessionRow]]:
        """Read the sessions."""
        terms = self._terms()
        few: Term | None = None
        if len(terms) + (self.inactive_before is not None) > 1 or self.status in ("active", "expired"):
            few = yield from self._few(terms)
        sql = find_sessions(
            walked="few" if few else walk_of([term.kind for term in terms]),
            few=few.kind if few else None,
            labels=len(self.labels),
            user=self.user_id is not None,
            status=self.status,
            inactive=self.inactive_before is not None,
            after=self._before() is not None,
        )
        values: list[str | int] = [self.tenant]
        if few:
            values += [*few.values, self.tenant]
        for label in self.labels:
            values += label
        if self.user_id is not None:
            values.append(self.user_id)
        if self.status in ("active", "expired"):
            values.append(self.idle_before)
        if self.inactive_before is not None:
            values.append(self.inactive_before)
        values += self._before() or ()
        return [SessionRow._make(row) for row in (yield from rows(sql, *values, self.limit + 1, self.offset))]

    def _terms(self) -> list[Term]:
        """Return by what an index finds them, what is usually rare first."""
        terms = [] if self.user_id is None else [Term("user", (self.user_id,))]
        terms += [Term("label", label) for label in self.labels]
        if self.status is not None:
            terms.append(Term(self.status, () if self.status == "closed" else (self.idle_before,)))
        return terms

    def _few(self, terms: Sequence[Term]) -> Steps[Term | None]:
        """Return the term that the fewest sessions have, where those are few."""
        rarest, least = None, FEW + 1
        for term in terms:
            ((found,),) = yield from rows(count_few(term.kind), self.tenant, *term.values)
            if found < least:
                rarest, least = term, found
        return rarest

    def _before(self) -> tuple[int, str] | None:
        """Return which place they follow: also, what had no turn since a time was made before it."""
        places = [] if self.after is None else [self.after]
        if self.status == "expired":
            places.append((self.idle_before, ""))
        if self.inactive_before is not None:
            places.append((self.inactive_before, ""))
        return min(places, default=None)


Kind = Literal["user", "label", "active", "expired", "closed"]


class Term(NamedTuple):
    """Something that sessions have in common, and that an index finds them by."""

    kind: Kind
    values: tuple[str | int, ...]


FEW = 1000
"""So many sessions are looked at one by one, whatever else is asked of them."""

_IDS: Mapping[Kind, str] = {
    "user": "SELECT s.id FROM sessions s INDEXED BY sessions_user WHERE s.tenant = ? AND s.user_id = ?",
    "label": "SELECT l.session_id AS id FROM labels l WHERE l.tenant = ? AND l.name = ? AND l.value = ?",
    "active": "SELECT s.id FROM sessions s INDEXED BY sessions_active "
    "WHERE s.tenant = ? AND s.closed_at IS NULL AND s.active_at >= ?",
    "expired": "SELECT s.id FROM sessions s INDEXED BY sessions_active "
    "WHERE s.tenant = ? AND s.closed_at IS NULL AND s.active_at < ?",
    "closed": "SELECT s.id FROM sessions s INDEXED BY sessions_closed_newest "
    "WHERE s.tenant = ? AND s.closed_at IS NOT NULL",
}

# The sign before a column keeps SQLite from walking that column's index, and then sorting what it finds.
_STATUS = {
    "active": "AND s.closed_at IS NULL AND +s.active_at >= ? ",
    "expired": "AND s.closed_at IS NULL AND +s.active_at < ? ",
    "closed": "AND s.closed_at IS NOT NULL ",
}


def count_few(kind: Kind) -> str:
    """Return the statement that counts the sessions of a term, as far as they are few."""
    return f"SELECT count(*) FROM ({_IDS[kind]} LIMIT {FEW + 1}) few"  # noqa: S608 - of this file alone


Walked = Literal["user", "label", "closed", "newest", "few"]


def walk_of(kinds: Sequence[Kind]) -> Walked:
    """Return what is walked, newest first, where no term is rare."""
    order: Sequence[Literal["user", "label", "closed"]] = ("user", "label", "closed")
    return next((kind for kind in order if kind in kinds), "newest")


@cache
def find_sessions(
    *,
    walked: Walked,
    few: Kind | None,
    labels: int,
    user: bool,
    status: SessionStatus | None,
    inactive: bool,
    after: bool,
) -> str:
    """Return the statement that finds sessions; it walks one index, and looks at each of the rows that it passes.

    Args:
        walked: By which index; `few` are sorted, all others come in their order.
        few: Which term is rare, where one is.
        labels: How many labels they have to have; where labels are walked, it is the first.
        user: Whether they have to have a user's label.
        status: How they have to be.
        inactive: Whether they have to be quiet since a time.
        after: Whether they follow a place.
    """
    columns, _, joins = statements.SESSION.partition("FROM sessions s")
    at, identity = ("l.created_at", "l.session_id") if walked == "label" else ("s.created_at", "s.id")
    sql = statements.SESSION + "WHERE s.tenant = ? "
    if few is not None:
        sql = (
            f"{columns}FROM ({_IDS[few]} LIMIT {FEW}) few CROSS JOIN sessions s{joins}"
            "WHERE s.tenant = ? AND s.id = few.id "
        )
    elif walked == "label":
        sql = (
            f"{columns}FROM labels l CROSS JOIN sessions s{joins}"
            "WHERE l.tenant = ? AND l.name = ? AND l.value = ? AND s.tenant = l.tenant AND s.id = l.session_id "
        )
    for _ in range(1 if walked == "label" else 0, labels):
        sql += (
            "AND EXISTS (SELECT 1 FROM labels k WHERE k.tenant = s.tenant AND k.name = ? AND k.value = ? "
            "AND k.created_at = s.created_at AND k.session_id = s.id) "
        )
    sql += "AND s.filled_by IS NULL "
    if user:
        sql += "AND s.user_id = ? "
    if status is not None:
        sql += _STATUS[status]
    if inactive:
        sql += "AND +s.active_at < ? "
    if after:
        sql += f"AND ({at}, {identity}) < (?, ?) "
    return sql + f"ORDER BY {at} DESC, {identity} DESC LIMIT ? OFFSET ?"
