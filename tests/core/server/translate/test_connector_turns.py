from __future__ import annotations

import pytest

from orchestrator_core.provider_api import (
    ChatResponse,
    Choice,
    EmbeddingResponse,
    InvalidRequest,
    Message,
    ModelInfo,
    ToolResultPart,
    Usage,
    text_message,
)
from orchestrator_core.server.translate.connector import (
    chat_answer,
    embeddings_answer,
    models_answer,
    openai_body,
)
from orchestrator_core.server.translate.turns import split_turn


def answer(text: str) -> Message:
    return text_message("assistant", text)


def test_a_message_comes_back_without_its_model() -> None:
    response = ChatResponse([Choice(0, answer("a"), "stop")], model="m-1", usage=Usage(1, output_tokens=2))
    body = chat_answer(response, model="m")
    assert body["success"] is True
    assert body["message"] == {"role": "assistant", "content": "a", "refusal": None, "model": "m-1"}
    assert body["usage"]["total_tokens"] == 3
    sent = openai_body({"messages": [body["message"]], "safe_prompt": True})
    assert sent == {"messages": [{"role": "assistant", "content": "a", "refusal": None}], "safe_prompt": True}
    assert body["message"]["model"] == "m-1"


def test_alternatives() -> None:
    body = chat_answer(ChatResponse([Choice(0, answer("a"), "stop"), Choice(1, answer("b"), "length")]), model="m")
    assert [choice["message"]["content"] for choice in body["choices"]] == ["a", "b"]
    assert body["usage"] == {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None}


def test_embeddings_and_models() -> None:
    assert embeddings_answer(EmbeddingResponse([[0.5]], usage=Usage(2)), model="m") == {
        "success": True,
        "embeddings": [[0.5]],
        "model": "m",
        "usage": {"prompt_tokens": 2, "total_tokens": 2},
    }
    listed = models_answer([ModelInfo(id="a", description="A"), ModelInfo(id="b")])["models"]
    assert [(model["id"], model["description"]) for model in listed] == [("a", "A"), ("b", "b")]


def test_the_turn_is_what_follows_the_last_answer() -> None:
    system = text_message("system", "s")
    result = Message(role="tool", parts=(ToolResultPart(tool_call_id="c", content="r"),))
    messages = [system, text_message("user", "old"), answer("a"), result, text_message("user", "x")]
    assert split_turn([*messages, text_message("user", "y"), text_message("system", "t")]) == (
        [system, text_message("system", "t")],
        [result, text_message("user", "x"), text_message("user", "y")],
    )


@pytest.mark.parametrize("messages", [[answer("a")], [text_message("system", "s")]])
def test_a_turn_must_say_something(messages: list[Message]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        split_turn(messages)
    assert caught.value.param == "messages"
