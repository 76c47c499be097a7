"""Keeping known secrets out of every text, by their exact values.

It lies in this layer because configuration registers what it reads; `telemetry` applies it to logs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from orchestrator_core.provider_api import MASK, KeyFormat, Secret, check_key, mask_key

MIN_LENGTH = 8
"""Characters. A shorter value is no secret (`ollama` is a customary key of local servers), and masking it would
destroy every text that has it."""

OWN_KEY_PREFIX: Final = "ock_"
"""What the client keys begin with that the gateway makes. Their values are not kept, so that their form is masked."""

_OWN_KEY = re.compile(rf"({OWN_KEY_PREFIX}[a-z0-9]{{12}}_)[A-Za-z0-9]{{20,43}}")
_OWN_KEY_BYTES = re.compile(_OWN_KEY.pattern.encode())

_LONG = KeyFormat(rf".{{{MIN_LENGTH},}}", f"{MIN_LENGTH} characters or more")


class Redactor:
    """Masks every secret that is registered.

    It asks the secrets themselves to mask, so that it never sees a value; one substring search for each costs
    less than one compiled alternation over all of them, at the number of keys that a process has.
    """

    def __init__(self) -> None:
        self._kept: dict[Secret, None] = {}
        self._held: Counter[Secret] = Counter()
        self._live: tuple[Secret, ...] = ()

    def add(self, secret: Secret) -> None:
        """Mask a secret for as long as the process lives. One that contains another must be added before it."""
        if secret not in self._kept and _worth_masking(secret):
            self._kept[secret] = None
            self._refresh()

    @contextmanager
    def hold(self, secret: Secret) -> Iterator[None]:
        """Mask a caller's secret meanwhile; see `acquire`."""
        self.acquire(secret)
        try:
            yield
        finally:
            self.release(secret)

    def acquire(self, secret: Secret) -> None:
        """Mask a caller's secret until it is released as often; requests may hold the same one at once."""
        if _worth_masking(secret):
            self._held[secret] += 1
            if self._held[secret] == 1:
                self._refresh()

    def release(self, secret: Secret) -> None:
        """Undo one `acquire`."""
        if secret in self._held:
            self._held[secret] -= 1
            if not self._held[secret]:
                del self._held[secret]
                self._refresh()

    def redact(self, text: str) -> str:
        """Return the text with every registered secret masked, and every client key that the gateway made."""
        for secret in self._live:
            text = secret.redact(text)
        return _OWN_KEY.sub(rf"\1{MASK}", text) if OWN_KEY_PREFIX in text else text

    def redact_json(self, text: str) -> str:
        """Return JSON text in ASCII with the same masked, as it is spelt there."""
        for secret in self._live:
            text = secret.redact_json(text)
        return _OWN_KEY.sub(rf"\1{MASK}", text) if OWN_KEY_PREFIX in text else text

    def redact_bytes(self, data: bytes) -> bytes:
        """Return the bytes with the same masked."""
        for secret in self._live:
            data = secret.redact_bytes(data)
        return _OWN_KEY_BYTES.sub(rb"\1" + MASK.encode(), data) if OWN_KEY_PREFIX.encode() in data else data

    def _refresh(self) -> None:
        # A new tuple, so that a thread that is just redacting goes on with the old one.
        self._live = (*self._kept, *self._held)


def _worth_masking(secret: Secret) -> bool:
    return check_key(secret, (_LONG,)).valid or mask_key(secret) != MASK


REDACTOR = Redactor()
"""The redactor of this process."""
