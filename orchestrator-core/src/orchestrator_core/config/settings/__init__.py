"""The settings: one flat model, in one file for each topic."""

from orchestrator_core.config.settings.access import SUSPICIOUS_PATTERNS
from orchestrator_core.config.settings.aliases import AliasEntry
from orchestrator_core.config.settings.model import Settings
from orchestrator_core.config.settings.names import FILE_NAME, PREFIX, SPECIFIED, canonical_name, environment_names
from orchestrator_core.config.settings.routing import PriceEntry, ServerEntry
from orchestrator_core.config.settings.storage import MEMORY, POSTGRES, SQLITE

__all__ = [
    "FILE_NAME",
    "MEMORY",
    "POSTGRES",
    "PREFIX",
    "SPECIFIED",
    "SQLITE",
    "SUSPICIOUS_PATTERNS",
    "AliasEntry",
    "PriceEntry",
    "ServerEntry",
    "Settings",
    "canonical_name",
    "environment_names",
]
