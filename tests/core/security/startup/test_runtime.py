"""What a process tells of itself."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

LOOK = """
from orchestrator_core.security.startup.runtime import Runtime
found = Runtime.current()
print(found.developer_mode, found.compiled_parser, found.superuser)
assert "PATH" not in repr(found)
"""


@pytest.mark.parametrize(
    ("arguments", "environ", "expected"),
    [
        ((), {}, (False, True)),
        (("-X", "dev"), {}, (True, True)),
        ((), {"PYTHONDEVMODE": "1"}, (True, True)),
        ((), {"AIOHTTP_NO_EXTENSIONS": "1"}, (False, False)),
    ],
)
def test_it_sees_how_python_was_started(
    arguments: tuple[str, ...], environ: dict[str, str], expected: tuple[bool, bool]
) -> None:
    found = subprocess.run(
        [sys.executable, *arguments, "-c", LOOK],
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert found.stdout.split() == [str(value) for value in (*expected, os.geteuid() == 0)]
