"""Settings that cannot be carried out, whatever the environment."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator_core.config.extras import missing_extra
from orchestrator_core.config.settings import POSTGRES
from orchestrator_core.security.startup.subject import Subject


def settings(subject: Subject) -> Iterator[str]:
    """Yield each setting that this installation or this version cannot carry out."""
    given = subject.settings
    if given.database_url.startswith(POSTGRES) and (
        problem := missing_extra("ORCHESTRATOR_DATABASE_URL", "asyncpg", "postgresql")
    ):
        yield problem
    if given.redis_url is not None and (problem := missing_extra("ORCHESTRATOR_REDIS_URL", "redis", "redis")):
        yield problem
    if given.otel and (problem := missing_extra("ORCHESTRATOR_OTEL", "opentelemetry.exporter.otlp.proto.http", "otel")):
        yield problem
