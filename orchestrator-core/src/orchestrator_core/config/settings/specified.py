"""The settings that the environment names without a prefix."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from orchestrator_core.config.settings.base import Count, Seconds, SettingsGroup, lower

Environment = Literal["development", "staging", "production"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def _level(value: Any) -> Any:
    return (
        {"WARN": "WARNING", "FATAL": "CRITICAL"}.get(_upper(value), _upper(value)) if isinstance(value, str) else value
    )


class SpecifiedSettings(SettingsGroup):
    """What has a name of its own in the environment."""

    environment: Annotated[Environment, BeforeValidator(lower)] = Field(
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
        default=20,
        description="Stored messages without a summary, above which older ones are condensed; 500 at most count.",
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
