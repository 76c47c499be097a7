"""The reference of the settings is made from the model."""

from __future__ import annotations

from pathlib import Path

from orchestrator_core.config import Settings
from orchestrator_core.config.reference import markdown

PAGE = Path(__file__).parents[3] / "docs/reference/settings.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == markdown(), (
        "run: python -m orchestrator_core.config.reference > docs/reference/settings.md"
    )


def test_every_setting_has_a_meaning() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
