"""Who makes a request, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The caller.

    Attributes:
        id: The public id of the client key, for logs and limits.
        tenant: Whose data the caller sees.
        allowed_providers: The providers the caller may use, fallbacks among them; None is all of them.
        requests_per_minute: The caller's own limit; None is the configured one.
    """

    id: str
    tenant: str
    allowed_providers: frozenset[str] | None = None
    requests_per_minute: int | None = None

    def may_use(self, provider: str) -> bool:
        """Whether the caller may use a provider."""
        return self.allowed_providers is None or provider in self.allowed_providers


ANONYMOUS = Principal(id="anonymous", tenant="default")
"""The one built-in principal, while no client key exists."""
