"""No plugin of this tree goes without the kit."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLUGINS = sorted(path.parent.name for path in (ROOT / "plugins").glob("*/pyproject.toml"))


def test_every_plugin_has_its_class() -> None:
    text = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*_conformance.py"))
    held = {name.replace("_", "-") for name in re.findall(r"^from orchestrator_(\w+) import", text, re.MULTILINE)}
    assert held == set(PLUGINS)
