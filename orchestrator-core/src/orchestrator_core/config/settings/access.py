"""The settings of credentials, limits and attacks."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from orchestrator_core.config.settings.base import Count, SettingsGroup
from orchestrator_core.provider_api import Secret

DEFAULT_CLIENT_LIMIT = 100
"""Requests a minute and client, where limits are on by default."""

DEFAULT_SESSION_LIMIT = 50
"""Requests a minute and session, where limits are on by default."""

DEFAULT_FAILED_AUTHENTICATIONS = 20
"""Wrong credentials a minute and address, where limits are on by default."""

SUSPICIOUS_PATTERNS = (
    r"\.\.(?:[/\\]|$)",
    r"%(?:25)*(?:2e%(?:25)*2e|00|0a|0d)",
    r"[\x00\r\n]",
    r"/(?:wp-)?admin(?:[/.?_-]|istrator|$)",
    r"/root(?:/|$)",
    r"/etc/(?:passwd|shadow)",
    r"/\.(?:env|git|aws|ssh|svn|ht)",
    r"/(?:cgi-bin|phpmyadmin|wp-login|wp-includes|actuator|proc/self)",
    r"\.(?:php|asp|aspx|jsp|cgi)(?:[/?]|$)",
    r"<script|\$\{jndi:|\bunion\b.{1,20}\bselect\b",
)
"""What scanners and attackers ask for, and no client of this gateway does."""


def _patterns(value: tuple[str, ...]) -> tuple[str, ...]:
    for index, pattern in enumerate(value, start=1):
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"pattern {index} is no regular expression") from error
    return value


class AccessSettings(SettingsGroup):
    """Who may ask, and how much."""

    client_key: Secret | None = Field(
        default=None,
        description="The credential that clients must send as `Authorization: Bearer`. 32 characters or more.",
    )
    max_requests_per_minute: Count | None = Field(
        default=None,
        description=f"Requests a minute for each client; {DEFAULT_CLIENT_LIMIT} in staging and production.",
    )
    max_failed_authentications: Count | None = Field(
        default=None,
        description="Wrong client credentials a minute from one address, or from one IPv6 /64, after which it has to "
        f"wait; {DEFAULT_FAILED_AUTHENTICATIONS} in staging and production.",
    )
    rate_limit_per_session: Count | None = Field(
        default=None,
        description=f"Requests a minute for each session; {DEFAULT_SESSION_LIMIT} in staging and production.",
    )
    suspicious_patterns: Annotated[tuple[str, ...], AfterValidator(_patterns)] = Field(
        default=SUSPICIOUS_PATTERNS,
        description="Regular expressions that mark an attack in a path, an id, a query or a header that holds an id, "
        "where it is not well-formed for its place. Bodies are never searched.",
    )
