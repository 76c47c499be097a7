"""What importing a plugin does, seen from a process of its own."""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

from orchestrator_core.provider_api import ProviderHooks
from orchestrator_core.testing import import_probe

TIME_LIMIT: Final = 30.0
"""Seconds for the process; starting Python on a busy machine takes some of them."""

_OPEN_PARTS: Final = ("openai_compatible", "provider_api")


def import_faults(cls: type[ProviderHooks]) -> Sequence[str]:
    """Return what importing a provider's module does that it must not, in words for its author.

    It may define names and read its own data, and import of core `provider_api` and `openai_compatible` alone. What
    opens, starts, waits, reads what an operator set or changes what others use makes each start of the gateway pay, or
    surprises who uses the process too. It is found by what is done, not by the time that it takes.
    """
    module = cls.__module__
    known = _importable(module)
    target = ("module", module) if known else ("file", inspect.getfile(cls))
    # No coverage or other hooks of the test run: they would import and write on their own.
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE", "COV_", "PYTEST"))}
    try:
        done = subprocess.run(  # noqa: S603 - this very interpreter, with our own program
            [sys.executable, "-m", import_probe.__name__, *target],
            env={**environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=TIME_LIMIT,
        )
    except subprocess.TimeoutExpired:
        return [f"importing {module} did not end within {TIME_LIMIT:g} s"]
    if done.returncode != 0 or not done.stdout.strip():
        last = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        return [f"importing {module} alone fails: {last}"]
    found = json.loads(done.stdout.strip().splitlines()[-1])
    faults = [f"importing {module} does work: {what}" for what in found["work"]]
    faults += [f"importing {module} changes {what} for the whole process" for what in found["changed"]]
    if foreign := [part for part in found["parts"] if part not in _OPEN_PARTS]:
        shown = ", ".join(f"orchestrator_core.{part}" for part in foreign)
        faults.append(f"{module} imports {shown}: only provider_api and openai_compatible are open to plugins")
    return faults


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
