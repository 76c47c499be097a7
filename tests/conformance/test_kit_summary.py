"""The pytest plugin of the kit: what it prints, and that it costs nobody anything who does not use it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from orchestrator_core.provider_api import CONTRACT_VERSION
from processes import inherited_environment

SUITE = """
from acme_fake import AcmeFake
from fake_providers.mutant_requests import LosesImages
from orchestrator_core.testing import ProviderConformance

class TestImages(ProviderConformance):
    provider = LosesImages
    upstream = AcmeFake
    key = "acme-" + "a1B2" * 8
"""
SELECTED = "images or schema or reaches or start_comes or order_of_their"


def run_pytest(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:asyncio", "-p", "no:cacheprovider", *arguments],
        cwd=directory,
        env={**inherited_environment(), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_table_says_what_is_declared_and_what_is_proven(tmp_path: Path) -> None:
    (tmp_path / "test_suite.py").write_text(SUITE)
    done = run_pytest(tmp_path, "-q", "-k", SELECTED)
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in done.stdout.splitlines() if line[:1].isalpha()}

    assert done.returncode == 1, done.stdout
    assert f"conformance of acme (TestImages), contract {CONTRACT_VERSION}" in done.stdout
    assert rows["structured_output"] == ["yes", "yes, by 1 checks"]
    assert rows["vision"] == ["yes", "NO: test_images_reach_the_upstream"]
    assert "'iVBORw0KGgoAAAANSUhE' is missing in the request" in done.stdout, "the author is told what is wrong"


def test_a_run_without_the_suite_prints_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text("def test_other(): pass\n")
    done = run_pytest(tmp_path, "-q")

    assert done.returncode == 0
    assert "conformance" not in done.stdout


def test_the_plugin_is_loaded_without_the_gateway() -> None:
    code = (
        "import json, sys, importlib.metadata as m\n"
        "import pytest\n"
        "before = set(sys.modules)\n"
        "[point] = [p for p in m.entry_points(group='pytest11') if p.name == 'orchestrator_conformance']\n"
        "point.load()\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)

    assert [name for name in json.loads(done.stdout) if name.partition(".")[0] in ("orchestrator_core", "aiohttp")] == [
        "orchestrator_core",
        "orchestrator_core.testing",
        "orchestrator_core.testing.pytest_plugin",
    ]
