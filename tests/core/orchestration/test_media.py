"""What of a call is sound or pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from orchestrator_core.orchestration.media import PICTURES, SOUND, as_medium, asked_media, heard_tokens
from orchestrator_core.provider_api import (
    ChatRequest,
    Deadline,
    FilePart,
    Message,
    Part,
    TextPart,
    ToolResultPart,
    Usage,
    UsageDetails,
)


def request(extra: Mapping[str, Any], *parts: Part) -> ChatRequest:
    messages = (Message(role="user", parts=parts or (TextPart(text="hi"),)),)
    return ChatRequest(model="m", messages=messages, deadline=Deadline.after(60), extra=extra)


@pytest.mark.parametrize(
    ("extra", "asked"),
    [
        ({}, {}),
        ({"modalities": ["text"], "audio": None, "speechConfig": None}, {}),
        ({"generationConfig": {"responseModalities": ["TEXT"], "topK": 3}, "audio": False}, {}),
        ({"modalities": ["text", "audio"]}, {SOUND: "modalities"}),
        ({"audio": {"voice": "alloy"}}, {SOUND: "audio"}),
        ({"extra_body": {"Modalities": "AUDIO"}}, {SOUND: "extra_body.Modalities"}),
        ({"generation_config": {"speech_config": {}}}, {SOUND: "generation_config.speech_config"}),
        ({"responseModalities": ["TEXT", "IMAGE"]}, {PICTURES: "responseModalities"}),
        ({"generationConfig": {"imageConfig": {}}}, {PICTURES: "generationConfig.imageConfig"}),
        ({"modalities": ["image", "audio"]}, {PICTURES: "modalities", SOUND: "modalities"}),
        ({"modalities": ["text", "video"]}, {None: "modalities"}),
        ({"generationConfig": {"responseModalities": [3]}}, {None: "generationConfig.responseModalities"}),
    ],
    ids=str,
)
def test_media_are_asked_for_in_many_words(extra: Mapping[str, Any], asked: Mapping[str | None, str]) -> None:
    assert asked_media(request(extra)) == asked


def test_sound_is_heard_in_messages_and_in_results_of_tools() -> None:
    sound, paper = FilePart(data="AA==", media_type="Audio/wav"), FilePart(data="AA==", media_type="application/pdf")
    assert heard_tokens(request({}, TextPart(text="hi"), paper)) == 0
    one = heard_tokens(request({}, sound))
    assert one > 0
    within = ToolResultPart(tool_call_id="1", content=(sound, TextPart(text="hi"), sound))
    several = request({}, within, sound, paper)
    assert heard_tokens(several) == 3 * one
    answered = Message(role="assistant", parts=(sound, TextPart(text="well")))
    assert heard_tokens(replace(several, messages=(answered, *several.messages))) == 3 * one


def test_a_medium_takes_all_of_the_output_and_leaves_the_input() -> None:
    said = Usage(5, 0, 0, 7, details=UsageDetails(input_audio_tokens=3))
    assert as_medium(said, SOUND).details == UsageDetails(input_audio_tokens=3, output_audio_tokens=7)
    assert as_medium(said, PICTURES).details == UsageDetails(input_audio_tokens=3, output_image_tokens=7)
