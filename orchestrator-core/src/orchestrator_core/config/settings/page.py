"""The setting of the page for people."""

from __future__ import annotations

from pydantic import Field

from orchestrator_core.config.settings.base import SettingsGroup


class PageSettings(SettingsGroup):
    """The page at `/`."""

    page: bool = Field(
        default=True,
        description="Whether `/` has the page with the dashboard and the playground. It holds no data and no key: what "
        "it shows, it asks the gateway for with the key that is typed in.",
    )
