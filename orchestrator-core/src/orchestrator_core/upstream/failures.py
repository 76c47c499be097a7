"""Turns what aiohttp raises into the gateway's errors.

The errors of aiohttp hold the request's headers, and so the credential: nothing of them is quoted but the operating
system's own words, and they are not chained (`raise ... from None`).
"""

from __future__ import annotations

import errno
import os

import aiohttp

from orchestrator_core.provider_api import (
    AnswerTooLarge,
    ProviderBadResponse,
    ProviderError,
    ProviderFailed,
    ProviderUnreachable,
)

_NO_URL = "The provider's base URL is no http:// or https:// URL. Check it."

_BEFORE_HEADERS: tuple[tuple[type[aiohttp.ClientError], type[ProviderError], str], ...] = (
    (
        aiohttp.ClientConnectorCertificateError,
        ProviderUnreachable,
        "The provider's TLS certificate is not trusted. Check the base URL and the system's certificates.",
    ),
    (aiohttp.ClientSSLError, ProviderUnreachable, "The TLS handshake with the provider failed. Check the base URL."),
    (
        aiohttp.ClientConnectorDNSError,
        ProviderUnreachable,
        "The provider's host name cannot be resolved. Check the base URL and the DNS.",
    ),
    (
        aiohttp.ClientProxyConnectionError,
        ProviderUnreachable,
        "The proxy for calls to providers cannot be reached. Check its URL.",
    ),
    (
        aiohttp.ClientHttpProxyError,
        ProviderUnreachable,
        "The proxy for calls to providers refused to connect. Check its URL and its log.",
    ),
    (aiohttp.ClientConnectorError, ProviderUnreachable, "Cannot connect to the provider. Check the base URL."),
    (aiohttp.InvalidURL, ProviderUnreachable, _NO_URL),
    (aiohttp.NonHttpUrlClientError, ProviderUnreachable, _NO_URL),
    (aiohttp.ClientResponseError, ProviderBadResponse, "The provider's answer is not HTTP."),
    (
        aiohttp.ClientError,
        ProviderUnreachable,
        "The provider closed the connection without an answer. Try again.",
    ),
)
"""The first class that fits counts."""


def before_headers(error: aiohttp.ClientError) -> ProviderError:
    """Map an error that came while connecting, sending, or waiting for the answer's headers."""
    kind, message = next((kind, message) for known, kind, message in _BEFORE_HEADERS if isinstance(error, known))
    return kind(message + _reason(error))


def after_headers(error: aiohttp.ClientError) -> ProviderError:
    """Map an error that came while the answer's body was read."""
    return ProviderFailed("The connection to the provider broke within its answer. Try again." + _reason(error))


def _reason(error: aiohttp.ClientError) -> str:
    """Return the operating system's word for it, where there is one (TLS and DNS have numbers of their own)."""
    number = error.errno if isinstance(error, OSError) else None
    return f" ({os.strerror(number)})" if number is not None and number in errno.errorcode else ""


def too_large(limit: int) -> AnswerTooLarge:
    """Refuse an answer because of its size."""
    return AnswerTooLarge(f"The provider's answer is larger than {limit} bytes, the configured limit.")
