"""The bundled tables of prices, of which a process keeps what it asks for."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import pytest
from genai_prices import Usage
from genai_prices.data_snapshot import get_snapshot

from orchestrator_core.telemetry.price_tables import load_tables, table

PROVIDERS = [provider.id for provider in get_snapshot().providers]
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
USAGE = Usage(input_tokens=1_000, cache_read_tokens=200, output_tokens=100)


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("price_id", PROVIDERS)
def test_a_table_gives_the_prices_of_all_tables(price_id: str) -> None:
    whole, part = get_snapshot(), table(price_id)
    provider = whole.find_provider(None, price_id, None)
    others = provider.fallback_model_providers or ()
    models = [model.id for known in whole.providers if known.id in (price_id, *others) for model in known.models]
    assert models
    for name in (*models, "no-such-model"):
        found = []
        for tables in (whole, part):
            try:
                found.append(tables.calc(USAGE, name, price_id, None, NOON).total_price)
            except LookupError:
                found.append(None)
        assert found[0] == found[1], name


def test_a_provider_is_found_by_other_names_too() -> None:
    whole, part = get_snapshot(), table("google-gemini")
    assert whole.find_provider(None, "google-gemini", None).id == "google"
    assert part.calc(USAGE, "gemini-2.5-flash", "google-gemini", None, NOON).total_price > 0


def test_a_provider_without_a_table_has_no_models() -> None:
    with pytest.raises(LookupError):
        table("nobody").find_provider_model("gpt-4o", None, "nobody", None)


def test_the_tables_are_loaded_where_a_price_is_asked_and_not_before() -> None:
    run("import sys, orchestrator_core.telemetry.cost; assert 'genai_prices' not in sys.modules")


LOADED = """
import gc, sys
from orchestrator_core.telemetry.price_tables import load_tables
load_tables(["anthropic", "nobody"])
from genai_prices.types import ModelInfo
print(sum(isinstance(found, ModelInfo) for found in gc.get_objects()))
assert "genai_prices.data" not in sys.modules
"""


def test_models_of_others_are_not_kept() -> None:
    anthropic = get_snapshot().find_provider(None, "anthropic", None)
    assert int(run(LOADED)) == len(anthropic.models)


def test_the_tables_come_without_a_client_that_nobody_uses() -> None:
    run(f"{LOADED}assert 'httpx2' not in sys.modules\nimport httpx2\nhttpx2.Timeout(1)")


def test_what_is_loaded_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    before = table("openai")
    monkeypatch.setattr("orchestrator_core.telemetry.price_tables._read", None)
    load_tables(["openai"])
    assert table("openai") is before
