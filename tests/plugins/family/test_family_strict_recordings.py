"""The strict servers take what vendors took, refuse what they refused, and take it again as the plugins compile it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from family import VENDORS
from orchestrator_core.openai_compatible import OpenAICompatibleProvider
from orchestrator_core.provider_api import AdjustmentReport, Deadline, ProviderContext, ProviderSettings
from orchestrator_core.server.translate.openai_request import read_chat

FOLDER = os.environ.get("ORCHESTRATOR_RECORDINGS")
# Errors of what was said in the request, and not of the key, the model's name or the size.
REFUSED = {
    "deepseek-error-3f3df47dc3",
    "deepseek-error-9817f52447",
    "deepseek-error-b600d74e28",
    "deepseek-error-c42c73da68",
    "deepseek-error-cb998d941f",
    "deepseek-error-ee748d18c5",
    "grok-error-2f406fca2c",
}

if not FOLDER:
    pytest.skip("ORCHESTRATOR_RECORDINGS names no folder of recordings", allow_module_level=True)


def records() -> list[Any]:
    """Every recorded request for a chat, of the vendors that have a strict server."""
    found = []
    for path in sorted(Path(FOLDER or "").glob("*.json")):
        record = json.loads(path.read_text())
        body = record["request_body"]
        if record["provider"] in VENDORS and isinstance(body, dict) and "messages" in body:
            found.append(pytest.param(record, id=path.stem))
    assert found, "the folder holds no such recordings"
    return found


def problems(provider: str, body: dict[str, Any]) -> list[str]:
    return [problem for rule in VENDORS[provider].strict.rules for problem in rule.check(body, {})]


@pytest.mark.parametrize("record", records())
def test_the_server_takes_what_the_vendor_took(record: dict[str, Any]) -> None:
    found = problems(record["provider"], record["request_body"])
    if record["status"] == 200:
        assert found == []
    else:
        assert bool(found) == (record["id"] in REFUSED), found


@pytest.mark.parametrize("record", records())
def test_the_server_takes_what_the_plugin_makes_of_it(record: dict[str, Any]) -> None:
    body = {name: value for name, value in record["request_body"].items() if value is not None}
    if record["status"] != 200 and record["id"] not in REFUSED:
        pytest.skip("what was refused is the key, the model's name or the size")
    if isinstance(body.get("tool_choice"), dict) and body["tool_choice"]["type"] != "function":
        body["tool_choice"] = {"type": "function", "function": {"name": body["tool_choice"]["name"]}}
    kind: type[OpenAICompatibleProvider] = VENDORS[record["provider"]].provider
    client: Any = None
    provider = kind(ProviderContext(kind.info.name, ProviderSettings(), client))
    request = read_chat(
        {**body, "messages": [openai_form(each) for each in body["messages"]]}, deadline=Deadline.after(1)
    )
    compiled = provider.compile(replace(request, native=None), AdjustmentReport(strict=False))
    assert problems(record["provider"], compiled) == []


def openai_form(message: dict[str, Any]) -> dict[str, Any]:
    """A message without what only a vendor's own client may say."""
    return {name: value for name, value in message.items() if name != "prefix"}
