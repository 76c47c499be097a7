"""Configuration: the environment, `.env` and `orchestrator.toml`, typed and checked as a whole."""

from orchestrator_core.config.errors import ConfigError
from orchestrator_core.config.load import Config, load
from orchestrator_core.config.provider import ProviderConfig
from orchestrator_core.config.settings import ServerEntry, Settings

__all__ = ["Config", "ConfigError", "ProviderConfig", "ServerEntry", "Settings", "load"]
