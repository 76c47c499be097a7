"""The HTTP client and the reader of server-sent events that core hands to plugins."""

from orchestrator_core.upstream.client import ClientFactory
from orchestrator_core.upstream.limits import UpstreamLimits

__all__ = ["ClientFactory", "UpstreamLimits"]
