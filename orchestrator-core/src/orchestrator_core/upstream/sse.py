"""Server-sent events, read as they come (WHATWG HTML, 9.2.6 "Interpreting an event stream")."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator_core.provider_api import AnswerTooLarge, ProviderBadResponse, ServerSentEvent

_BOM = b"\xef\xbb\xbf"
_LINE_FEED, _CARRIAGE_RETURN = ord("\n"), ord("\r")
"""As numbers, which `in` finds in bytes several times sooner than bytes."""
_SKIPPED = b":\n"


class EventParser:
    """Turns the bytes of an event stream into events, wherever the bytes are cut.

    Lines end in LF, CR or CRLF. `id` and `retry` are for clients that reconnect, which a gateway never does: they are
    read over, as unknown fields are. An event that has no blank line after it when the stream ends is dropped, as the
    standard demands: there is nothing to call at the end.

    Attributes:
        progress: How many calls of `feed` ended an event or a comment. It shows that the upstream is alive, which
            a part of an event does not.
    """

    __slots__ = ("_after_cr", "_head", "_mask", "_max_event_bytes", "_rest", "progress")

    def __init__(self, max_event_bytes: int, mask: Callable[[bytes], bytes] | None = None) -> None:
        """Start a stream.

        Args:
            max_event_bytes: The largest event to accept, its field names and line ends among them.
            mask: Applied to what has come of whole events before they are read.
        """
        self.progress = 0
        self._mask = mask
        self._max_event_bytes = max_event_bytes
        self._rest = bytearray()  # what came of an event that has not ended; lines end in LF
        self._head: bytes | None = b""  # what may be the byte order mark; None once that is settled
        self._after_cr = False

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Take the next bytes.

        Returns:
            The events that ended in these bytes, oldest first.

        Raises:
            ProviderBadResponse: An event is larger than allowed, or is not UTF-8.
        """
        if self._head is not None:
            chunk = self._without_bom(self._head + chunk)
        if self._after_cr or _CARRIAGE_RETURN in chunk:
            chunk = self._with_line_feeds(chunk)
        rest = self._rest
        end = chunk.rfind(b"\n\n")
        if rest:
            if end < 0 and not (rest[-1] == _LINE_FEED and chunk.startswith(b"\n")):
                self._keep(chunk)
                return []
            rest += chunk
            chunk = bytes(rest)
            rest.clear()
            end = chunk.rfind(b"\n\n")
        elif end < 0:
            self._keep(chunk)
            return []

        self.progress += 1
        events: list[ServerSentEvent] = []
        check_sizes = end > self._max_event_bytes
        whole = chunk[:end] if self._mask is None else self._mask(chunk[:end])
        for block in (whole,) if whole.find(b"\n\n") < 0 else whole.split(b"\n\n"):
            if check_sizes and len(block) > self._max_event_bytes:
                raise self._too_large()
            if block.startswith(b"data: ") and _LINE_FEED not in block:
                data = block[6:]
                if not data.isascii():
                    _text(data)
                events.append(ServerSentEvent(data))
            elif block:
                self._read_fields(block, events)
        if end + 2 < len(chunk):
            self._keep(chunk[end + 2 :])
        return events

    def _keep(self, part: bytes) -> None:
        """Keep a part of an event; comments and blank lines before its first field are read over at once."""
        rest = self._rest
        rest += part
        if b"\n" in part and rest[0] in _SKIPPED:
            start = 0
            while rest.startswith((b":", b"\n"), start) and (line_end := rest.find(b"\n", start)) >= 0:
                start = line_end + 1
            del rest[:start]
            self.progress += 1
        if len(rest) > self._max_event_bytes:
            raise self._too_large()

    def _read_fields(self, block: bytes, events: list[ServerSentEvent]) -> None:
        """Read lines of any kind; a blank one, and the end of the block, end an event."""
        data: list[bytes] = []
        name: bytes = b""
        for line in (*block.split(b"\n"), b""):
            if not line:
                if data:
                    events.append(_event(data, name))
                data, name = [], b""
                continue
            field, _, value = line.partition(b":")
            if field == b"data":
                data.append(value.removeprefix(b" "))
            elif field == b"event":
                name = value.removeprefix(b" ")

    def _without_bom(self, start: bytes) -> bytes:
        if len(start) < len(_BOM) and _BOM.startswith(start):
            self._head = start
            return b""
        self._head = None
        return start.removeprefix(_BOM)

    def _with_line_feeds(self, chunk: bytes) -> bytes:
        """End lines in LF. A CR ends its line at once: its LF, should one follow, may come in the next chunk."""
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        if chunk.endswith(b"\r"):
            self._after_cr = True
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _too_large(self) -> AnswerTooLarge:
        return AnswerTooLarge(
            f"An event of the provider's stream is larger than {self._max_event_bytes} bytes, the configured limit."
        )


def _event(data: list[bytes], name: bytes) -> ServerSentEvent:
    joined = b"\n".join(data)
    if not joined.isascii():
        _text(joined)
    return ServerSentEvent(joined, _text(name) if name else None)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ProviderBadResponse("The provider's stream is not UTF-8.") from None
