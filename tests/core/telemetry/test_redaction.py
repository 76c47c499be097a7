"""Masking by exact value."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.leaks import find_leaks
from orchestrator_core.provider_api import MASK, Secret
from orchestrator_core.security.client_keys import make_key
from orchestrator_core.telemetry.redaction import MAX_DEPTH, REDACTOR, Redactor, redact_value

KEY = "sk-canary-0123456789abcdef"

keys = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="*\"'`"), min_size=8, max_size=80
)


@given(key=keys, before=st.text(), after=st.text())
def test_a_key_is_masked_wherever_it_stands(key: str, before: str, after: str) -> None:
    redactor = Redactor()
    redactor.add(Secret(key))
    assert key not in redactor.redact(before + key + after + key)
    data = f"{before}{key}{after}".encode(errors="replace")
    assert key.encode() not in redactor.redact_bytes(data)


@given(key=keys, text=st.text(st.characters(exclude_categories=["Cs"])))
def test_other_text_stays_as_it_is(key: str, text: str) -> None:
    redactor = Redactor()
    redactor.add(Secret(key))
    if key not in text:
        assert redactor.redact(text) == text
        assert redactor.redact_bytes(text.encode()) == text.encode()


@pytest.mark.parametrize("short", ["a", "ollama", "1234567", "a b", "\udcff"])
def test_a_short_value_is_no_secret_so_that_a_caller_cannot_blank_the_log(short: str) -> None:
    redactor = Redactor()
    redactor.add(Secret(short))
    with redactor.hold(Secret(short)):
        assert redactor.redact(f"the {short} text") == f"the {short} text"


def test_a_callers_key_is_masked_while_any_request_holds_it() -> None:
    redactor = Redactor()
    with redactor.hold(Secret(KEY)):
        with redactor.hold(Secret(KEY)):
            assert redactor.redact(KEY) == MASK
        assert redactor.redact(KEY) == MASK
    assert redactor.redact(KEY) == KEY


def test_a_key_that_is_kept_stays_masked_after_a_caller_held_it() -> None:
    redactor = Redactor()
    redactor.add(Secret(KEY))
    with redactor.hold(Secret(KEY)):
        pass
    assert redactor.redact(KEY) == MASK


def test_a_hold_ends_with_an_error_too() -> None:
    redactor = Redactor()
    with pytest.raises(KeyError), redactor.hold(Secret(KEY)):
        raise KeyError
    assert redactor.redact(KEY) == KEY


def test_structures_are_followed() -> None:
    REDACTOR.add(Secret(KEY))
    value = {
        "a": [KEY, (KEY, {KEY})],
        KEY: KEY.encode(),
        KEY.encode(): 1,
        (KEY, 1): 2,
        Secret(KEY): 3,
        "n": 1,
        "b": bytearray(KEY.encode()),
        "none": None,
    }
    shown = repr(redact_value(value))
    assert find_leaks(shown, [KEY]) == []
    assert "'n': 1" in shown


def test_what_lies_too_deep_ends_without_an_error() -> None:
    REDACTOR.add(Secret(KEY))
    circle: list[object] = [KEY]
    circle.append(circle)
    assert redact_value(circle)[0] == MASK
    assert MAX_DEPTH > 3


def test_the_search_for_leaks_finds_every_form() -> None:
    value = 'sk-"quoted"\\canary/0001'
    forms = [value, json.dumps(value), repr(value), "sk-%22quoted%22%5Ccanary%2F0001"]
    for form in [*forms, base64.b64encode(value.encode()).decode()]:
        assert find_leaks(f"before {form} after", [value])
    assert find_leaks("nothing of it", [value]) == []


@pytest.mark.parametrize("text", ["{}", "Bearer {}", '{{"key": "{}"}}', "{}{}", "a{}b"])
def test_the_gateways_own_keys_are_masked_by_their_form(text: str) -> None:
    key = make_key()
    redacted = Redactor().redact(text.format(key.text, key.text))
    secret = key.text.rpartition("_")[2]
    assert secret not in redacted
    assert f"ock_{key.id}_{MASK}" in redacted, "whose key it is may be known"
    assert Redactor().redact_bytes(text.format(key.text, key.text).encode()) == redacted.encode()
    for other in ("ock_", "block_chain", "ock_abc_def", f"ock_{key.id}"):
        assert Redactor().redact(other) == other
