"""Messages that are nothing but a role and a text take a shorter way, to the same end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from family import VENDORS
from orchestrator_core.openai_compatible.compile import compile_chat
from orchestrator_core.openai_compatible.messages import MessageCompiler
from orchestrator_core.provider_api import AdjustmentReport, Deadline, Json, ProviderSettings
from orchestrator_core.server.translate.openai_messages import PlainMessages
from orchestrator_core.server.translate.openai_request import read_chat

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5)
FUNCTION = {"name": "find", "parameters": {"type": "object"}}
TOOL = {"type": "function", "function": FUNCTION, "cache_control": {"type": "x"}}
BODIES = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["m", "gpt-6-luna", "kimi-k3", "mistral-small-latest"]),
        "messages": st.lists(
            st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant"]), "content": TEXTS}),
            min_size=1,
            max_size=4,
        ),
    },
    optional={
        "stream": st.booleans(),
        "temperature": st.sampled_from([0, 0.5]),
        "max_tokens": st.just(5),
        "reasoning_effort": st.sampled_from(["low", "none"]),
        "tools": st.just([TOOL]),
        "tool_choice": st.sampled_from(["auto", "required"]),
        "thinking": st.just({"type": "disabled"}),
    },
)


def compiled(request: Any, vendor: str) -> tuple[dict[str, Json], Any]:
    report = AdjustmentReport(strict=False)
    dialect = VENDORS[vendor].provider.dialect
    body = compile_chat(request, dialect, provider_id=vendor, settings=ProviderSettings(), report=report)
    return body, report.adjustments


@pytest.mark.parametrize("vendor", VENDORS)
@given(body=BODIES)
def test_a_clients_own_plain_messages_are_sent_as_others_are(vendor: str, body: dict[str, Any]) -> None:
    plain = read_chat(body, deadline=Deadline.after(5))
    assert isinstance(plain.messages, PlainMessages)
    assert plain.native is not None
    looked_at = replace(plain, messages=list(plain.messages), native=replace(plain.native, plain=False))
    assert compiled(plain, vendor) == compiled(looked_at, vendor)


@pytest.mark.parametrize("vendor", VENDORS)
@given(body=BODIES)
def test_plain_messages_of_a_history_are_those_of_the_client(vendor: str, body: dict[str, Any]) -> None:
    said = read_chat(body, deadline=Deadline.after(5)).messages
    wire = MessageCompiler(VENDORS[vendor].provider.dialect, vendor, AdjustmentReport(strict=True)).compile(said)
    assert wire == body["messages"]
