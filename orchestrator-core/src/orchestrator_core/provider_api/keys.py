"""The forms of vendors' keys. A form finds typing errors; it authenticates nobody."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from orchestrator_core.provider_api.secret import MASK, Secret

KeyStatus = Literal["valid", "placeholder", "malformed", "foreign"]

_NEVER = re.compile(r"[^\x21-\x7e]|[\"'`]")
_PLACEHOLDER = re.compile(
    r"(?i)your[_-].*|.*[_-]here|change[_-]?me.*|.*\.\.\..*|x{8,}|<.*>|placeholder.*|example.*|todo|none|null|test|dummy.*"
)


@dataclass(frozen=True, slots=True)
class KeyFormat:
    """One form of a vendor's keys.

    Attributes:
        pattern: A regular expression that the whole key must match.
        description: The form in words, for error messages, such as `sk-` and 48 characters or more.
        prefix: The part that may be shown, such as `sk-ant-`.
    """

    pattern: str
    description: str
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class KeyVerdict:
    """What the form of a key says. It never holds the key.

    Attributes:
        status: `valid`; `placeholder`: an example that was never replaced; `malformed`; `foreign`: unmistakably
            another vendor's.
        masked: The vendor's prefix, `****` and the last four characters.
        reason: What is wrong and what is expected.
    """

    status: KeyStatus
    masked: str
    reason: str | None = None

    @property
    def valid(self) -> bool:
        """Whether the key may be used."""
        return self.status == "valid"


def mask_key(credential: Secret, formats: Sequence[KeyFormat] = ()) -> str:
    """Return what may be shown of a key: `sk-****cdef`. A short key shows nothing of itself."""
    value = credential.reveal()
    if len(value) < 16 or not value.isprintable():
        return MASK
    prefixes = [form.prefix for form in formats if form.prefix and value.startswith(form.prefix)]
    return f"{max(prefixes, key=len, default='')}{MASK}{value[-4:]}"


def check_key(credential: Secret, formats: Sequence[KeyFormat], *, foreign: Sequence[str] = ()) -> KeyVerdict:
    """Check the form of a key.

    Args:
        credential: The key.
        formats: The forms that the vendor issues; none means that any visible ASCII is taken.
        foreign: Regular expressions, searched for in the key, that mark another vendor's keys.
    """
    value, masked = credential.reveal(), mask_key(credential, formats)
    if _NEVER.search(value):
        return KeyVerdict("malformed", masked, "it has white space, quotes, control or non-ASCII characters")
    if any(re.fullmatch(form.pattern, value) for form in formats) and not _marks(foreign, value):
        return KeyVerdict("valid", masked)
    if _PLACEHOLDER.fullmatch(value):
        return KeyVerdict("placeholder", masked, "it is an example that was never replaced")
    if not formats:
        return KeyVerdict("valid", masked)
    if _marks(foreign, value):
        return KeyVerdict("foreign", masked, "it is another vendor's key")
    expected = " or ".join(form.description for form in formats)
    return KeyVerdict("malformed", masked, f"expected {expected}")


def _marks(patterns: Sequence[str], value: str) -> bool:
    return any(re.search(pattern, value) for pattern in patterns)
