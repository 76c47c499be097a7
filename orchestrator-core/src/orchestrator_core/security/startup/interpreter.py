"""How Python itself was started, and as whom."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

from orchestrator_core.security.startup.subject import Subject

_DEBUG_VARIABLES = ("PYTHONASYNCIODEBUG", "PYTHONDEVMODE")


def debugging(subject: Subject) -> Iterator[str]:
    """Yield what is for developers alone: a log that shows everything, and the debug modes of Python and asyncio."""
    if subject.settings.log_level == "DEBUG":
        yield "LOG_LEVEL: this level shows more than production may keep; use INFO."
    variables = [name for name in _DEBUG_VARIABLES if subject.runtime.environ.get(name)]
    yield from (f"{name}: it turns on Python's checks for developers; remove it." for name in variables)
    if subject.runtime.developer_mode and not variables:
        yield "Python runs in its mode for developers (-X dev); start it without."


def readable_tls(subject: Subject) -> Iterator[str]:
    """Yield what lets others read TLS, or asks for TLS that verifies nothing.

    The gateway itself verifies in any case.
    """
    environ = subject.runtime.environ
    if environ.get("SSLKEYLOGFILE"):
        yield (
            "SSLKEYLOGFILE: whoever reads that file can read everything that is sent to the providers, keys among it; "
            "remove the variable."
        )
    if environ.get("PYTHONHTTPSVERIFY") == "0":
        yield (
            "PYTHONHTTPSVERIFY: it asks for TLS that verifies nothing; remove it, and name a certificate authority of "
            "your own in SSL_CERT_FILE."
        )


def lost_authorities(subject: Subject) -> Iterator[str]:
    """Yield that the certificate authorities which the operator named cannot be read: OpenSSL passes that over."""
    path = subject.runtime.environ.get("SSL_CERT_FILE")
    if not path:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError as error:  # that of OpenSSL too, for a file without a certificate
        problem = "there is no certificate in it" if isinstance(error, ssl.SSLError) else error.strerror
        yield (
            f"SSL_CERT_FILE: its file cannot be read ({problem}), so that no authority of your own would be known; "
            "correct the path, or remove the variable."
        )


def python_parser(subject: Subject) -> Iterator[str]:
    """Yield that aiohttp reads requests with its parser in Python, which takes more than it should and is slow."""
    if not subject.runtime.compiled_parser:
        yield (
            "aiohttp reads requests with its parser in Python, which is slower and less strict than the compiled one: "
            "remove AIOHTTP_NO_EXTENSIONS, or install aiohttp from a wheel for this platform."
        )


def superuser(subject: Subject) -> Iterator[str]:
    """Yield that it runs as root, so that a fault of the gateway would be one of the whole machine."""
    if subject.runtime.superuser:
        yield "The gateway runs as root and needs no right of root; run it as a user of its own."
