"""What both ends of the benchmark share: complete HTTP/1.1 messages out of bytes, as cheaply as Python can.

Both ends are of this project, so that no more of the protocol is read than they use: bodies with a length, and chunked
ones whose last chunk has no trailers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_LAST_CHUNK = b"0\r\n\r\n"
_ENDS = (b"[DONE]", b"event: done")
"""What the last event of a whole stream has: OpenAI's, and that of a turn."""
_TAIL = 10

FIRST_WORD = b"Zebras"
"""With it the text of every stream begins; no other text has it."""


@dataclass(slots=True)
class Head:
    """The beginning of a message.

    Attributes:
        start: Its first line.
        length: Bytes of its body; None where it is chunked.
    """

    start: bytes
    length: int | None


class MessageReader:
    """Finds where a message ends. A chunked body is not kept: only its end and its beginning are looked for.

    Attributes:
        head: The head, once it has come.
        body: The body of a message with a length, once it is whole.
        events: How many server-sent events with data have come.
        spoken: Whether the first word of a stream has come.
        finished: Whether a chunked body has said that it is whole.
    """

    __slots__ = ("_buffer", "_tail", "body", "events", "finished", "head", "spoken")

    def __init__(self) -> None:
        self._buffer = b""
        self.reset()

    def reset(self) -> None:
        """Expect the next message."""
        self.head: Head | None = None
        self.body = b""
        self.events = 0
        self.spoken = self.finished = False
        self._tail = b""

    def feed(self, data: bytes) -> bool:
        """Take bytes and return whether the message is complete; what follows it is kept for the next one."""
        if self.head is None:
            self._buffer += data
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return False
            raw, data = self._buffer[:end], self._buffer[end + 4 :]
            self._buffer = b""
            found = _LENGTH.search(raw)
            length = int(found.group(1)) if found else None if _CHUNKED.search(raw) else 0
            self.head = Head(raw.partition(b"\r\n")[0], length)
        if self.head.length is None:
            # A mark that is cut by the end of the bytes is seen with the next ones; it is counted once.
            seen = self._tail + data
            self.events += seen.count(b"data: ") - self._tail.count(b"data: ")
            self.spoken = self.spoken or FIRST_WORD in seen
            self.finished = self.finished or any(end in seen for end in _ENDS)
            self._tail = seen[-_TAIL:]
            return self._tail.endswith(_LAST_CHUNK)
        self._buffer += data
        if len(self._buffer) < self.head.length:
            return False
        self.body, self._buffer = self._buffer[: self.head.length], self._buffer[self.head.length :]
        return True
