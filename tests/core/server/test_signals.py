"""What a process prints."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_where_nothing_can_be_printed_the_process_goes_on() -> None:
    code = """
import os
from orchestrator_core.server.signals import say

say("a line")
os.write(2, b"went on")
os._exit(0)
"""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, check=False, timeout=30
        )
    assert done.stderr == b"went on"
