from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.gateway.wire import FIRST_WORD, MessageReader

PLAIN = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
STREAM = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'12\r\ndata: {"x": ""}\n\n\r\n14\r\ndata: {"x": "' + FIRST_WORD + b'"}\n\n\r\ne\r\ndata: [DONE]\n\n\r\n0\r\n\r\n'
)


@given(cuts=st.sets(st.integers(1, len(STREAM) - 1)))
def test_a_stream_is_read_the_same_however_it_is_cut(cuts: set[int]) -> None:
    reader = MessageReader()
    places = [0, *sorted(cuts), len(STREAM)]
    ends = [reader.feed(STREAM[one:other]) for one, other in pairwise(places)]
    assert ends == [False] * len(cuts) + [True]
    assert (reader.events, reader.spoken, reader.finished) == (3, True, True)


@given(cut=st.integers(1, len(STREAM)))
def test_the_last_event_of_a_turn_ends_a_stream_too(cut: int) -> None:
    stream = STREAM.replace(b"e\r\ndata: [DONE]\n\n", b"16\r\nevent: done\ndata: {}\n\n")
    reader = MessageReader()
    assert not reader.feed(stream[:cut])
    assert reader.feed(stream[cut:])
    assert (reader.events, reader.spoken, reader.finished) == (3, True, True)


@pytest.mark.parametrize("left_out", [FIRST_WORD, b"[DONE]"])
def test_what_a_stream_does_not_say_is_not_found(left_out: bytes) -> None:
    reader = MessageReader()
    assert reader.feed(STREAM.replace(left_out, b"another"))
    assert (reader.spoken, reader.finished) == (left_out != FIRST_WORD, left_out != b"[DONE]")


@given(cut=st.integers(1, 2 * len(PLAIN) - 1))
def test_messages_with_a_length_are_told_apart(cut: int) -> None:
    reader = MessageReader()
    bodies = []
    for part in ((PLAIN + PLAIN)[:cut], (PLAIN + PLAIN)[cut:]):
        whole = reader.feed(part)
        while whole:
            bodies.append(reader.body)
            reader.reset()
            whole = reader.feed(b"")
    assert bodies == [b"hello", b"hello"]
