"""No way but `reveal` leads to the value of a secret."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import pickle
import traceback
from collections.abc import Callable
from typing import Any

import pydantic_core
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from orchestrator_core.provider_api import MASK, ChatRequest, Deadline, KeyRequest, Secret

VALUE = "sk-canary-0123456789abcdef"


class Holder(BaseModel):
    key: Secret
    number: int = 0


class Plain(BaseModel):
    key: str


SHOWN: list[Callable[[Secret], str]] = [
    repr,
    str,
    lambda secret: f"{secret}{secret!r}{secret!s}{secret:>40}",
    lambda secret: "{} {!r} {:^60}".format(secret, secret, secret),  # noqa: UP032 - the method is what is tested
    lambda secret: "%s %r" % (secret, secret),  # noqa: UP031 - the operator is what is tested
    lambda secret: repr([secret, {"key": secret}]),
    lambda secret: repr(Holder(key=secret)),
    lambda secret: repr(KeyRequest(credential=secret)),
    lambda secret: repr(ChatRequest(model="m", messages=(), deadline=Deadline.after(1), credential=secret)),
]

REFUSED: list[Callable[[Secret], Any]] = [
    copy.copy,
    copy.deepcopy,
    pickle.dumps,
    json.dumps,
    pydantic_core.to_json,
    pydantic_core.to_jsonable_python,
    lambda secret: dataclasses.asdict(KeyRequest(credential=secret)),
    lambda secret: Holder(key=secret).model_dump(mode="json"),
    lambda secret: Holder(key=secret).model_dump_json(),
    lambda secret: TypeAdapter(Secret).dump_json(secret),
    iter,
    len,
    bytes,
    vars,
]


@pytest.mark.parametrize("show", SHOWN)
def test_what_is_shown_is_the_mask(show: Callable[[Secret], str]) -> None:
    shown = show(Secret(VALUE))

    assert VALUE not in shown
    assert MASK in shown


@pytest.mark.parametrize("serialise", REFUSED)
def test_it_refuses_to_be_copied_and_serialised(serialise: Callable[[Secret], Any]) -> None:
    with pytest.raises((TypeError, pydantic_core.PydanticSerializationError)) as raised:
        serialise(Secret(VALUE))

    assert VALUE not in "".join(traceback.format_exception(raised.value))


def test_a_validation_error_beside_it_shows_nothing() -> None:
    with pytest.raises(ValidationError) as wrong_neighbour:
        Holder.model_validate({"key": Secret(VALUE), "number": "many"})
    with pytest.raises(ValidationError) as wrong_type:
        Plain.model_validate({"key": Secret(VALUE)})

    for raised in (wrong_neighbour, wrong_type):
        assert VALUE not in str(raised.value)
        assert VALUE not in repr(raised.value.errors())
        assert VALUE not in str(raised.value.errors(include_input=False))


def test_a_model_takes_no_plain_text_for_a_secret() -> None:
    with pytest.raises(ValidationError):
        Holder.model_validate({"key": "plain"})


def test_it_is_never_empty() -> None:
    with pytest.raises(ValueError, match="empty"):
        Secret("")


def test_equal_values_are_equal_and_nothing_else_is() -> None:
    assert Secret(VALUE) == Secret(VALUE)
    assert len({Secret(VALUE), Secret(VALUE), Secret("other")}) == 2
    assert Secret(VALUE) != VALUE


@given(st.text(), st.text(min_size=1).filter(lambda text: text not in MASK), st.text())
def test_it_masks_itself_wherever_it_stands(before: str, value: str, after: str) -> None:
    text = f"{before}{value}{after}"

    masked = Secret(value).redact(text)

    assert MASK in masked
    assert masked == text.replace(value, MASK)


@given(st.binary(), st.text(st.characters(codec="utf-8"), min_size=1), st.binary())
def test_it_masks_itself_in_bytes(before: bytes, value: str, after: bytes) -> None:
    assert MASK.encode() in Secret(value).redact_bytes(before + value.encode() + after)
    assert Secret("absent-value").redact_bytes(b"text") == b"text"


def test_bytes_of_the_environment_that_are_no_utf8_are_compared_and_redacted() -> None:
    secret = Secret(os.fsdecode(b"key-\xff-canary"))

    assert secret == Secret(os.fsdecode(b"key-\xff-canary"))
    assert secret != Secret("key")
    assert secret.redact_bytes(b"a key-\xff-canary b") == b"a " + MASK.encode() + b" b"


@pytest.mark.parametrize(
    "written",
    ["Qw9+Er7/x=", r"Qw9+Er7\/x=", r"Qw9\u002BEr7/x\u003D", r"Qw9\u002bEr7\u002Fx\u003d", r"Qw9\u002BEr7\/x="],
)
def test_a_credential_is_masked_however_json_writes_it(written: str) -> None:
    data = b'{"said": "' + written.encode() + b'", "other": "a\\u002Bb\\/c"}'

    assert Secret("Qw9+Er7/x=").redact_bytes(data) == b'{"said": "****", "other": "a\\u002Bb\\/c"}'
