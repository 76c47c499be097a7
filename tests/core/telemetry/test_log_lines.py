"""What log lines look like, and that no secret is in them."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
import structlog

from canary.leaks import find_leaks
from orchestrator_core.config import Settings, load
from orchestrator_core.provider_api import Secret
from orchestrator_core.telemetry.logging import assembled, configure
from orchestrator_core.telemetry.redaction import REDACTOR
from orchestrator_core.telemetry.request_record import RequestRecord

KEY = "sk-canary-0123456789abcdef"
FORMATS = ["console", "json"]


@dataclass
class Holder:
    """Shows its content, as a careless class does."""

    content: Any


class Level(StrEnum):
    """A word of a closed list."""

    HIGH = "high"


class NestedError(Exception):
    """An error with a cause."""


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, shown = list(root.handlers), root.level, warnings.showwarning
    yield
    logging.captureWarnings(False)
    warnings.showwarning = shown
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def start(form: str, level: str = "DEBUG") -> io.StringIO:
    output = io.StringIO()
    configure(Settings.model_validate({"log_format": form, "log_level": level}), output)
    return output


def fail(value: str) -> None:
    secret_local = value
    try:
        raise ValueError(secret_local)
    except ValueError as error:
        raise NestedError({"nested": secret_local}) from error


def in_exception(log: Callable[..., None], value: str) -> None:
    try:
        fail(value)
    except NestedError:
        log("failed", exc_info=True)


def in_a_task(value: str) -> None:
    loop = asyncio.new_event_loop()
    loop.call_exception_handler({"message": f"failed with {value}", "exception": ValueError(value), "context": value})
    loop.close()


def in_a_warning(value: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"beware of {value}", UserWarning, stacklevel=1)


def in_a_group(value: str) -> None:
    try:
        raise ExceptionGroup(value, [ValueError(value), KeyError(value)])
    except ExceptionGroup:
        logging.getLogger("x").exception("failed")


def with_stack(value: str) -> None:
    logging.getLogger("x").error("%s", value, stack_info=True)


def with_note(value: str) -> None:
    error = ValueError("noted")
    error.add_note(f"the key was {value}")
    logging.getLogger("x").error("failed", exc_info=error)


std = logging.getLogger("third.party")
own = structlog.get_logger("orchestrator_core.test")

POSITIONS: dict[str, Callable[[str], Any]] = {
    "message": lambda value: std.error(f"key {value}"),
    "argument": lambda value: std.error("key %s", value),
    "argument as repr": lambda value: std.error("key %r", [value]),
    "argument as mapping": lambda value: std.error("key %(key)s", {"key": value}),
    "extra": lambda value: std.error("x", extra={"credential": value, "nested": {"a": [value]}}),
    "exception": lambda value: in_exception(std.error, value),
    "structlog exception": lambda value: in_exception(own.error, value),
    "exception group": in_a_group,
    "note of an exception": with_note,
    "stack": with_stack,
    "event": lambda value: own.error(f"key {value}"),
    "value": lambda value: own.error("x", credential=value),
    "key of a mapping": lambda value: own.error("x", found={value: 1}),
    "nested": lambda value: own.error("x", found={"a": [{"b": (value, {value})}]}),
    "nested very deeply": lambda value: own.error("x", found=[[[[[[[[[[value]]]]]]]]]]),
    "bytes": lambda value: own.error("x", body=value.encode()),
    "bytes in a list": lambda value: own.error("x", body=[value.encode()]),
    "header": lambda value: own.error("x", headers={"authorization": f"Bearer {value}"}),
    "repr of a dataclass": lambda value: own.error("x", holder=Holder(value)),
    "repr of a dataclass with bytes": lambda value: std.error("%s", Holder([value.encode()])),
    "exception as a value": lambda value: own.error("x", error=ValueError(value)),
    "URL": lambda value: own.error("x", url=f"https://x.example/?key={value}&a=b"),
    "JSON in text": lambda value: own.error("x", body=json.dumps({"key": value})),
    "asyncio": in_a_task,
    "warning": in_a_warning,
    "bound": lambda value: own.bind(credential=value).error("x"),
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("position", POSITIONS)
def test_a_secret_shows_in_no_position_and_the_search_would_find_it(position: str, form: str) -> None:
    unregistered = "sk-unregistered-0123456789"
    output = start(form)
    REDACTOR.add(Secret(KEY))
    POSITIONS[position](KEY)
    assert output.getvalue().strip(), "nothing was logged"
    assert find_leaks(output.getvalue(), [KEY]) == []
    POSITIONS[position](unregistered)
    assert find_leaks(output.getvalue(), [unregistered]), "the test cannot see this position"


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("position", ["message", "argument", "extra", "exception", "value", "nested", "JSON in text"])
def test_a_client_key_that_json_escapes_is_masked_too(position: str, form: str, tmp_path: Path) -> None:
    key = "canary\\of/a+client-0123"
    output = start(form)
    load({"ORCHESTRATOR_CLIENT_KEY": key}, tmp_path)
    POSITIONS[position](key)
    assert output.getvalue()
    assert "canary" not in output.getvalue()


@pytest.mark.parametrize("form", FORMATS)
def test_a_secret_object_shows_nothing_even_when_it_is_not_registered(form: str) -> None:
    output = start(form)
    own.error("x", credential=Secret(KEY), nested=[Secret(KEY)], holder=Holder(Secret(KEY)))
    std.error("%s %r", Secret(KEY), Secret(KEY))
    assert output.getvalue()
    assert find_leaks(output.getvalue(), [KEY]) == []


@pytest.mark.parametrize("form", FORMATS)
def test_a_callers_key_is_masked_while_its_request_lives(form: str) -> None:
    output = start(form)
    with REDACTOR.hold(Secret(KEY)):
        std.error("key %s", KEY)
    assert find_leaks(output.getvalue(), [KEY]) == []


@pytest.mark.parametrize("form", FORMATS)
def test_a_line_that_cannot_be_formatted_is_reported_without_its_arguments(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output = start(form)
    std.error("%d", KEY)
    assert "a line of third.party at test_log_lines.py" in output.getvalue()
    assert find_leaks(output.getvalue() + capsys.readouterr().err, [KEY]) == []


def test_a_reader_that_left_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    configure(Settings(), Gone())
    std.error("key %s", KEY)
    assert capsys.readouterr().err == ""


def test_json_lines_have_the_same_fields_whoever_logs() -> None:
    output = start("json")
    with RequestRecord(0.0, "req_1"):
        own.warning("own", provider="openai")
        std.warning("other", extra={"provider": "openai"})
    first, second = (json.loads(line) for line in output.getvalue().splitlines())
    assert set(first) == set(second) == {"event", "level", "logger", "timestamp", "request_id", "provider"}
    assert (first["level"], first["logger"], first["request_id"]) == ("WARNING", "orchestrator_core.test", "req_1")
    assert (second["event"], second["logger"]) == ("other", "third.party")
    assert first["timestamp"].endswith("Z")


def test_a_json_line_names_what_is_said_before_whose_line_it_is() -> None:
    output = start("json")
    with RequestRecord(0.0, "req_1"):
        own.info("said", zeta=1, alpha=None)
    line = output.getvalue()
    moment = json.loads(line)["timestamp"]
    assert datetime.fromisoformat(moment).utcoffset() == timedelta()
    assert line == (
        '{"zeta":1,"alpha":null,"event":"said","logger":"orchestrator_core.test","level":"INFO",'
        f'"request_id":"req_1","timestamp":"{moment}"}}\n'
    )


@dataclass
class Quiet:
    """Shows a part of its content alone."""

    shown: int
    hidden: str = field(default="not for logs", repr=False)


def in_itself() -> dict[str, Any]:
    found: dict[str, Any] = {}
    found["found"] = found
    return found


@pytest.mark.parametrize("wide", ["plain", "\xe9", "\udcff"])
@pytest.mark.parametrize(
    ("value", "written"),
    [
        (datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01 00:00:00+00:00"),
        (timedelta(seconds=1.5), "0:00:01.500000"),
        (Path("a/b"), "a/b"),
        (Quiet(1), "Quiet(shown=1)"),
        ([Quiet(1)], ["Quiet(shown=1)"]),
        ({1}, [1]),
        ((1, "b"), [1, "b"]),
        (b"a", "b'a'"),
        (b"\xff", "b'\\xff'"),
        (ValueError("no"), "no"),
        ({(1, 2): 3, 4: None, "\xe9": True}, {"(1, 2)": 3, "4": None, "\xe9": True}),
        ([[[[[[[1]]]]]]], [[[[[["[1]"]]]]]]),
        (float("inf"), float("inf")),
        (Level.HIGH, "high"),
    ],
)
def test_json_lines_write_a_value_the_same_way_whatever_stands_beside_it(value: Any, written: Any, wide: str) -> None:
    output = start("json")
    own.warning("said", value=value, wide=wide)
    std.warning("said", extra={"value": value, "wide": wide})
    assert [json.loads(line)["value"] for line in output.getvalue().splitlines()] == [written] * 2


@pytest.mark.parametrize("form", FORMATS)
def test_what_holds_itself_is_logged(form: str) -> None:
    output = start(form)
    own.warning("said", value=in_itself())
    std.warning("said", extra={"value": {(1, 2): in_itself()}})
    assert output.getvalue().count("said") == 2
    assert output.getvalue().count("{...}") == 2


def test_json_takes_one_line_whatever_is_logged() -> None:
    output = start("json")
    own.error("two\nlines", value="\r\n\x00\x1b[31m", exc_info=ValueError("a\nb"))
    (line,) = output.getvalue().splitlines()
    assert json.loads(line)["event"] == "two\nlines"


@pytest.mark.parametrize("form", FORMATS)
def test_what_a_client_sent_cannot_pass_for_a_line_of_the_log(form: str) -> None:
    output = start(form)
    own.warning("a\nb\x1b[31m", path="c\r\nd\x1b[31m", found=["e\nf"])
    std.warning("a\nb %s", "c\nd")
    assert len(output.getvalue().splitlines()) == 2
    assert "\x1b" not in output.getvalue()


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"])
@pytest.mark.parametrize("form", FORMATS)
def test_levels_are_written_in_upper_case(form: str, level: str) -> None:
    output = start(form)
    getattr(own, level.lower())("hello")
    getattr(std, level.lower())("hello")
    assert all(level in line for line in output.getvalue().splitlines())
    assert len(output.getvalue().splitlines()) == 2


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_below_the_level_is_left_out(form: str) -> None:
    output = start(form, "ERROR")
    own.warning("no")
    std.warning("no")
    own.error("yes")
    std.error("yes")
    assert len(output.getvalue().splitlines()) == 2


def test_a_request_id_ends_with_its_request() -> None:
    output = start("json")
    with RequestRecord(0.0, "req_1"), RequestRecord(0.0, "req_2"):
        own.info("inner")
    own.info("outer")
    inner, outer = (json.loads(line) for line in output.getvalue().splitlines())
    assert inner["request_id"] == "req_2"
    assert "request_id" not in outer


async def test_tasks_of_a_request_have_its_id() -> None:
    output = start("json")

    async def work(name: str) -> None:
        with RequestRecord(0.0, name):
            await asyncio.gather(*(asyncio.create_task(say(name)) for _ in range(3)))

    async def say(name: str) -> None:
        await asyncio.sleep(0)
        own.info(name)

    await asyncio.gather(work("req_1"), work("req_2"))
    lines = [json.loads(line) for line in output.getvalue().splitlines()]
    assert len(lines) == 6
    assert all(line["request_id"] == line["event"] for line in lines)


@pytest.mark.parametrize(("environment", "is_json"), [("development", False), ("staging", True), ("production", True)])
def test_the_form_follows_the_environment(environment: str, is_json: bool) -> None:
    output = io.StringIO()
    configure(Settings.model_validate({"environment": environment}), output)
    own.info("hello")
    assert output.getvalue().startswith("{") == is_json


def test_a_second_configuration_replaces_the_first() -> None:
    first, second = start("json"), start("json")
    own.info("hello")
    std.info("hello")
    assert first.getvalue() == ""
    assert len(second.getvalue().splitlines()) == 2


def test_lines_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Settings())
    own.info("hello")
    assert "hello" in capsys.readouterr().err


@pytest.mark.parametrize("key", ['quoted"key"with-quotes', "back\\slash\\key-12345", "schlüssel-für-alles"])
def test_json_lines_mask_a_secret_as_it_is_spelt_there(key: str) -> None:
    secret = Secret(key)
    output = start("json")
    with REDACTOR.hold(secret):
        own.warning("said", path=f"/v1/{key}", nested={"list": [f"{key}!", {key: 1}]}, wide="é")
    line = output.getvalue()
    assert json.loads(line)["path"] == "/v1/****"
    assert key not in line
    assert json.dumps(key)[1:-1] not in line


def test_an_assembled_logger_writes_what_any_does_and_where_it_was_set_up_last() -> None:
    first = start("json")
    assembled("one").info("Before", number=1)
    second = start("json", "WARNING")
    assembled("one").info("Not shown")
    assembled("one").warning("After", number=2)
    structlog.get_logger("one").warning("After", number=2)
    (before,) = [json.loads(line) for line in first.getvalue().splitlines()]
    assert (before["event"], before["logger"], before["level"], before["number"]) == ("Before", "one", "INFO", 1)
    after, usual = [json.loads(line) for line in second.getvalue().splitlines()]
    assert after | {"timestamp": ""} == usual | {"timestamp": ""}
