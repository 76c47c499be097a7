"""What a call cost."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, tzinfo
from importlib.metadata import version
from pathlib import Path

import genai_prices.data_snapshot
import pytest
from genai_prices.data_snapshot import get_snapshot

from orchestrator_core.config import ConfigError, load
from orchestrator_core.provider_api import ModelPrice, ProviderInfo, Usage, UsageDetails
from orchestrator_core.telemetry import cost
from orchestrator_core.telemetry.cost import Price, Prices


def info(price_id: str | None, *prices: ModelPrice) -> ProviderInfo:
    return ProviderInfo(name="x", title="X", capabilities=(), price_id=price_id, prices=prices)


def price(info: ProviderInfo, model: str, usage: Usage) -> Price | None:
    return Prices().price("x", info, model, usage)


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


OWN = ModelPrice(
    models="gpt-4o.*",
    input=1,
    output=2,
    cached_input=0.5,
    cache_write=1.5,
    source="https://x.example",
    as_of=date(2026, 1, 2),
)
USAGE = Usage(1_000, 2_000, 4_000, 100, 10)


def test_a_plugins_own_price_goes_before_the_tables() -> None:
    assert price(info("openai", OWN), "gpt-4o", USAGE) == Price(
        pytest.approx((1_000 + 2_000 * 0.5 + 4_000 * 1.5 + 110 * 2) / 1e6), "https://x.example 2026-01-02"
    )
    assert price(info(None, OWN), "other", USAGE) is None


def test_what_a_price_does_not_tell_costs_as_much_as_input() -> None:
    flat = ModelPrice(models=".*", input=1, source="s", as_of=date(2026, 1, 2))
    assert price(info(None, flat), "any", USAGE) == Price(pytest.approx(7_000 / 1e6), "s 2026-01-02")


def test_a_price_for_short_calls_does_not_hold_for_long_ones() -> None:
    short = ModelPrice(models=".*", input=1, up_to=7_000, source="short", as_of=date(2026, 1, 2))
    long = ModelPrice(models=".*", input=3, source="long", as_of=date(2026, 1, 2))
    one_more = USAGE + Usage(1)
    assert price(info(None, short), "m", one_more) is None
    assert price(info(None, short, long), "m", USAGE) == Price(pytest.approx(7_000 / 1e6), "short 2026-01-02")
    assert price(info(None, short, long), "m", one_more) == Price(pytest.approx(3 * 7_001 / 1e6), "long 2026-01-02")


def configured(tmp_path: Path, text: str) -> Prices:
    (tmp_path / "orchestrator.toml").write_text(text)
    return Prices(load(environ={}, directory=tmp_path).settings.prices)


def test_the_operators_price_goes_before_all_others(tmp_path: Path) -> None:
    text = """
    [prices."mine/gpt-4o*"]
    input = 0.15
    output = 0.5
    cached_input = 0

    [prices."ollama/*"]
    input = 0
    """
    prices = configured(tmp_path, text)
    assert prices.price("mine", info("openai", OWN), "gpt-4o-2024-08-06", USAGE) == Price(
        pytest.approx((5_000 * 0.15 + 110 * 0.5) / 1e6), "configured input=0.15 output=0.5 cached_input=0"
    )
    assert prices.price("ollama", info(None), "library/llama:8b", USAGE) == Price(0, "configured input=0 output=0")
    theirs = prices.price("yours", info("openai", OWN), "gpt-4o", USAGE)
    assert theirs is not None
    assert theirs.version == "https://x.example 2026-01-02"


@pytest.mark.parametrize(
    "text", ["[prices.gpt-4o]\ninput = 1", '[prices."a/b"]\ninput = -1', '[prices."a/b"]\noutput = 1']
)
def test_prices_that_make_no_sense_stop_the_start(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="prices"):
        configured(tmp_path, text)


def test_the_tables_know_windows() -> None:
    def window(price_id: str | None, model: str) -> int | None:
        info = ProviderInfo(name="p", title="P", capabilities=("chat",), price_id=price_id)
        return Prices().window(info, model)

    assert window("openai", "gpt-4o") == 128_000
    assert window("openai", "gpt-4o-2024-08-06") == 128_000
    assert window("openai", "gpt-900") is None
    assert window(None, "gpt-4o") is None


M = 1_000_000
DETAILED = [
    ("openai", "gpt-audio", Usage(M, details=UsageDetails(input_audio_tokens=M)), 32.0),
    ("google", "gemini-2.5-flash", Usage(M, details=UsageDetails(input_audio_tokens=M)), 1.0),
    ("anthropic", "claude-haiku-4-5", Usage(0, 0, M, details=UsageDetails(cache_write_1h_tokens=M)), 2.0),
    ("anthropic", "claude-haiku-4-5", Usage(0, 0, M), 1.25),
    ("anthropic", "claude-haiku-4-5", Usage(M, details=UsageDetails(web_searches=100)), 2.0),
]


@pytest.mark.parametrize(("price_id", "model", "usage", "dollars"), DETAILED)
def test_sound_long_caches_and_searches_have_prices_of_their_own(
    price_id: str, model: str, usage: Usage, dollars: float
) -> None:
    found = price(info(price_id), model, usage)
    assert found is not None
    assert found.usd == pytest.approx(dollars)


TOKENS_ONLY = ModelPrice(models="m", input=1, output=2, source="list", as_of=date(2026, 11, 1))
UNKNOWN = [
    (info("openai"), "gpt-4o", UsageDetails(unpriced="service_tier flex")),
    (info(None, TOKENS_ONLY), "m", UsageDetails(unpriced="service_tier flex")),
    (info(None, TOKENS_ONLY), "m", UsageDetails(web_searches=1)),
    (info(None, TOKENS_ONLY), "m", UsageDetails(input_audio_tokens=1)),
    (info(None, TOKENS_ONLY), "m", UsageDetails(output_audio_tokens=1)),
    (info(None, TOKENS_ONLY), "m", UsageDetails(output_image_tokens=1)),
    (info(None, TOKENS_ONLY), "m", UsageDetails(cache_write_1h_tokens=1)),
    (info("x-ai"), "grok-4", UsageDetails(web_searches=1)),
    (info("openai"), "gpt-4o-audio-preview", UsageDetails(input_audio_tokens=1)),
    (info("openai"), "gpt-4o-audio-preview", UsageDetails(output_audio_tokens=1)),
    (info("openai"), "gpt-audio", UsageDetails(input_audio_tokens=1, cached_audio_tokens=1)),
    (info("google"), "gemini-2.5-flash", UsageDetails(output_image_tokens=1)),
    (info("anthropic"), "claude-v1", UsageDetails(cache_write_1h_tokens=1)),
    (info("openai"), "gpt-audio", UsageDetails(input_audio_tokens=4 * M)),
]


@pytest.mark.parametrize(("provider", "model", "details"), UNKNOWN)
def test_what_no_table_prices_makes_the_cost_unknown(provider: ProviderInfo, model: str, details: UsageDetails) -> None:
    tokens = Usage(M, M, M, M)
    assert price(provider, model, tokens) is not None
    assert price(provider, model, replace(tokens, details=details)) is None


def test_the_operators_price_is_for_all_tokens(tmp_path: Path) -> None:
    prices = configured(tmp_path, '[prices."x/*"]\ninput = 2\noutput = 3')
    sound = UsageDetails(input_audio_tokens=M, cached_audio_tokens=M, output_audio_tokens=M)
    details = sound + UsageDetails(output_image_tokens=M, cache_write_1h_tokens=M)
    found = prices.price("x", info("openai", TOKENS_ONLY), "m", Usage(M, M, M, M, details=details))
    assert found is not None
    assert found.usd == pytest.approx(9)
    assert prices.price("x", info(None), "m", Usage(M, details=UsageDetails(web_searches=1))) is None


def test_the_model_that_was_asked_stands_for_one_that_is_not_known() -> None:
    asked = Prices().price("x", info("openai"), "gpt-4o-2099-01-01-internal", Usage(M), asked="gpt-4o")
    assert asked == price(info("openai"), "gpt-4o", Usage(M))
    assert Prices().price("x", info("openai"), "no-such-model", Usage(M), asked="neither") is None


def test_resource_names_have_the_price_of_their_model() -> None:
    assert price(info("google"), "models/gemini-2.5-flash", Usage(M)) == price(
        info("google"), "gemini-2.5-flash", Usage(M)
    )


SOME = [Usage(1_000, 0, 0, 200), Usage(10, 50_000, 3_000, 700, 1_300), Usage(300_000, 0, 0, 5), Usage(0, 0, 0, 1)]


@pytest.mark.parametrize("price_id", ["openai", "anthropic", "google", "mistral", "x-ai", "deepseek", "moonshotai"])
def test_what_is_remembered_of_the_tables_gives_the_prices_that_they_give(price_id: str) -> None:
    """Time stands still: some vendors have other prices by night."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(genai_prices.data_snapshot, "datetime", _Noon)
        patch.setattr(cost, "datetime", _Noon)
        cost._rates.cache_clear()
        for model in next(found.models for found in get_snapshot().providers if found.id == price_id):
            for usage in SOME:
                exact = cost._calculated(price_id, model.id, usage)
                found = price(info(price_id), model.id, usage)
                assert (exact is None) == (found is None), model.id
                if exact is not None and found is not None:
                    assert found == Price(pytest.approx(exact.usd, rel=1e-9), exact.version), (model.id, usage)
        cost._rates.cache_clear()


def test_a_price_that_changes_in_the_course_of_a_day_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """DeepSeek's chat costs half by night, in the tables."""
    cheap = next(
        model.prices
        for provider in get_snapshot().providers
        for model in provider.models
        if provider.id == "deepseek" and model.id == "deepseek-chat"
    )
    assert isinstance(cheap, list)
    found = []
    for hour in (12, 20):
        now = datetime(2026, 11, 1, hour, tzinfo=UTC)
        _Noon.at = hour
        monkeypatch.setattr(genai_prices.data_snapshot, "datetime", _Noon)
        monkeypatch.setattr(cost, "datetime", _Noon)
        monkeypatch.setattr(cost.time, "time", now.timestamp)
        answer = price(info("deepseek"), "deepseek-chat", Usage(M))
        assert answer is not None
        found.append(answer.usd)
    _Noon.at = 12
    assert found == [pytest.approx(0.27), pytest.approx(0.135)]


class _Noon(datetime):
    """A clock that stands still."""

    at = 12

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime(2026, 11, 1, cls.at, tzinfo=tz)
