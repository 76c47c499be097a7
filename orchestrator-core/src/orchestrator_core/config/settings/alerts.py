"""The settings of alerts."""

from __future__ import annotations

import ipaddress
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from orchestrator_core.config.settings.base import SettingsGroup
from orchestrator_core.provider_api import KeyFormat, Secret, check_key, is_http_url

_SECRET_FORM = KeyFormat(r"whsec_(?:[A-Za-z0-9+/]{4}){8,21}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", "whsec_...")


def _webhook(value: str | None) -> str | None:
    if value is None:
        return None
    address = value.partition("?")[0]
    parts = urlsplit(address if is_http_url(address) else "")
    safe = parts.scheme == "https" or (parts.scheme == "http" and _is_local(parts.hostname or ""))
    if not safe or "#" in value or not value.isprintable():
        raise ValueError("expected https://host/path, or http:// to this machine")
    if "@" in parts.netloc:
        raise ValueError("a user and a password do not belong here; the receiver can check the signature")
    return value


def _signing(value: Secret | None) -> Secret | None:
    if value is not None and not check_key(value, (_SECRET_FORM,)).valid:
        raise ValueError("expected whsec_ and 24 to 64 random bytes in base64: echo whsec_$(openssl rand -base64 32)")
    return value


def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class AlertSettings(SettingsGroup):
    """Who is told of security events."""

    alert_webhook_url: Annotated[str | None, AfterValidator(_webhook)] = Field(
        default=None,
        repr=False,
        description="Where security events are posted, as JSON: `https://`, or `http://` on this machine.",
    )
    alert_webhook_secret: Annotated[Secret | None, AfterValidator(_signing)] = Field(
        default=None,
        description="Signs what is posted (Standard Webhooks): `whsec_` and 24 to 64 random bytes in base64.",
    )
