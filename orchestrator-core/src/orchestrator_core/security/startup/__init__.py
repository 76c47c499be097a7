"""What is checked when the gateway starts, one module for each topic, and what is printed of it."""

from orchestrator_core.security.startup.checks import check
from orchestrator_core.security.startup.report import StartupReport, describe

__all__ = ["StartupReport", "check", "describe"]
