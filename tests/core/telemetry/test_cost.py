"""What a call cost."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

from orchestrator_core.provider_api import ProviderInfo, Usage
from orchestrator_core.telemetry.cost import price


def info(price_id: str | None) -> ProviderInfo:
    return ProviderInfo(name="x", title="X", capabilities=(), price_id=price_id)


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4o-2024-08-06"])
def test_a_known_model_has_a_price(model: str) -> None:
    found = price(info("openai"), model, Usage(input_tokens=1000, output_tokens=100))
    assert found is not None
    assert found.usd == pytest.approx(1000 * 2.5e-6 + 100 * 1e-5)
    assert found.version == f"genai-prices {version('genai-prices')}"


def test_cached_input_is_cheaper_and_billed_once() -> None:
    whole = price(info("openai"), "gpt-4o", Usage(input_tokens=1000))
    cached = price(info("openai"), "gpt-4o", Usage(input_tokens=400, cached_input_tokens=600))
    assert whole is not None
    assert cached is not None
    assert cached.usd == pytest.approx(400 * 2.5e-6 + 600 * 1.25e-6)
    assert cached.usd < whole.usd


def test_reasoning_is_billed_as_output() -> None:
    as_output = price(info("openai"), "gpt-4o", Usage(output_tokens=100))
    as_reasoning = price(info("openai"), "gpt-4o", Usage(output_tokens=40, reasoning_tokens=60))
    assert as_output == as_reasoning


@pytest.mark.parametrize(
    ("price_id", "model"), [(None, "gpt-4o"), ("openai", "no-such-model"), ("nobody", "gpt-4o"), ("openai", "")]
)
def test_an_unknown_price_is_none_and_never_zero(price_id: str | None, model: str) -> None:
    assert price(info(price_id), model, Usage(1000, 0, 0, 100)) is None


def test_the_tables_are_loaded_where_a_price_is_asked_and_not_before() -> None:
    code = "import sys, orchestrator_core.telemetry.cost; sys.exit('genai_prices' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_tables_can_be_loaded_ahead() -> None:
    code = (
        "import sys; from orchestrator_core.telemetry.cost import load_tables; load_tables(); "
        "sys.exit('genai_prices' not in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
