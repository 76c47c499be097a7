from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator_core.provider_api import ChatRequest, Deadline, EmbeddingRequest, Secret, text_message

REQUESTS = [
    ChatRequest(model="a", messages=[text_message("user", "x")], deadline=Deadline.after(5), seed=7, extra={"k": 1}),
    EmbeddingRequest(model="a", input=["x"], deadline=Deadline.after(5), dimensions=7),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda each: type(each).__name__)
def test_a_request_to_another_model_is_the_same_in_all_else(request_: ChatRequest | EmbeddingRequest) -> None:
    key = Secret("sk-other")
    other = request_.addressed(model="b", credential=key)
    assert other == replace(request_, model="b", credential=key)
    assert (request_.model, request_.credential) == ("a", None)


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda each: type(each).__name__)
def test_a_misspelt_field_is_not_taken(request_: ChatRequest | EmbeddingRequest) -> None:
    with pytest.raises(TypeError, match="modle"):
        request_.addressed(modle="b", credential=None)  # type: ignore[call-arg]
