"""Strict vendors that know nothing but what they are sent: each answer names the facts that the request holds."""

from __future__ import annotations

import json
from typing import Any

from fake_upstreams.strict import Body, StrictVendor
from fake_upstreams.strict_anthropic import StrictAnthropic, answer, events
from fake_upstreams.strict_gemini import StrictGemini, gemini_answer
from fake_upstreams.strict_mistral import StrictMistral
from fake_upstreams.strict_openai import StrictOpenAI

FACTS = ("Ada", "Kestrel", "Kiruna", "Linus", "17:40")
"""What the scenarios of the documentation tell in the beginning."""


def recalled(body: Body) -> str:
    """Return an answer that names those of the facts that stand anywhere in a request."""
    text = json.dumps(body, ensure_ascii=False)
    known = [fact for fact in FACTS if fact in text]
    return f"You told me: {', '.join(known)}." if known else "You told me nothing."


class RememberingOpenAI(StrictOpenAI):
    def healthy(self, operation: str, body: Body, *, stream: bool) -> Any:
        return _saying(recalled(body), super().healthy(operation, body, stream=stream))


class RememberingMistral(StrictMistral):
    def healthy(self, operation: str, body: Body, *, stream: bool) -> Any:
        return _saying(recalled(body), super().healthy(operation, body, stream=stream))


class RememberingAnthropic(StrictAnthropic):
    def healthy(self, operation: str, body: Body, *, stream: bool) -> Any:
        text = {"type": "text", "text": recalled(body)}
        message = answer([text], model=str(body["model"]))
        return events(message) if stream else message


class RememberingGemini(StrictGemini):
    def healthy(self, operation: str, body: Body, *, stream: bool) -> Any:
        message = gemini_answer([{"text": recalled(body)}])
        return [message] if stream else message


VENDORS: dict[str, type[StrictVendor]] = {
    "anthropic": RememberingAnthropic,
    "gemini": RememberingGemini,
    "mistral": RememberingMistral,
    "openai": RememberingOpenAI,
}

KEYS = {
    "anthropic": "sk-ant-api03-" + "k" * 93 + "AA",
    "gemini": "AIza" + "k" * 35,
    "mistral": "k" * 32,
    "openai": "sk-proj-" + "Ab1" * 20,
}


def _saying(text: str, wire: Any) -> Any:
    """Put a text in place of the one that the servers of OpenAI's protocol give."""
    if isinstance(wire, dict):
        return {name: _saying(text, inner) for name, inner in wire.items()}
    if isinstance(wire, list):
        return [_saying(text, inner) for inner in wire]
    return text if wire == "Done." else wire
