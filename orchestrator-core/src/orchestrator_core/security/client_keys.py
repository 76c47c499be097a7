"""The keys that the gateway gives to its clients: `ock_<public id>_<secret>`.

The secret has 256 bits of chance. So a plain SHA-256 is all that is kept: slow hashes such as bcrypt protect what
people think up and can be guessed, and would cost each request what a flood of wrong keys could make use of.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
from dataclasses import dataclass
from typing import Final, NamedTuple

from orchestrator_core.config.redaction import OWN_KEY_PREFIX
from orchestrator_core.security.principal import Principal

ID_LENGTH: Final = 12
SECRET_LENGTH: Final = 43
"""62 letters and digits each: 256 bits."""

_ID = string.ascii_lowercase + string.digits
_SECRET = string.ascii_letters + string.digits
_FORM = re.compile(rf"{OWN_KEY_PREFIX}([a-z0-9]{{{ID_LENGTH}}})_[A-Za-z0-9]{{{SECRET_LENGTH}}}")
_LIKENESS = re.compile(rf"^{OWN_KEY_PREFIX}|{OWN_KEY_PREFIX}[a-z0-9]{{{ID_LENGTH}}}_")
_NOBODY = hashlib.sha256(secrets.token_bytes(32)).hexdigest()


class NewKey(NamedTuple):
    """A key that was just made. Nobody can read it later.

    Attributes:
        id: The public id.
        text: The whole key.
        digest: What is kept of it.
    """

    id: str
    text: str
    digest: str


def make_key(client_id: str | None = None) -> NewKey:
    """Make a key, for a client that has one already, or for a new one."""
    known = client_id or "".join(secrets.choice(_ID) for _ in range(ID_LENGTH))
    text = f"{OWN_KEY_PREFIX}{known}_{''.join(secrets.choice(_SECRET) for _ in range(SECRET_LENGTH))}"
    return NewKey(known, text, digest_of(text))


def client_of(credential: str) -> str | None:
    """Return the public id in a credential; None where it is no such key."""
    found = _FORM.fullmatch(credential)
    return found[1] if found else None


def looks_own(text: str) -> bool:
    """Whether a text begins like such a key, or has one in it, be it cut off."""
    return _LIKENESS.search(text) is not None


def digest_of(key: str) -> str:
    """Return what is kept of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKey:
    """What is known of a key; times are seconds since the epoch.

    Attributes:
        principal: Whose key it is.
        digest: SHA-256 of the key.
        expires_at: When it is not taken any more.
        previous: That of the key before.
        previous_until: Until when that one is taken too.
    """

    principal: Principal
    digest: str
    expires_at: float | None = None
    previous: str | None = None
    previous_until: float = 0.0


def opens(key: KnownKey | None, digest: str, now: float) -> bool:
    """Whether a credential is a key; all comparisons are made, and take the same time, whether or not it is known."""
    current = hmac.compare_digest(digest, key.digest if key else _NOBODY)
    previous = hmac.compare_digest(digest, (key and key.previous) or _NOBODY)
    if key is None or (key.expires_at is not None and key.expires_at <= now):
        return False
    return current or (previous and now < key.previous_until)
