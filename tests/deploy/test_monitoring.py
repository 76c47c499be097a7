"""The board and the alerts ask for nothing that the gateway does not show."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator_core.provider_api import GatewayError, InvalidRequest, ProviderRefused
from orchestrator_core.security.events import MEANINGS
from orchestrator_core.telemetry.instruments import COUNTERS, GAUGES, HISTOGRAMS
from orchestrator_core.telemetry.metrics import CANCELLED, Metrics

FOLDER = Path(__file__).parents[2] / "deploy/monitoring"
ALERTS = yaml.safe_load((FOLDER / "alerts.yml").read_text())
BOARD = json.loads((FOLDER / "dashboard.json").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
PROMTOOL = shutil.which("promtool")

WORD = re.compile(r'"(?:[^"\\]|\\.)*"|[A-Za-z_$][A-Za-z0-9_$]*')
MATCHER = re.compile(r'([a-z_]+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
LANGUAGE = {
    *("sum", "min", "max", "by", "rate", "increase", "changes", "histogram_quantile", "max_over_time"),
    *("offset", "or", "unless", "m"),
}
SCRAPED = {"instance", "job"}
"""What Prometheus adds by itself."""


def codes(kind: type[GatewayError] = GatewayError) -> Iterator[str]:
    yield kind.code
    for child in kind.__subclasses__():
        yield from codes(child)


VALUES: Mapping[str, set[str]] = {
    "code": set(codes()),
    "outcome": {*codes(), "ok", "interrupted", CANCELLED, "made", "failed", "sent", "dropped"},
    "event": set(MEANINGS),
    "state": {"complete", "interrupted", "failed", "client_closed"},
}
"""The values of labels that are closed lists."""


def shown() -> dict[str, set[str]]:
    """Return the names of samples that a gateway shows, with their labels."""
    found = {f"{spec.name}_total": set(spec.labels) for spec in COUNTERS} | {
        spec.name: set(spec.labels) for spec in GAUGES
    }
    for spec in HISTOGRAMS:
        found |= {f"{spec.name}_{part}": {*spec.labels, "le"} for part in ("bucket", "sum", "count")}
    for family in Metrics().registry.collect():
        found |= {sample.name: set(sample.labels) for sample in family.samples if sample.name not in found}
    return found


SHOWN = {**shown(), "up": set()}


def queries() -> Iterator[tuple[str, str]]:
    """Yield every expression with where it stands."""
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in BOARD["panels"]:
        for target in panel.get("targets", ()):
            yield f"panel {panel['title']}", target["expr"]
    for each in BOARD["annotations"]["list"]:
        yield f"annotation {each['name']}", each["expr"]


QUERIES = list(queries())


@pytest.mark.parametrize(("place", "query"), QUERIES, ids=[place for place, _ in QUERIES])
def test_every_metric_label_and_value_of_a_query_exists(place: str, query: str) -> None:
    bare = MATCHER.sub(lambda found: found[1], re.sub(r"\[[^\]]*\]", "", query))
    words = {word for word in WORD.findall(bare) if not word.startswith(('"', "$"))} - LANGUAGE - SCRAPED
    metrics = {word for word in words if word in SHOWN}
    assert metrics, "it asks for a metric"
    labels = set().union(*(SHOWN[metric] for metric in metrics))
    assert words - metrics <= labels
    for label, operator, value in MATCHER.findall(query):
        assert label in labels | SCRAPED
        if label in VALUES and not value.startswith("$"):
            wanted = value.split("|") if "~" in operator else [value]
            assert set(wanted) <= VALUES[label], place


def test_the_search_would_find_what_does_not_exist() -> None:
    for query in ("rate(orchestrator_nothing_total[5m])", 'orchestrator_errors_total{code="nonsense"}'):
        with pytest.raises(AssertionError):
            test_every_metric_label_and_value_of_a_query_exists("here", query)


def test_every_metric_of_the_gateways_own_is_on_the_board() -> None:
    asked = " ".join(query for place, query in QUERIES if place.startswith("panel"))
    names = [spec.name for spec in (*COUNTERS, *GAUGES, *HISTOGRAMS)]
    assert [name for name in names if name not in asked] == []


def test_every_alert_says_how_bad_it_is_and_what_it_is() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names)
    text = (FOLDER.parents[1] / "docs/how-to/monitoring.md").read_text()
    for rule in RULES:
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["summary"].endswith(".")
        assert f"`{rule['alert']}`" in text, "the page says what to do"


def test_the_board_has_no_source_of_its_own_and_no_panel_twice() -> None:
    panels: list[dict[str, Any]] = BOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}"
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not on the PATH: CONTRIBUTING says how to get it")
def test_the_rules_fire_when_they_should() -> None:
    for arguments in (
        ("check", "rules", "alerts.yml"),
        ("test", "rules", "alerts.test.yml"),
        ("check", "config", "--syntax-only", "prometheus.yml"),
    ):
        done = subprocess.run([str(PROMTOOL), *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_is_told_of_the_rules_and_of_the_metrics() -> None:
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    assert config["rule_files"] == ["alerts.yml"]
    (job,) = config["scrape_configs"]
    assert (job["job_name"], job["metrics_path"]) == ("orchestrator", "/metrics")


def test_what_callers_do_wrong_is_no_failure_of_a_provider() -> None:
    theirs = {*codes(ProviderRefused), *codes(InvalidRequest)}
    failing = [
        (where, expr) for where, expr in QUERIES if "orchestrator_attempts_total" in expr and "provider_refused" in expr
    ]
    assert len(failing) == 2
    for where, expr in failing:
        matched = next(
            value for name, operator, value in MATCHER.findall(expr) if (name, operator) == ("outcome", "!~")
        )
        assert theirs <= set(matched.split("|")), where
