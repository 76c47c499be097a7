from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator_core.config import load
from orchestrator_core.security.startup import names
from orchestrator_core.security.startup.subject import Subject


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ENVIROMENT", "ENVIRONMENT"),
        ("CORS_ALLOWED_ORIGIN", "CORS_ALLOWED_ORIGINS"),
        ("SERVER_PORTS", "SERVER_PORT"),
        ("LOGLEVEL", "LOG_LEVEL"),
        ("ENV", None),
        ("SERVER_SOFTWARE", None),
        ("OPENAI_API_KEY", None),
        ("LOG_FORMAT", None),
    ],
)
def test_a_name_that_is_almost_a_setting_is_pointed_out(tmp_path: Path, name: str, meant: str | None) -> None:
    found = list(names.mistyped(Subject(load({name: "canary"}, tmp_path))))
    assert found == ([f"{name}: there is no such setting. Did you mean {meant}?"] if meant else [])
