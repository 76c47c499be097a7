"""Every setting of the gateway itself, with its type, its unit and its default."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from orchestrator_core.provider_api import Deadline, Secret

Environment = Literal["development", "staging", "production"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
KeyCheck = Literal["strict", "warn"]
LogFormat = Literal["auto", "console", "json"]

DEFAULT_CLIENT_LIMIT = 100
"""Requests a minute and client, where limits are on by default."""

DEFAULT_SESSION_LIMIT = 50
"""Requests a minute and session, where limits are on by default."""

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

SQLITE = "sqlite:///"
MEMORY = "memory:"
POSTGRES = ("postgresql://", "postgres://")
"""How the addresses of databases begin."""

_REDIS_OPTIONS = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
"""None that would weaken TLS, take away a time limit, or put a password where nothing masks it."""

_COUNTRY = re.compile(r"[A-Z]{2}")


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def _level(value: Any) -> Any:
    return (
        {"WARN": "WARNING", "FATAL": "CRITICAL"}.get(_upper(value), _upper(value)) if isinstance(value, str) else value
    )


def _patterns(value: tuple[str, ...]) -> tuple[str, ...]:
    for index, pattern in enumerate(value, start=1):
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"pattern {index} is no regular expression") from error
    return value


def _countries(value: tuple[str, ...]) -> tuple[str, ...]:
    codes = tuple(code.upper() for code in value)
    if not all(_COUNTRY.fullmatch(code) for code in codes):
        raise ValueError("expected two-letter country codes (ISO 3166-1)")
    return codes


def _targets(value: Mapping[str, str]) -> Mapping[str, str]:
    for target in value.values():
        provider, _, model = target.partition("/")
        if not provider or not model:
            raise ValueError("expected a target of the form provider/model for every alias")
    return value


def _priced(value: Mapping[str, PriceEntry]) -> Mapping[str, PriceEntry]:
    for models in value:
        provider, _, model = models.partition("/")
        if not provider or not model:
            raise ValueError("expected names of the form provider/model; * in a name stands for anything")
    return value


def _proxy(value: str | None) -> str | None:
    if value is not None and not re.match(r"https?://[^/\s]+", value):
        raise ValueError("expected a URL that starts with http:// or https://")
    return value


def _database(value: str) -> str:
    name = value.removeprefix(SQLITE)
    if name in {"", ":memory:"}:
        raise ValueError("a database in memory loses every conversation: use sqlite:///file, or memory: for tests")
    if name != value and "?" in name:
        raise ValueError("sqlite:///file takes no parameters")
    if name == value and value != MEMORY and not value.startswith(POSTGRES):
        raise ValueError(
            "expected sqlite:///file (relative), sqlite:////path/to/file, postgresql://user:password@host/database, "
            "or memory: for tests"
        )
    return value


def _redis(value: str | None) -> str | None:
    if value is None:
        return None
    expected = "expected redis://host:6379/0, or rediss://host:6379/0 for TLS; a user and password are percent-encoded"
    try:
        parts = urlsplit(value)
        valid = parts.scheme in ("redis", "rediss") and parts.hostname and parts.port != 0
        options = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise ValueError(expected) from None
    if not valid or parts.fragment or not re.fullmatch(r"/?\d{0,5}", parts.path):
        raise ValueError(expected)
    if options and (parts.scheme == "redis" or not _REDIS_OPTIONS.issuperset(options)):
        raise ValueError(f"the only options are those of rediss://: {', '.join(sorted(_REDIS_OPTIONS))}")
    return value


Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class ServerEntry(BaseModel):
    """A server that the operator names, for plugins that serve any number of them.

    Attributes:
        plugin: The plugin that speaks to it; None is the only one that serves named servers.
    """

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    plugin: str | None = None

    @property
    def values(self) -> Mapping[str, Any]:
        """The plugin's settings, not validated yet."""
        return self.model_extra or {}


class PriceEntry(BaseModel):
    """What models cost by the operator's own table, in US dollars for a million tokens.

    It is taken for the price of all tokens, also those of sound and images. Searches, which are billed each, have none.

    Attributes:
        input: Input that was neither read from nor written to a cache.
        output: Output, reasoning among it.
        cached_input: Input read from the cache; None is the price of `input`.
        cache_write: Input written to the cache; None is the price of `input`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    input: Dollars
    output: Dollars = 0.0
    cached_input: Dollars | None = None
    cache_write: Dollars | None = None


class Settings(BaseModel):
    """The settings of the gateway; without any it is a development gateway."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    environment: Annotated[Environment, BeforeValidator(_lower)] = Field(
        default="development",
        description="Where this gateway runs. Production refuses to start when something is unsafe.",
    )
    server_host: str | None = Field(
        default=None, description="The address to listen on; 127.0.0.1 in development and 0.0.0.0 otherwise."
    )
    server_port: int = Field(default=8000, ge=0, le=65535, description="The port to listen on; 0 takes any free one.")
    log_level: Annotated[LogLevel, BeforeValidator(_level)] = Field(
        default="INFO", description="The lowest level that is logged."
    )
    session_summarization_threshold: Count = Field(
        default=20, description="Stored messages without a summary, above which older ones are condensed."
    )
    session_max_duration_minutes: Seconds = Field(
        default=180, description="Minutes after its last turn at which a session expires."
    )
    monitoring_enabled: bool = Field(
        default=True, description="Whether health is watched in the background, and metrics kept."
    )
    metrics_collection_interval: Seconds = Field(
        default=30.0, description="Seconds between two looks at every provider's health. They cost no tokens."
    )
    cors_allowed_origins: tuple[str, ...] = Field(
        default=(), description="Origins of web pages that may call the gateway, such as `https://app.example.com`."
    )

    database_url: Annotated[str, AfterValidator(_database)] = Field(
        default="sqlite:///orchestrator.db",
        repr=False,
        description="Where conversations are stored: `sqlite:///<path>` for one process, "
        "`postgresql://user:password@host/database` for several, `memory:` for tests.",
    )
    database_connections: Count = Field(default=10, description="Connections of each process to PostgreSQL.")
    session_retention_days: Seconds | None = Field(
        default=None,
        description="Days for which sessions that ended are kept before they are deleted; without it for ever.",
    )
    workers: Count = Field(
        default=1, description="Processes that serve on this machine; more than one needs PostgreSQL and gunicorn."
    )
    worker_timeout: Seconds = Field(
        default=30.0, description="Seconds without a sign of life after which one of several workers is replaced."
    )
    redis_url: Annotated[str | None, AfterValidator(_redis)] = Field(
        default=None,
        repr=False,
        description="Where several processes share their limits and the locks of sessions: "
        "`redis://[user:password@]host[:port][/database]`, with TLS `rediss://`.",
    )
    expected_processes: Count = Field(
        default=4,
        description="Processes that share a Redis, on all machines together. While it is away, each admits its part "
        "of every limit of requests.",
    )
    client_key: Secret | None = Field(
        default=None,
        description="The credential that clients must send as `Authorization: Bearer`. 32 characters or more.",
    )
    max_requests_per_minute: Count | None = Field(
        default=None,
        description=f"Requests a minute for each client; {DEFAULT_CLIENT_LIMIT} in staging and production.",
    )
    rate_limit_per_session: Count | None = Field(
        default=None,
        description=f"Requests a minute for each session; {DEFAULT_SESSION_LIMIT} in staging and production.",
    )
    suspicious_patterns: Annotated[tuple[str, ...], AfterValidator(_patterns)] = Field(
        default=SUSPICIOUS_PATTERNS,
        description="Regular expressions that mark an attack in the path of an unknown route, or in an id.",
    )
    blocked_countries: Annotated[tuple[str, ...], AfterValidator(_countries)] = Field(
        default=(),
        description="Two-letter codes of countries to refuse. Not supported by this version.",
    )

    providers: tuple[str, ...] | None = Field(
        default=None, description="The providers to serve; without it every installed one."
    )
    disabled_providers: tuple[str, ...] = Field(default=(), description="Installed providers that are not served.")
    default_provider: str | None = Field(default=None, description="Who answers where a request names no provider.")
    aliases: Annotated[Mapping[str, str], AfterValidator(_targets)] = Field(
        default_factory=dict, description='Names for models, such as `{"fast": "openai/gpt-6-luna"}`.'
    )
    fallbacks: tuple[str, ...] = Field(
        default=(), description="Who answers where a provider fails, in order: `provider` or `provider/model`."
    )
    servers: Mapping[str, ServerEntry] = Field(
        default_factory=dict,
        description='Compatible servers by name, such as `{"ollama": {"base_url": "http://127.0.0.1:11434/v1"}}`.',
    )
    prices: Annotated[Mapping[str, PriceEntry], AfterValidator(_priced)] = Field(
        default_factory=dict,
        description="What models cost, before any other table: US dollars for a million tokens of `input`, `output`, "
        '`cached_input` and `cache_write`, such as `{"qwen/qwen3.8-*": {"input": 0.15, "output": 0.47}}`. They are '
        "taken for the prices of all tokens, also of sound, of images and of caches kept for an hour, where the other "
        "tables give no cost unless they have a price for these. Searches of the provider have no price by them.",
    )
    key_check: KeyCheck = Field(
        default="strict",
        description="Whether a key of a wrong form stops production, or is a warning (vendors change theirs).",
    )

    connect_timeout: Seconds = Field(default=5.0, description="Seconds to connect to a provider.")
    first_event_timeout: Seconds = Field(
        default=120.0, description="Seconds until the first event of a streamed answer."
    )
    idle_timeout: Seconds = Field(default=30.0, description="Seconds that a stream may be silent.")
    total_timeout: Seconds = Field(default=600.0, description="Seconds that a request may take altogether.")
    max_connections: Count = Field(default=100, description="Connections to each provider.")
    max_calls_in_flight: Count = Field(
        default=200, description="Calls to each provider at once; above it requests are refused."
    )
    upstream_proxy: Annotated[str | None, AfterValidator(_proxy)] = Field(
        default=None, repr=False, description="URL of the HTTP proxy for calls to providers."
    )

    max_request_bytes: Count = Field(default=20 * 2**20, description="Bytes of a request's body.")
    max_response_bytes: Count = Field(default=16 * 2**20, description="Bytes of a provider's answer.")
    max_embedding_bytes: Count = Field(default=64 * 2**20, description="Bytes of a provider's answer with embeddings.")
    max_event_bytes: Count = Field(default=8 * 2**20, description="Bytes of one event of a stream.")
    max_stream_bytes: Count = Field(default=128 * 2**20, description="Bytes of a whole stream.")

    session_wait: Seconds = Field(default=10.0, description="Seconds that a turn waits for the one before it.")
    summary_window_share: Share = Field(
        default=0.6,
        description="The share of the model's context window above which older messages are condensed, where "
        "the window is known.",
    )
    summary_timeout: Seconds = Field(default=60.0, description="Seconds that a summary may take.")
    summary_provider: str | None = Field(
        default=None, description="Who writes summaries; without it who answered last."
    )
    summary_model: str | None = Field(
        default=None,
        description="The model that writes summaries; `provider/model` or an alias where no `summary_provider` is set.",
    )
    shutdown_grace: Seconds = Field(default=30.0, description="Seconds that requests under way have at shutdown.")
    plugin_load_timeout: Seconds = Field(default=5.0, description="Seconds that a plugin has to load.")
    log_format: LogFormat = Field(
        default="auto", description="How log lines look: `auto` is `console` in development and `json` otherwise."
    )

    @property
    def production(self) -> bool:
        """Whether this is a production gateway."""
        return self.environment == "production"

    @property
    def host(self) -> str:
        """The address to listen on."""
        return self.server_host or ("127.0.0.1" if self.environment == "development" else "0.0.0.0")  # noqa: S104 - a container must be reachable; the start-up checks say what is unsafe

    @property
    def client_limit(self) -> int | None:
        """Requests a minute and client; None is no limit."""
        return self._limit(self.max_requests_per_minute, DEFAULT_CLIENT_LIMIT)

    @property
    def session_limit(self) -> int | None:
        """Requests a minute and session; None is no limit."""
        return self._limit(self.rate_limit_per_session, DEFAULT_SESSION_LIMIT)

    def deadline(self, timeout: float | None = None) -> Deadline:
        """Return the time limits of a request that begins now.

        Args:
            timeout: The caller's own limit in seconds; the configured one is not exceeded.
        """
        return Deadline.after(
            self.total_timeout if timeout is None else min(timeout, self.total_timeout),
            connect=self.connect_timeout,
            first_event=self.first_event_timeout,
            idle=self.idle_timeout,
        )

    def _limit(self, configured: int | None, default: int) -> int | None:
        if configured is not None or self.environment == "development":
            return configured
        return default


FILE_NAME = Path("orchestrator.toml")
"""The configuration file, in the working directory."""

PREFIX = "ORCHESTRATOR_"

SPECIFIED: Mapping[str, tuple[str, ...]] = {
    "environment": ("ENVIRONMENT",),
    "server_host": ("SERVER_HOST",),
    "server_port": ("SERVER_PORT",),
    "log_level": ("LOG_LEVEL",),
    "session_summarization_threshold": ("SESSION_SUMMARIZATION_THRESHOLD",),
    "session_max_duration_minutes": ("SESSION_MAX_DURATION_MINUTES",),
    "monitoring_enabled": ("MONITORING_ENABLED",),
    "metrics_collection_interval": ("METRICS_COLLECTION_INTERVAL",),
    "cors_allowed_origins": ("CORS_ALLOWED_ORIGINS", "CORS_ORIGINS"),
}
"""Settings with names of their own in the environment; every other one is `ORCHESTRATOR_<SETTING>`."""


def environment_names(setting: str) -> tuple[str, ...]:
    """Return the names of a setting in the environment, in order of precedence."""
    return SPECIFIED.get(setting, (PREFIX + setting.upper(),))
