"""The settings of the processes that serve."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from orchestrator_core.config.settings.base import Count, Seconds, SettingsGroup

LogFormat = Literal["auto", "console", "json"]


class ProcessSettings(SettingsGroup):
    """The processes that serve."""

    workers: Count = Field(
        default=1, description="Processes that serve on this machine; more than one needs PostgreSQL and gunicorn."
    )
    worker_timeout: Seconds = Field(
        default=30.0, description="Seconds without a sign of life after which one of several workers is replaced."
    )
    shutdown_grace: Seconds = Field(default=30.0, description="Seconds that requests under way have at shutdown.")
    plugin_load_timeout: Seconds = Field(
        default=5.0, description="Seconds that a plugin has to load, and that new keys have to be read and judged."
    )
    log_format: LogFormat = Field(
        default="auto", description="How log lines look: `auto` is `console` in development and `json` otherwise."
    )
