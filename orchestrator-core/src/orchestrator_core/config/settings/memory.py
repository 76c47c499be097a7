"""The settings of turns and summaries."""

from __future__ import annotations

from pydantic import Field

from orchestrator_core.config.settings.base import Seconds, SettingsGroup, Share


class MemorySettings(SettingsGroup):
    """Turns of sessions, and their summaries."""

    session_wait: Seconds = Field(default=10.0, description="Seconds that a turn waits for the one before it.")
    summary_window_share: Share = Field(
        default=0.6,
        description="The share of the model's context window above which older messages are condensed, where "
        "the window is known.",
    )
    summary_timeout: Seconds = Field(default=60.0, description="Seconds that a summary may take.")
    summary_provider: str | None = Field(
        default=None, description="Who writes summaries; without it who answered last."
    )
    summary_model: str | None = Field(
        default=None,
        description="The model that writes summaries; `provider/model` or an alias where no `summary_provider` is set.",
    )
