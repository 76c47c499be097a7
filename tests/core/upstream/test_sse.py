from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator_core.provider_api import AnswerTooLarge, ProviderBadResponse, ServerSentEvent
from orchestrator_core.upstream.sse import EventParser

LIMIT = 10_000


def parse(*chunks: bytes, limit: int = LIMIT) -> list[ServerSentEvent]:
    parser = EventParser(limit)
    return [event for chunk in chunks for event in parser.feed(chunk)]


def event(data: bytes, name: str | None = None) -> ServerSentEvent:
    return ServerSentEvent(data, name)


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        pytest.param(b'data: {"a": 1}\n\n', [event(b'{"a": 1}')], id="one"),
        pytest.param(b"data: a\n\ndata: b\n\n", [event(b"a"), event(b"b")], id="two"),
        pytest.param(b"data:a\n\n", [event(b"a")], id="no space"),
        pytest.param(b"data:  a \n\n", [event(b" a ")], id="one space is removed, no more"),
        pytest.param(b"data: a\r\n\r\ndata: b\r\n\r\n", [event(b"a"), event(b"b")], id="CRLF"),
        pytest.param(b"data: a\r\rdata: b\r\r", [event(b"a"), event(b"b")], id="CR"),
        pytest.param(b"data: a\ndata: b\r\ndata:c\r\n\n", [event(b"a\nb\nc")], id="lines of one event, ends mixed"),
        pytest.param(b": ping\n\ndata: a\n: ping\n\n", [event(b"a")], id="comments"),
        pytest.param(b"\xef\xbb\xbfdata: a\n\n", [event(b"a")], id="byte order mark"),
        pytest.param(b"data: \xef\xbb\xbf\n\n", [event(b"\xef\xbb\xbf")], id="byte order mark in data stays"),
        pytest.param(b"event: ping\ndata: {}\n\ndata: a\n\n", [event(b"{}", "ping"), event(b"a")], id="name"),
        pytest.param(b"event: \xc3\xa9\ndata: {}\n\n", [event(b"{}", "é")], id="name that is not ASCII"),
        pytest.param(b"event: ping\n\ndata: a\n\n", [event(b"a")], id="name without data"),
        pytest.param(b"event\ndata: a\n\n", [event(b"a")], id="empty name"),
        pytest.param(b"id: 1\nretry: 5\nfoo: bar\nlone\ndata: a\n\n", [event(b"a")], id="other fields"),
        pytest.param(b"data\n\ndata:\n\n", [event(b""), event(b"")], id="empty data"),
        pytest.param(b"data\ndata\n\n", [event(b"\n")], id="two empty lines of data"),
        pytest.param(b"\n\n\ndata: a\n\n\n\n\ndata: b\n\n", [event(b"a"), event(b"b")], id="blank lines"),
        pytest.param(b"data: a\n\ndata: b\n", [event(b"a")], id="no blank line at the end"),
        pytest.param(b" data: a\n\n", [], id="a space before the field makes it unknown"),
        pytest.param(b"Data: a\n\n", [], id="names of fields are case sensitive"),
        pytest.param(b"data: a:b\n\n", [event(b"a:b")], id="further colons belong to the value"),
        pytest.param(b"", [], id="nothing"),
    ],
)
def test_reads_what_the_standard_says(stream: bytes, expected: list[ServerSentEvent]) -> None:
    assert parse(stream) == expected
    assert parse(*(bytes([byte]) for byte in stream)) == expected


LINE = st.sampled_from(
    [
        b"data: one",
        b"data:\xe4\xb8\x96\xf0\x9f\x98\x80",
        b"data",
        b"event: ping",
        b": comment",
        b":",
        b"id: 3",
        b"x: y",
        b"",
    ]
)
END = st.sampled_from([b"\n", b"\r", b"\r\n"])
STREAM = st.builds(
    lambda bom, lines: bom + b"".join(part for line in lines for part in line),
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
    st.lists(st.tuples(LINE, END), max_size=30),
)


@given(STREAM, st.lists(st.integers(0, 400), max_size=30))
@example(b"data: a\r\n\r\ndata: b\r\n\r\n", [8, 9, 10, 11])
@example(b"\xef\xbb\xbfdata: a\n\n", [1, 2])
def test_any_chunking_gives_the_same_events(stream: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    assert parse(*(stream[start:end] for start, end in pairwise(places))) == parse(stream)


@given(STREAM)
def test_agrees_with_a_reader_that_follows_the_standard_line_by_line(stream: bytes) -> None:
    assert parse(stream) == by_the_book(stream)


def by_the_book(stream: bytes) -> list[ServerSentEvent]:
    """WHATWG HTML 9.2.6, as plainly as it can be written."""
    text = stream.decode().removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    events, data, name = [], "", ""
    for line in text.split("\n")[:-1]:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if line == "":
            if data:
                events.append(event(data[:-1].encode(), name or None))
            data, name = "", ""
        elif field == "data":
            data += value + "\n"
        elif field == "event":
            name = value
    return events


@pytest.mark.parametrize("name", [b"data: ok\n", b""])
def test_what_is_no_utf8_is_refused(name: bytes) -> None:
    with pytest.raises(ProviderBadResponse, match="not UTF-8"):
        parse(name + b"data: \xe9\n\n")
    with pytest.raises(ProviderBadResponse, match="not UTF-8"):
        parse(b"event: \xe9\ndata: a\n\n")


def test_an_event_up_to_the_limit_is_read_and_a_larger_one_refused() -> None:
    largest = b"data: " + b"x" * (LIMIT - 6) + b"\n\n"
    assert len(parse(largest * 3)) == 3
    assert len(parse(largest[:5000], largest[5000:])) == 1
    with pytest.raises(AnswerTooLarge, match="10000 bytes"):
        parse(largest + b"data: x" + largest)


@pytest.mark.parametrize("endless", [b"data: x", b"data: x\n", b": comment without an end", b"event: x\r"])
def test_an_event_without_an_end_is_refused_before_it_fills_the_memory(endless: bytes) -> None:
    parser = EventParser(LIMIT)
    for _ in range(LIMIT // len(endless) - 1):
        parser.feed(endless)
    with pytest.raises(AnswerTooLarge):
        parser.feed(endless * 3)


def test_comments_without_blank_lines_may_go_on_for_ever() -> None:
    parser = EventParser(LIMIT)
    for _ in range(LIMIT):
        assert parser.feed(b": ping\n") == []
    assert parser.feed(b"data: a\n\n") == [event(b"a")]


@pytest.mark.parametrize(
    ("chunk", "counts"),
    [(b"data: a\n\n", True), (b": ping\n\n", True), (b": ping\n", True), (b": pi", False), (b"data: a\n", False)],
)
def test_events_and_comments_are_progress_and_parts_are_not(chunk: bytes, counts: bool) -> None:
    for before in (b"", b"data: before\n\n", b"data: before\n\n\n"):
        parser = EventParser(LIMIT)
        parser.feed(before)
        progress = parser.progress
        parser.feed(chunk)
        assert (parser.progress > progress) is counts


def test_a_large_event_in_small_pieces_costs_linear_time() -> None:
    parser = EventParser(4 << 20)
    parser.feed(b"data: ")
    for _ in range(40_000):
        parser.feed(b"x" * 50)
    assert len(parser.feed(b"\n\n")[0].data) == 2_000_000
