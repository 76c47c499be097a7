"""Replies that are given again when a client repeats a request with the same key."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import timedelta

from pydantic_core import from_json, to_json

from orchestrator_core.provider_api import IdempotencyMismatch, RequestInFlight
from orchestrator_core.sessions.errors import RETRY_AFTER
from orchestrator_core.sessions.jobs import statements
from orchestrator_core.sessions.jobs.rows import Redact
from orchestrator_core.sessions.models import StoredReply
from orchestrator_core.sessions.steps import Steps, do, lock, one

KEEP = timedelta(hours=24)
"""How long a key means the same request."""


def digest(key: str) -> str:
    """Return what is stored of a client's key: of one length, and telling nothing."""
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Claim:
    """The transaction that claims a key."""

    tenant: str
    key: str
    fingerprint: str
    now: int
    keep: int
    abandoned: int
    process_id: str

    def __call__(self) -> Steps[StoredReply | int]:
        """Claim the key and return since when it is claimed, or return the reply that it has.

        Raises:
            RequestInFlight: Another request holds the key.
            IdempotencyMismatch: The key was used for another request.
        """
        row = yield from one(statements.GET_CLAIM, self.tenant, self.key)
        if row is not None:
            fingerprint, status, content_type, headers, body, created_at = row
            # One without a reply is of a request under way, or of one whose end could not be stored.
            if created_at + (self.abandoned if status is None else self.keep) >= self.now:
                if fingerprint != self.fingerprint:
                    raise IdempotencyMismatch("This Idempotency-Key was used for another request. Use a new one.")
                if status is None:
                    raise RequestInFlight(
                        "The first request with this Idempotency-Key is under way. Wait for its end.",
                        retry_after=RETRY_AFTER,
                    )
                known = from_json(headers) if headers else {}
                return StoredReply(status=status, content_type=content_type, body=body, headers=known)
            yield from do(statements.DELETE_CLAIM, self.tenant, self.key, created_at)
        claim = (self.tenant, self.key, self.fingerprint, self.now, self.process_id)
        yield from do(statements.INSERT_CLAIM, *claim)
        return self.now

    def abandon(self, came: StoredReply | int) -> Settle | None:
        """Return what is to be done for a caller that left before it knew of its claim."""
        return Settle(self.tenant, self.key, came, None, self.process_id) if isinstance(came, int) else None


@dataclass(frozen=True, slots=True)
class Settle:
    """The transaction that gives a claimed key its reply, or gives it free.

    It touches one claim alone: another request, of this process or another one, may hold the key by now.
    """

    tenant: str
    key: str
    since: int
    reply: StoredReply | None
    process_id: str

    def __call__(self) -> Steps[None]:
        """Settle the claim; a key that is not claimed stays as it is. Nothing is kept of a session that is gone."""
        claim = (self.tenant, self.key, self.process_id, self.since)
        if self.reply is None or (yield from self._gone(self.reply.session_id)):
            yield from do(statements.FREE_CLAIM, *claim)
            return
        reply = self.reply
        headers = to_json(dict(reply.headers)).decode()
        kept = (reply.status, reply.content_type, headers, reply.body, reply.session_id)
        yield from do(statements.SETTLE_CLAIM, *kept, *claim)

    def _gone(self, session_id: str | None) -> Steps[bool]:
        if session_id is None:
            return False
        yield from lock(statements.LOCK_SESSION, self.tenant, session_id)
        return (yield from one(statements.HAS_SESSION, self.tenant, session_id)) is None


def redacted(reply: StoredReply, redact: Redact) -> StoredReply:
    """Return a reply without secrets."""
    text = reply.body.decode("utf-8", "surrogateescape")
    body = redact(text).encode("utf-8", "surrogateescape")
    headers = {name: redact(value) for name, value in reply.headers.items()}
    return replace(reply, body=body, headers=headers)
