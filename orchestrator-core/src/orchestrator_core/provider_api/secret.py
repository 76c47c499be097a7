"""The type that every credential has, from the moment it is read."""

from __future__ import annotations

import hmac
import json
import re
from base64 import b64decode
from typing import Any, NoReturn

from pydantic_core import core_schema

MASK = "****"
_BACKSLASH = ord("\\")


def _spellings(byte: int) -> bytes:
    """Return a pattern of the ways in which JSON may write a character of a credential."""
    plain = re.escape(bytes([byte]))
    if chr(byte).isalnum():
        return plain
    slash = rb"|\\/" if byte == ord("/") else b""
    return rb"(?:%b|\\u00(?i:%02x)%b)" % (plain, byte, slash)


class Secret:
    """A credential that cannot be printed, formatted, copied, pickled or serialised.

    `reveal` is the only way to the value. It is called in two places: by the upstream client, as it
    writes the credential into a header, and by the key-format checks. A test holds the project to it.
    """

    __slots__ = ("_encoded", "_value")

    def __init__(self, value: str) -> None:
        """Wrap a credential.

        Args:
            value: The credential as the vendor issued it.

        Raises:
            ValueError: The value is empty.
        """
        if not value:
            raise ValueError("a secret cannot be empty")
        self._value = value
        # The environment may hold bytes that are no UTF-8; they come as lone surrogates.
        self._encoded = value.encode(errors="surrogateescape")

    def reveal(self) -> str:
        """Return the credential itself."""
        return self._value

    def redact(self, text: str) -> str:
        """Return the text with every occurrence of this credential masked."""
        return text.replace(self._value, MASK) if self._value in text else text

    def redact_json(self, text: str) -> str:
        """Return JSON text in ASCII with every occurrence of this credential masked, as it is spelt there."""
        value = self._value
        if '"' in value or "\\" in value or not (value.isascii() and value.isprintable()):
            text = text.replace(json.dumps(value)[1:-1], MASK)
        return text.replace(value, MASK) if value in text else text

    def redact_bytes(self, data: bytes) -> bytes:
        """Return the bytes with every occurrence of this credential masked, also where it is escaped as in JSON."""
        value = self._encoded
        if value in data:
            data = data.replace(value, MASK.encode())
        if _BACKSLASH in data and (b"\\u00" in data or b"\\/" in data):
            # Some writers of JSON escape more than they must: `/` as `\/` (PHP), `+` as `\u002B` (.NET).
            data = re.sub(b"".join(_spellings(byte) for byte in value), MASK.encode(), data)
        return data

    def sign(self, message: bytes) -> bytes:
        """Return the HMAC (SHA-256) of a message.

        The key is what this secret holds; of one that begins with `whsec_`, the bytes that follow in base64 (Standard
        Webhooks 1.0).
        """
        prefix, _, encoded = self._value.partition("_")
        key = b64decode(encoded) if prefix == "whsec" else self._encoded
        return hmac.digest(key, message, "sha256")

    def __repr__(self) -> str:
        return f"Secret('{MASK}')"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._encoded, other._encoded)

    def __hash__(self) -> int:
        return hash(self._value)

    def __copy__(self) -> NoReturn:
        raise TypeError("a secret cannot be copied")

    def __deepcopy__(self, memo: dict[int, Any]) -> NoReturn:
        raise TypeError("a secret cannot be copied")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret cannot be pickled")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> core_schema.CoreSchema:
        """Let pydantic models hold secrets: instances only, and never in what they serialise to."""

        def refuse(_: Any) -> NoReturn:
            raise TypeError("a secret cannot be serialised")

        return core_schema.is_instance_schema(
            cls,
            serialization=core_schema.plain_serializer_function_ser_schema(refuse),
        )
