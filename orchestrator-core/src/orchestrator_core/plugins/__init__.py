"""Discovery, quarantine and the typed caller over pluggy."""

from orchestrator_core.plugins.discovery import PluginClash, discover
from orchestrator_core.plugins.provider import Provider
from orchestrator_core.plugins.registry import QuarantinedPlugin, Registry

__all__ = ["PluginClash", "Provider", "QuarantinedPlugin", "Registry", "discover"]
