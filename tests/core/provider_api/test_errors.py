"""The closed tree of errors, and how statuses and headers are mapped to it."""

from __future__ import annotations

import re
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_core.provider_api import (
    MAX_MESSAGE,
    ContextTooLong,
    GatewayError,
    ProviderAuthFailed,
    ProviderBadResponse,
    ProviderError,
    ProviderFailed,
    ProviderQuotaExhausted,
    ProviderRateLimited,
    ProviderRedirect,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
    error_for_status,
    errors,
    retry_after_seconds,
)
from orchestrator_core.provider_api.status_errors import MAX_RETRY_AFTER

_LINE = re.compile(r"^    (?P<indent>[|` -]*)(?P<name>[A-Z]\w+) *(?P<rest>.*)$")
_SAID = re.compile(r"(?P<statuses>\d{3}(?:, \d{3})*):? ?(?P<codes>[a-z_]+(?:, [a-z_]+)*)?(?P<note>.*)")


def drawn() -> list[tuple[str, int, str]]:
    """The lines of the tree: name, depth, and what is said beside it."""
    text = (errors.__doc__ or "").split("A provider maps")[0]
    matches = filter(None, map(_LINE.match, text.splitlines()))
    return [(match["name"], len(match["indent"]) // 4, match["rest"]) for match in matches]


def classes(root: type[GatewayError] = GatewayError, depth: int = 0) -> list[tuple[type[GatewayError], int]]:
    """The classes of the module, in the order of their definition within each branch."""
    found = [(root, depth)]
    for kind in root.__subclasses__():
        if kind.__module__ == errors.__name__:
            found += classes(kind, depth + 1)
    return found


def test_the_drawing_has_exactly_the_classes_at_their_places() -> None:
    assert sorted((name, depth) for name, depth, _ in drawn()) == sorted(
        (kind.__name__, depth) for kind, depth in classes()
    )


@pytest.mark.parametrize(("name", "said"), [(name, said) for name, _, said in drawn() if said[:1].isdigit()])
def test_the_drawing_says_statuses_and_codes_as_they_are(name: str, said: str) -> None:
    kind: type[GatewayError] = getattr(errors, name)
    match = _SAID.match(said)

    assert match is not None
    assert str(kind.status) in match["statuses"].split(", ")
    if kind is not ProviderRefused:
        assert kind.code in (match["codes"] or "").split(", ")


def test_the_drawing_says_which_are_retried() -> None:
    said = {name: rest for name, _, rest in drawn()}

    for kind, _ in classes(ProviderUnavailable) + classes(ProviderFailed):
        retried = not said[kind.__name__].endswith("not retried")
        assert kind.retryable is retried
    assert not any(kind.retryable or kind.fallback for kind, _ in classes(errors.RequestError))
    assert all(kind.fallback is not issubclass(kind, ProviderRefused) for kind, _ in classes(ProviderError))


def test_every_class_has_a_code_of_its_own() -> None:
    leaves = [kind for kind, _ in classes() if not kind.__subclasses__()]

    assert len({kind.code for kind in leaves}) == len(leaves)
    assert all(400 <= kind.status < 600 and re.fullmatch(r"[a-z_]+", kind.code) for kind, _ in classes())


@pytest.mark.parametrize(
    ("status", "kind", "shown"),
    [
        (400, ProviderRefused, 400),
        (404, ProviderRefused, 404),
        (409, ProviderRefused, 400),
        (413, ProviderRefused, 413),
        (418, ProviderRefused, 400),
        (422, ProviderRefused, 422),
        (401, ProviderAuthFailed, 502),
        (403, ProviderAuthFailed, 502),
        (402, ProviderQuotaExhausted, 429),
        (408, ProviderTimeout, 504),
        (429, ProviderRateLimited, 429),
        (301, ProviderRedirect, 502),
        (307, ProviderRedirect, 502),
        (500, ProviderFailed, 502),
        (502, ProviderFailed, 502),
        (504, ProviderFailed, 502),
        (503, ProviderUnavailable, 503),
        (529, ProviderUnavailable, 503),
        (101, ProviderBadResponse, 502),
        (999, ProviderFailed, 502),
    ],
)
def test_statuses(status: int, kind: type[ProviderError], shown: int) -> None:
    error = error_for_status(status, "said", param="model", retry_after=2.0, upstream_type="t", upstream_code="c")

    assert type(error) is kind
    assert (error.status, error.upstream_status) == (shown, status)
    assert (error.param, error.retry_after, error.upstream_type, error.upstream_code) == ("model", 2.0, "t", "c")


@pytest.mark.parametrize("status", [301, 401, 402, 403, 408, 500, 502, 503, 504, 529])
def test_messages_that_could_tell_too_much_are_hidden(status: int) -> None:
    assert "secret" not in error_for_status(status, "secret").message


@pytest.mark.parametrize("status", [400, 404, 409, 413, 422, 429])
def test_messages_that_people_need_are_shown_and_cut(status: int) -> None:
    assert error_for_status(status, "Unknown model.").message == "Unknown model."
    assert error_for_status(status, "x" * 5000).message == "x" * MAX_MESSAGE
    assert str(status) in error_for_status(status, "").message


@given(st.integers(-1000, 1000), st.text())
def test_every_status_is_some_error_with_a_message(status: int, message: str) -> None:
    error = error_for_status(status, message)

    assert error.message
    assert 400 <= error.status < 600


def test_an_error_may_refine_its_class_and_leaves_the_class_alone() -> None:
    error = ContextTooLong("too long", status=413, code="other", provider="p")

    assert (error.status, error.code, error.provider, str(error)) == (413, "other", "p", "too long")
    assert (ContextTooLong.status, ContextTooLong.code) == (400, "context_length_exceeded")
    assert RateLimited("slow").retry_after is None


NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": " 2.5 "}, 2.5),
        ({"retry-after": "+4"}, 4.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": formatdate(NOW + 60, usegmt=True)}, 60.0),
        ({"retry-after": formatdate(NOW - 60, usegmt=True)}, 0.0),
        ({"retry-after": formatdate(NOW + 10**7, usegmt=True)}, None),
        ({"retry-after": "86400"}, 86400.0),
        ({"retry-after": "86401"}, None),
        ({"retry-after": "1e9"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "1e999"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after-ms": "-1", "retry-after": "9"}, 9.0),
        ({"retry-after-ms": "inf"}, None),
        ({"retry-after-ms": ""}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_seconds(headers, NOW) == seconds


HEADER = (
    st.text()
    | st.floats().map(str)
    | st.integers().map(str)
    | st.from_regex(r"[A-Z][a-z]{2}, \d{1,3} [A-Z][a-z]{2} \d{1,5} \d\d:\d\d:\d\d( GMT| [+-]\d{4})?", fullmatch=True)
)


@given(st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms"]), HEADER), st.floats(0, 1e12))
def test_retry_after_never_raises_and_is_never_absurd(headers: dict[str, str], now: Any) -> None:
    seconds = retry_after_seconds(headers, now)

    assert seconds is None or 0 <= seconds <= MAX_RETRY_AFTER


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0])
def test_what_is_no_time_to_wait_is_none(seconds: float) -> None:
    assert ProviderRateLimited("slow down", retry_after=seconds).retry_after is None


@pytest.mark.parametrize("status", [0, 200, 302, 700])
def test_an_error_has_the_status_of_an_error(status: int) -> None:
    assert ProviderError("odd", status=status).status == ProviderError.status
