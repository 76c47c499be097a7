"""The names of settings outside the code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

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


def canonical_name(distribution: str) -> str:
    """Return the one spelling of a distribution's name (PyPA specifications, "Names and normalization")."""
    return re.sub(r"[-_.]+", "-", distribution).lower()
