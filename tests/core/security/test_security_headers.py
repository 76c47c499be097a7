"""The security headers."""

from __future__ import annotations

import pytest

from orchestrator_core.security.headers import security_headers


@pytest.mark.parametrize("documentation", [False, True])
@pytest.mark.parametrize("tls", [False, True])
def test_every_response_has_them(tls: bool, documentation: bool) -> None:
    headers = security_headers(tls=tls, documentation=documentation)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert ("Strict-Transport-Security" in headers) == tls


def test_scripts_run_on_documentation_pages_only_and_only_from_files_of_this_server() -> None:
    assert "script-src" not in security_headers(tls=True)["Content-Security-Policy"]
    policy = security_headers(tls=True, documentation=True)["Content-Security-Policy"]
    assert "script-src 'self';" in policy
    assert "unsafe-eval" not in policy
