"""The forms of keys, and what may be shown of one."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from orchestrator_core.provider_api import MASK, KeyFormat, KeyVerdict, Secret, check_key, mask_key

CLASSIC = KeyFormat(pattern=r"sk-[A-Za-z0-9_-]{40,250}", description="`sk-` and 40 characters or more", prefix="sk-")
ADMIN = KeyFormat(pattern=r"sk-adm-[A-Za-z0-9]{40}", description="`sk-adm-` and 40 characters", prefix="sk-adm-")
BARE = KeyFormat(pattern=r"[A-Za-z0-9]{32}", description="32 letters and digits")
GOOD = "sk-" + "a1B2" * 10 + "wxyz"


def check(value: str, *formats: KeyFormat, foreign: tuple[str, ...] = ()) -> KeyVerdict:
    return check_key(Secret(value), formats, foreign=foreign)


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        (GOOD, "sk-****wxyz"),
        ("sk-adm-" + "0" * 36 + "cdef", "sk-adm-****cdef"),
        ("other-" + "0" * 36 + "cdef", "****cdef"),
        ("sk-0123456789ab", MASK),
        ("sk-0123456789abc", "sk-****9abc"),
        ("x" * 40 + "\n123", MASK),
    ],
)
def test_masks(value: str, masked: str) -> None:
    assert mask_key(Secret(value), [CLASSIC, ADMIN]) == masked


@pytest.mark.parametrize("value", [GOOD, "sk-" + "a" * 40, "sk-" + "-_" * 125])
def test_a_key_of_the_form_is_valid(value: str) -> None:
    verdict = check(value, CLASSIC)

    assert verdict.valid
    assert verdict.reason is None


@pytest.mark.parametrize("value", ["sk-" + "a" * 39, "sk-" + "a" * 251, "a" + GOOD, GOOD + ".", "pk-" + "a" * 40])
def test_the_whole_key_must_have_the_form(value: str) -> None:
    verdict = check(value, CLASSIC)

    assert (verdict.status, verdict.valid) == ("malformed", False)
    assert verdict.reason == f"expected {CLASSIC.description}"


def test_several_forms_are_all_taken_and_all_named() -> None:
    assert check("0" * 32, CLASSIC, BARE).valid
    assert check("0" * 31, CLASSIC, BARE).reason == f"expected {CLASSIC.description} or {BARE.description}"


@pytest.mark.parametrize("bad", [" ", "\n", "\t", "\x00", "\x7f", '"', "'", "`", "é", "\u200b", "\udcff"])
@pytest.mark.parametrize("formats", [(), (KeyFormat(".*(?s:.)*", "anything"),)])
def test_white_space_quotes_and_what_is_no_ascii_are_always_refused(bad: str, formats: tuple[KeyFormat, ...]) -> None:
    for value in (bad + GOOD, GOOD + bad, GOOD[:10] + bad + GOOD[10:]):
        verdict = check(value, *formats)
        assert verdict.status == "malformed"
        assert GOOD[4:20] not in str(verdict)


@pytest.mark.parametrize(
    "value",
    [
        *("sk-...", "your_openai_key_here", "YOUR-KEY", "changeme", "change-me-please", "xxxxxxxxxxxx", "<your key>"),
        *("placeholder", "example-key", "todo", "None", "null", "test", "dummy123", "sk-put-it_here"),
    ],
)
def test_placeholders(value: str) -> None:
    value = value.replace(" ", "")
    for formats in ((), (CLASSIC,), (BARE,)):
        assert check(value, *formats).status == "placeholder"


def test_a_key_of_the_form_is_no_placeholder_whatever_it_spells() -> None:
    assert check("sk-" + "example" * 10, CLASSIC).valid
    assert check("test" * 8, BARE).valid


def test_another_vendors_mark_is_foreign_even_where_the_form_fits() -> None:
    marked = "sk-" + "a" * 20 + "T3BlbkFJ" + "a" * 20

    assert check(marked, CLASSIC).valid
    assert check(marked, CLASSIC, foreign=("T3BlbkFJ",)).status == "foreign"
    assert check("xai-" + "a" * 80, CLASSIC, foreign=("^xai-",)).status == "foreign"
    assert check("xai-" + "a" * 80, CLASSIC).status == "malformed"


def test_without_forms_any_visible_ascii_is_taken() -> None:
    assert check("anything/at+all=").valid


REASONS = {
    None,
    "it has white space, quotes, control or non-ASCII characters",
    "it is an example that was never replaced",
    f"expected {CLASSIC.description} or {ADMIN.description}",
}
"""None of them is made of the key."""

ANY_KEY = st.text(min_size=1, max_size=80) | st.from_regex(r"(sk-|sk-adm-)?[A-Za-z0-9_-]{1,80}", fullmatch=True)


@given(ANY_KEY)
def test_a_verdict_shows_nothing_but_a_prefix_and_the_last_four(value: str) -> None:
    verdict = check(value, CLASSIC, ADMIN)
    prefix, _, end = verdict.masked.partition(MASK)

    assert prefix in ("", "sk-", "sk-adm-")
    assert value.startswith(prefix)
    assert len(end) in (0, 4)
    assert value.endswith(end)
    assert end == "" or len(value) >= 16


@given(ANY_KEY)
def test_no_five_characters_of_a_key_are_shown_beside_its_prefix(value: str) -> None:
    hidden = value.removeprefix("sk-adm-").removeprefix("sk-")
    assume("*" not in hidden)
    verdict = check(value, CLASSIC, ADMIN)

    assert not any(hidden[start : start + 5] in verdict.masked for start in range(len(hidden) - 4))
    assert verdict.reason in REASONS
