from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.environment import environment


def test_what_is_measured_keeps_its_compiled_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    (tmp_path / "imported.py").write_text("")
    subprocess.run([sys.executable, "-c", "import imported"], cwd=tmp_path, env=environment(), check=True)
    assert list((tmp_path / "__pycache__").glob("imported.*.pyc"))
