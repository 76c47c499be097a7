"""Requests whose end two readers could see at different places."""

from __future__ import annotations

BODY = b'{"message": "hi"}'
CHUNKED = b"11\r\n" + BODY + b"\r\n0\r\n\r\n"
HEAD = b"POST /api/orchestrate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
GET = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n"
SMUGGLED = b"GET /api/providers HTTP/1.1\r\nHost: localhost\r\n\r\n"
LENGTH = b"Content-Length: 17\r\n"
CODED = b"Transfer-Encoding: chunked\r\n"

AMBIGUOUS = {
    "length and chunked": HEAD + LENGTH + CODED + b"\r\n" + CHUNKED,
    "chunked and a shorter length": HEAD + CODED + b"Content-Length: 4\r\n\r\n" + CHUNKED,
    "two lengths": HEAD + LENGTH + b"Content-Length: 18\r\n\r\n" + BODY,
    "the same length twice": HEAD + LENGTH + LENGTH + b"\r\n" + BODY,
    "a list of lengths": HEAD + b"Content-Length: 17, 17\r\n\r\n" + BODY,
    "a signed length": HEAD + b"Content-Length: +17\r\n\r\n" + BODY,
    "a hexadecimal length": HEAD + b"Content-Length: 0x11\r\n\r\n" + BODY,
    "a length beyond 64 bits": HEAD + b"Content-Length: 99999999999999999999\r\n\r\n" + BODY,
    "a space before the colon": HEAD + b"Content-Length : 17\r\n\r\n" + BODY,
    "an unknown coding": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKED,
    "a coding after chunked": HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n" + CHUNKED,
    "chunked twice": HEAD + CODED + CODED + b"\r\n" + CHUNKED,
    "a quoted coding": HEAD + b'Transfer-Encoding: "chunked"\r\n\r\n' + CHUNKED,
    "a coding behind a vertical tab": HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + CHUNKED,
    "a folded coding": HEAD + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + CHUNKED,
    "chunked in HTTP/1.0": HEAD.replace(b"1.1", b"1.0") + CODED + b"\r\n" + CHUNKED,
    "a hexadecimal prefix of a chunk": HEAD + CODED + b"\r\n0x" + CHUNKED,
    "a signed chunk": HEAD + CODED + b"\r\n+" + CHUNKED,
    "bare line feeds in chunks": HEAD + CODED + b"\r\n" + CHUNKED.replace(b"\r\n", b"\n"),
    "a chunk longer than it says": HEAD + CODED + b"\r\n10\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a chunk beyond 64 bits": HEAD + CODED + b"\r\nffffffffffffffff1\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a length in the trailers": HEAD + CODED + b"\r\n" + CHUNKED[:-2] + LENGTH + b"\r\n",
    "a folded header": GET + b"X-A: a\r\n b\r\n\r\n",
    "bare line feeds": GET.replace(b"\r\n", b"\n") + b"\n",
    "one bare line feed": GET + b"X-A: a\nX-B: b\r\n\r\n",
    "a bare carriage return": GET + b"X-A: a\rX-B: b\r\n\r\n",
    "NUL in a value": GET + b"X-A: a\0b\r\n\r\n",
    "NUL in a name": GET + b"X-\0A: b\r\n\r\n",
    "NUL in the path": b"GET /health\0/live HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a control character": GET + b"X-A: a\x01b\r\n\r\n",
    "a space in a name": GET + b"X A: b\r\n\r\n",
    "no name": GET + b": b\r\n\r\n",
    "no colon": GET + b"nothing\r\n\r\n",
    "no host": b"GET /health/live HTTP/1.1\r\n\r\n",
    "two hosts": GET + b"Host: b\r\n\r\n",
    "a space in the path": b"GET /health /live HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "HTTP/0.9": b"GET /health/live\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a method that is none": b"FOO /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n",
}
