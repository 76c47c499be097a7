"""What an answer of the OpenAI family says beyond the canonical form, for clients who get it translated."""

from __future__ import annotations

import base64
import json
from typing import Any

from orchestrator_core.openai_compatible import Dialect
from orchestrator_core.openai_compatible.parse import AnswerParser
from orchestrator_core.openai_compatible.usage import read_usage
from orchestrator_core.orchestration.fold import Fold
from orchestrator_core.provider_api import OPENAI_CHAT, ChatResponse, FilePart, TextPart

TOKEN = {"token": "Hi", "logprob": -0.1, "bytes": None, "top_logprobs": []}
CITED = {"type": "url_citation", "url_citation": {"start_index": 0, "end_index": 2, "url": "u", "title": "t"}}
OF_TEXT = {OPENAI_CHAT: {"annotations": [CITED]}, "acme": {"annotations": [CITED]}}


def folded(*bodies: dict[str, Any], whole: bool, native: bool = False) -> ChatResponse:
    parser, fold = AnswerParser(Dialect(), "acme", native=native, sound="pcm16"), Fold()
    for body in bodies:
        data = json.dumps(body).encode()
        for event in parser.body(data) if whole else parser.chunk(data):
            fold.add(event)
    return fold.response()


def whole(message: dict[str, Any], choice: dict[str, Any] | None = None, **top: Any) -> ChatResponse:
    entry = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop", **(choice or {})}
    return folded({"id": "1", "model": "m", "choices": [entry], **top}, whole=True)


def streamed(*deltas: dict[str, Any], last: dict[str, Any] | None = None, **top: Any) -> ChatResponse:
    chunks = [{"model": "m", "choices": [{"index": 0, **delta}]} for delta in deltas]
    end = {"model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop", **(last or {})}], **top}
    return folded(*chunks, end, whole=False)


def test_a_whole_answer_keeps_its_unnamed_fields_in_their_places() -> None:
    response = whole(
        {"content": "Hi", "annotations": [CITED], "mood": "good"},
        {"logprobs": {"content": [TOKEN], "refusal": None}, "matched_stop": 7},
        service_tier="default",
        citations=["u"],
    )
    [choice] = response.choices
    assert choice.logprobs == {"content": [TOKEN], "refusal": None}
    assert choice.provider_metadata == {OPENAI_CHAT: {"matched_stop": 7}}
    assert response.provider_metadata == {OPENAI_CHAT: {"service_tier": "default", "citations": ["u"]}}
    text, noted = choice.message.parts
    assert text == TextPart(
        text="Hi", provider_metadata={OPENAI_CHAT: {"annotations": [CITED]}, "acme": {"annotations": [CITED]}}
    )
    assert noted.provider_metadata == {"acme": {"message": {"mood": "good"}}}


def test_a_stream_gathers_the_same() -> None:
    response = streamed(
        {"delta": {"role": "assistant", "content": "H", "mood": "go"}, "logprobs": {"content": [TOKEN]}},
        {"delta": {"content": "i", "mood": "od"}, "logprobs": {"content": [TOKEN]}},
        {"delta": {"annotations": [CITED]}},
        last={"matched_stop": 7},
        citations=["u"],
    )
    [choice] = response.choices
    assert choice.logprobs == {"content": [TOKEN, TOKEN], "refusal": None}
    assert choice.provider_metadata == {OPENAI_CHAT: {"matched_stop": 7}}
    assert response.provider_metadata == {OPENAI_CHAT: {"citations": ["u"]}}
    text, noted = choice.message.parts
    assert text == TextPart(
        text="Hi", provider_metadata={OPENAI_CHAT: {"annotations": [CITED]}, "acme": {"annotations": [CITED]}}
    )
    assert noted.provider_metadata == {"acme": {"message": {"mood": "good"}}}


def test_a_spoken_answer_has_its_sound() -> None:
    audio = {"id": "a1", "data": base64.b64encode(b"whole").decode(), "transcript": "Hi", "expires_at": 9}
    text, sound = whole({"content": None, "audio": audio}).message.parts
    assert text == TextPart(text="Hi")
    assert isinstance(sound, FilePart)
    assert (sound.media_type, base64.b64decode(sound.data or "")) == ("audio/pcm16", b"whole")
    assert sound.provider_metadata == {"acme": {"audio": {"id": "a1", "expires_at": 9}}}


def test_the_sound_of_a_stream_is_put_together() -> None:
    pieces = [{"data": base64.b64encode(piece).decode()} for piece in (b"on", b"e", b"two!")]
    deltas = [{"delta": {"audio": piece}} for piece in ({"id": "a1"}, *pieces, {"transcript": "Hi"})]
    text, sound = streamed(*deltas, last={"delta": {"audio": {"expires_at": 9}}}).message.parts
    assert text == TextPart(text="Hi")
    assert isinstance(sound, FilePart)
    assert base64.b64decode(sound.data or "") == b"onetwo!"


def test_a_client_of_the_same_protocol_has_the_bytes_instead() -> None:
    body = {"id": "1", "choices": [{"index": 0, "message": {"content": "Hi", "mood": "good"}}], "citations": ["u"]}
    response = folded(body, whole=True, native=True)
    assert response.message.parts == (TextPart(text="Hi"),)
    assert response.provider_metadata is None
    assert response.native is not None
    body["choices"][0]["message"]["extra_content"] = {"acme": {"fields": ["mood"]}}
    assert json.loads(response.native.data) == body


def test_a_client_of_the_same_protocol_hears_once_whose_field_a_stream_has() -> None:
    parser = AnswerParser(Dialect(), "acme", native=True)
    deltas = [{"content": "Hi", "index": 0}, {"mood": "go"}, {"mood": "od"}, {"note": "x", "tone": None}]
    chunks = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    events = [event for chunk in chunks for event in parser.chunk(json.dumps(chunk).encode())]
    written = [json.loads(event.native.data)["choices"][0]["delta"] for event in events if event.native]
    assert written == [
        {"content": "Hi", "index": 0},
        {"mood": "go", "extra_content": {"acme": {"fields": ["mood"]}}},
        {"mood": "od"},
        {"note": "x", "tone": None, "extra_content": {"acme": {"fields": ["note"]}}},
    ]


def test_what_every_chunk_says_again_is_said_once() -> None:
    deltas = [{"delta": {"content": text, "index": 0, "phase": "final", "seen": ["u"]}} for text in ("H", "i")]
    [_, noted] = streamed(*deltas).message.parts
    assert noted.provider_metadata == {"acme": {"message": {"phase": "final", "seen": ["u"]}}}


def test_sound_and_tiers_are_told_apart_for_the_price() -> None:
    wire = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "prompt_tokens_details": {"audio_tokens": 70, "cached_tokens": 40},
        "completion_tokens_details": {"audio_tokens": 30, "reasoning_tokens": 5},
    }
    details = read_usage(wire, tier="default").details
    assert (details.input_audio_tokens, details.cached_audio_tokens, details.output_audio_tokens) == (70, 10, 30)
    assert details.unpriced is None
    assert read_usage(wire, tier="flex").details.unpriced == "service_tier flex"
    assert read_usage({**wire, "num_sources_used": 3}).details.unpriced == "num_sources_used"


def test_likelihoods_that_are_no_lists_are_passed_over() -> None:
    for told in ({"content": "x"}, "x", {"content": {"token": "Hi"}, "refusal": 1}):
        response = whole({"content": "Hi"}, {"logprobs": told})
        assert response.message.text == "Hi"
        assert response.choices[0].logprobs is None
