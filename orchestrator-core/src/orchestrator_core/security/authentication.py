"""Who a client is, by the credential that it sends."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass

from orchestrator_core.config import Settings
from orchestrator_core.provider_api import Secret, Unauthenticated
from orchestrator_core.security.principal import ANONYMOUS, Principal

DEFAULT_PRINCIPAL = Principal(id="default", tenant="default")
"""Whoever has the client key of the configuration."""

_HELP = "Send the gateway's client key as `Authorization: Bearer <key>`."


def basic_password(credential: str) -> str | None:
    """Return the password of HTTP Basic (RFC 7617), whoever the user is; None where it is malformed.

    Args:
        credential: What stands in `Authorization` after `Basic`.
    """
    try:
        decoded = b64decode(credential.strip().encode(), validate=True).decode()
    except ValueError:
        return None
    _, colon, password = decoded.partition(":")
    return password if colon else None


@dataclass(frozen=True, slots=True)
class Authenticator:
    """Checks client credentials.

    Attributes:
        client_key: The key that is asked for; None asks for nothing.
        required: Whether a request without a client key configured is refused, as in production.
    """

    client_key: Secret | None
    required: bool

    @classmethod
    def from_settings(cls, settings: Settings) -> Authenticator:
        """Make the check that the settings ask for."""
        return cls(settings.client_key, required=settings.production)

    @property
    def asks(self) -> bool:
        """Whether anybody is asked for a credential."""
        return self.client_key is not None or self.required

    def authenticate(self, credential: str | None) -> Principal:
        """Return whoever sent this credential.

        Args:
            credential: The client's credential, without `Bearer`; None where there was none.

        Raises:
            Unauthenticated: It is missing or wrong.
        """
        if not self.asks:
            return ANONYMOUS
        if not credential:
            raise Unauthenticated(f"This request has no client credential. {_HELP}")
        # ASCII only: a header's other bytes may be no text at all. The comparison takes constant time.
        if self.client_key is None or not credential.isascii() or Secret(credential) != self.client_key:
            raise Unauthenticated(f"The client credential is wrong. {_HELP}")
        return DEFAULT_PRINCIPAL
