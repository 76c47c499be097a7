"""Who makes a request, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator_core.config.grants import Grant


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The caller.

    Attributes:
        id: The public id of the client key, for logs, limits and usage.
        tenant: Whose data the caller sees.
        grant: What the caller may do.
    """

    id: str
    tenant: str
    grant: Grant = field(default_factory=Grant)

    @property
    def admin(self) -> bool:
        """Whether the caller manages the gateway."""
        return self.grant.role == "admin"

    def may_use(self, provider: str, model: str | None = None) -> bool:
        """Whether the caller may ask a provider for a model; without a model, for any of its models at all."""
        return self.grant.may_use(provider, model)


ANONYMOUS = Principal(id="anonymous", tenant="default", grant=Grant(role="admin"))
"""Whoever asks, while no client key exists: nothing is kept from them."""

DEFAULT_PRINCIPAL = Principal(id="default", tenant="default", grant=Grant(role="admin"))
"""Whoever has the client key of the configuration."""
