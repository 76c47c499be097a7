"""A provider that answers offline and always the same: for first steps, demonstrations and tests."""

from orchestrator_echo.provider import EchoProvider

__all__ = ["EchoProvider"]
