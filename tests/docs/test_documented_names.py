"""Settings, metrics and headers that a page names are those of the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from documentation import PAGES, ROOT
from orchestrator_core.config.settings import Settings, environment_names
from orchestrator_core.telemetry.instruments import COUNTERS, GAUGES, HISTOGRAMS
from orchestrator_core.telemetry.process_figures import READ

SOURCE = ROOT / "orchestrator-core" / "src" / "orchestrator_core"
PLUGINS = {path.parent.name.replace("-", "_") for path in (ROOT / "plugins").glob("*/pyproject.toml")}

OTHER_SETTINGS = {"ORCHESTRATOR_RECORDINGS", "ORCHESTRATOR_BUILD_IMAGE", "ORCHESTRATOR_CONFIG", "ORCHESTRATOR_KEY"}
"""What the tests read, the place of the configuration file itself, and a variable of those who copy a request."""

GONE = {"explanation/decisions"}
"""Records say what was so when they were written."""

SETTINGS = {name for field in Settings.model_fields for name in environment_names(field)} | OTHER_SETTINGS
METRICS = {
    *(f"{spec.name}_total" for spec in COUNTERS),
    *(spec.name for spec in GAUGES),
    *READ,
    *(f"{spec.name}{ending}" for spec in HISTOGRAMS for ending in ("", "_bucket", "_sum", "_count")),
}
MODULES = {"orchestrator_core", "orchestrator_acme", *(f"orchestrator_{name}" for name in PLUGINS)}
HEADERS = {
    header.lower()
    for path in SOURCE.rglob("*.py")
    for header in re.findall(r"x-orchestrator-[a-z-]+[a-z]", path.read_text(), re.IGNORECASE)
}
CURRENT = [page for page in PAGES if not any(folder in page.as_posix() for folder in GONE)]


def unknown(page: Path) -> Iterator[str]:
    text = page.read_text()
    for name in re.findall(r"\bORCHESTRATOR_[A-Z_]*[A-Z]\b", text):
        if name not in SETTINGS and name.removesuffix("_FILE") not in SETTINGS:
            yield name
    for name in re.findall(r"`((?:orchestrator|gen_ai)_[a-z_]*[a-z])(?=[`{])", text):
        if name not in METRICS | MODULES and not name.startswith("gen_ai_provider"):
            yield name
    for name in re.findall(r"\bx-orchestrator-[a-z-]*[a-z]\b", text, re.IGNORECASE):
        if name.lower() not in HEADERS:
            yield name


@pytest.mark.parametrize("page", CURRENT, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_what_there_is(page: Path) -> None:
    assert list(unknown(page)) == []


def test_what_there_is_not_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "`ORCHESTRATOR_NOTHING`, `orchestrator_nothing_total`, `X-Orchestrator-Nothing`, `orchestrator_core`"
    )
    assert list(unknown(page)) == ["ORCHESTRATOR_NOTHING", "orchestrator_nothing_total", "X-Orchestrator-Nothing"]
