"""What each vendor of the family says about itself: names, variables, keys, models, prices."""

from __future__ import annotations

import dataclasses
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from fake_upstreams.openai_calls import ask, folded
from fake_upstreams.openai_server import OpenAIServer
from family import VENDORS
from orchestrator_core.config import load
from orchestrator_core.provider_api import ProviderRefused, Secret, Usage, check_key
from orchestrator_core.telemetry.cost import Prices

NEW = ("mistral", "grok", "qwen", "deepseek", "kimi")
LETTERS = "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1eF3hJ5kL7nP9rS1uV3xY5"
KEYS = {
    "mistral": [LETTERS[:32]],
    "grok": ["xai-" + LETTERS[:40], "xai-" + (LETTERS * 2)[:80]],
    "qwen": ["sk-" + LETTERS[:32], "sk-" + LETTERS[:40], "sk-ws-H.RDLLXI.abc", "sk-sp-abc.def-1"],
    "deepseek": ["sk-" + LETTERS[:32], "sk-" + LETTERS[:40]],
    "kimi": ["sk-" + LETTERS[:40], "sk-kimi-" + LETTERS[:48]],
}
OPENAI_KEY = "sk-" + LETTERS[:20] + "T3BlbkFJ" + LETTERS[:20]
FOREIGN = {
    "mistral": ["sk-" + LETTERS[:29], "xai-" + LETTERS[:28]],
    "grok": [OPENAI_KEY],
    "qwen": [OPENAI_KEY, "sk-kimi-" + LETTERS[:40], "sk-ant-api03-" + LETTERS],
    "deepseek": [OPENAI_KEY, "sk-kimi-" + LETTERS[:40], "sk-proj-" + LETTERS],
    "kimi": [OPENAI_KEY, "sk-or-" + LETTERS, "sk-ws-" + LETTERS],
}
BASES = {
    "mistral": "https://api.mistral.ai/v1",
    "grok": "https://api.x.ai/v1",
    "qwen": "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
    "deepseek": "https://api.deepseek.com",
    "kimi": "https://api.moonshot.ai/v1",
}
NAMES = {
    "mistral": ["MISTRAL_API_KEY"],
    "grok": ["GROK_API_KEY", "XAI_API_KEY"],
    "qwen": ["QWEN_API_KEY", "DASHSCOPE_API_KEY"],
    "deepseek": ["DEEPSEEK_API_KEY"],
    "kimi": ["KIMI_K2_API_KEY", "KIMI_API_KEY", "MOONSHOT_API_KEY"],
}


@pytest.mark.parametrize("name", NEW)
def test_it_is_found_by_its_entry_point(name: str) -> None:
    (entry,) = [entry for entry in entry_points(group="orchestrator.providers") if entry.name == name]
    kind = VENDORS[name].provider
    assert entry.load() is kind
    assert kind.info.name == name
    assert kind.dialect.base_url == BASES[name]


@pytest.mark.parametrize(("name", "key"), [(name, key) for name, keys in KEYS.items() for key in keys])
def test_its_keys_are_taken(name: str, key: str) -> None:
    info = VENDORS[name].provider.info
    assert check_key(Secret(key), info.key_formats, foreign=info.foreign_keys).status == "valid"


@pytest.mark.parametrize(("name", "key"), [(name, key) for name, keys in FOREIGN.items() for key in keys])
def test_keys_of_others_are_refused(name: str, key: str) -> None:
    info = VENDORS[name].provider.info
    assert check_key(Secret(key), info.key_formats, foreign=info.foreign_keys).status == "foreign"


@pytest.mark.parametrize(("name", "variable"), [(name, each) for name, names in NAMES.items() for each in names])
def test_its_key_is_read_from_every_name(name: str, variable: str, tmp_path: Path) -> None:
    kind = VENDORS[name].provider
    config = load(environ={variable: KEYS[name][0]}, directory=tmp_path)
    assert config.provider(kind.info, kind.settings_model).keys == (Secret(KEYS[name][0]),)


@pytest.mark.parametrize("prefix", ["KIMI", "KIMI_K2"])
def test_settings_of_kimi_have_two_prefixes(prefix: str, tmp_path: Path) -> None:
    kind = VENDORS["kimi"].provider
    config = load(environ={f"{prefix}_BASE_URL": "https://api.moonshot.cn/v1"}, directory=tmp_path)
    assert config.provider(kind.info, kind.settings_model).settings.base_url == "https://api.moonshot.cn/v1"
    assert "kimi_k2" in kind.info.aliases


@pytest.mark.parametrize("name", NEW)
def test_defaults_are_models_that_are_not_retired(name: str) -> None:
    info = VENDORS[name].provider.info
    retired = {model.id for model in info.models if model.replacement}
    known = {model.id for model in info.models}
    assert retired
    assert {info.default_model, info.default_embedding_model} - {None} <= known - retired
    assert {model.replacement for model in info.models} - {None} <= known - retired
    for model in info.models:
        assert set(model.capabilities) <= set(info.capabilities)


@pytest.mark.parametrize("name", NEW)
async def test_a_retired_model_is_answered_with_its_successor(connect: Any, name: str) -> None:
    kind = VENDORS[name].provider
    old = next(model for model in kind.info.models if model.replacement)
    async with OpenAIServer() as server:
        server.answers({"error": {"message": "no such model"}}, 404)
        with pytest.raises(ProviderRefused, match=f"no such model.*use {old.replacement}"):
            await folded(connect(kind, server.base_url), ask(model=old.id))


def test_the_prices_of_qwen_are_its_own() -> None:
    info = VENDORS["qwen"].provider.info
    usage = Usage(input_tokens=1_000, cached_input_tokens=2_000, output_tokens=300, reasoning_tokens=100)
    paid = Prices().price("qwen", info, "qwen3.8-flash", usage)
    assert paid is not None
    assert paid.usd == pytest.approx((1_000 * 0.15 + 2_000 * 0.016 + 400 * 0.47) / 1e6)
    assert paid.version == "https://www.alibabacloud.com/help/en/model-studio/qwen3-8-flash 2026-08-28"
    assert Prices().price("qwen", info, "qwen3.7-plus", usage) is None, "no price is better than a doubtful one"
    assert Prices().price("qwen", info, "qwen-of-tomorrow", usage) is None


@pytest.mark.parametrize("name", ["mistral", "grok", "deepseek", "kimi"])
def test_others_are_priced_by_the_bundled_tables(name: str) -> None:
    models = {"mistral": "mistral-small-latest", "grok": "grok-4.3", "deepseek": "deepseek-chat", "kimi": "kimi-k2.6"}
    info = VENDORS[name].provider.info
    paid = Prices().price(name, info, models[name], Usage(input_tokens=1_000, output_tokens=10))
    assert paid is not None
    assert paid.usd > 0
    assert paid.version.startswith("genai-prices ")
    assert dataclasses.replace(info, price_id=None).prices == ()
