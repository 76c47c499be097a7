"""The audit: it fails on a known vulnerability, and does not take silence for an answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from supply_chain.scripts import load_script

KNOWN = {
    "id": "PYSEC-2021-108",
    "summary": "A regular expression takes for ever",
    "modified": "2021-12-30T00:00:00Z",
    "published": "2021-06-29T11:15:00Z",
    "affected": [
        {
            "package": {"name": "urllib3", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.26.5"}]}],
            "versions": ["1.26.4"],
        }
    ],
}


class Vulnerabilities(BaseHTTPRequestHandler):
    """Stands for OSV's service, which knows of one vulnerability."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = (asked["package"]["name"], asked["version"]) == ("urllib3", "1.26.4")
        body = json.dumps({"vulns": [KNOWN]} if known else {}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def service() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Vulnerabilities)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/query"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program over a small lock, which reaches nothing beyond this machine."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PIP_AUDIT_CACHE_DIR", str(tmp_path / "cache"))
    module = load_script("audit")
    module.LOCKS = [tmp_path / "lock.txt"]
    return module


def lock(audit: ModuleType, *pinned: str) -> None:
    (path,) = audit.LOCKS
    path.write_text("".join(f"{each} --hash=sha256:{'0' * 64}\n" for each in pinned))


def test_a_known_vulnerability_fails(audit: ModuleType, service: str, capsys: pytest.CaptureFixture[str]) -> None:
    lock(audit, "six==1.17.0", "urllib3==1.26.4")
    assert audit.main(["--osv-url", service]) == audit.VULNERABLE
    said = capsys.readouterr().out
    assert "VULNERABLE: urllib3 1.26.4: PYSEC-2021-108, fixed in 1.26.5" in said
    assert "VULNERABLE: six" not in said


def test_an_answer_for_every_package_passes(
    audit: ModuleType, service: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lock(audit, "six==1.17.0", "urllib3==1.26.5")
    assert audit.main(["--osv-url", service]) == audit.CLEAN
    assert "2 locked packages, none with a vulnerability that osv knows" in capsys.readouterr().out


def test_silence_is_no_answer(audit: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    lock(audit, "six==1.17.0")
    assert audit.main(["--osv-url", "http://127.0.0.1:1/v1/query", "--timeout", "2"]) == audit.NOT_AUDITED
    said = capsys.readouterr().out
    assert "pypi could not be asked" in said
    assert "osv could not be asked" in said
    assert "NOT AUDITED" in said


@pytest.mark.parametrize(
    ("found", "complete"),
    [
        ([{"name": "six", "version": "1.17.0", "vulns": []}], True),
        ([{"name": "six", "version": "1.17.0", "vulns": []}, {"name": "a", "skip_reason": "not found on PyPI"}], False),
        ([], False),
    ],
)
def test_a_package_that_was_skipped_was_not_audited(audit: ModuleType, found: list[Any], complete: bool) -> None:
    assert (audit.gap(found) == "") is complete
