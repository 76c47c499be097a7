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

TIME_LIMIT: Final = 30.0
"""Seconds for the process; starting Python on a busy machine takes some of them."""

_OPEN_PARTS: Final = ("openai_compatible", "provider_api")

_PROGRAM: Final = """
import importlib, importlib.util, json, sys, threading
kind, target = sys.argv[1:3]
work = []
def look(event, args):
    if event in ("socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.fork"):
        work.append(f"{event} {args[1:2] if event.startswith('socket.con') else ''}".strip())
    elif event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        name = str(args[0])
        if "__pycache__" not in name and not name.startswith("/dev/"):
            work.append(f"open {name} for writing")
import orchestrator_core.openai_compatible, orchestrator_core.provider_api
sys.addaudithook(look)
if kind == "module":
    importlib.import_module(target)
else:
    spec = importlib.util.spec_from_file_location("kit_imported", target)
    module = importlib.util.module_from_spec(spec)
    sys.modules["kit_imported"] = module
    spec.loader.exec_module(module)
threads = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
parts = sorted({name.split(".")[1] for name in sys.modules if name.startswith("orchestrator_core.")})
print(json.dumps({"work": work[:5], "threads": threads, "parts": parts}))
"""


def import_faults(cls: type[ProviderHooks]) -> Sequence[str]:
    """Return what importing a provider's module does that it must not, in words for its author.

    It may define names and read its own data, and import of core `provider_api` and `openai_compatible` alone:
    everything else makes each start of the gateway pay, and may change with any version.
    """
    module = cls.__module__
    known = _importable(module)
    target = ("module", module) if known else ("file", inspect.getfile(cls))
    # No coverage or other hooks of the test run: they would import and write on their own.
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE", "COV_", "PYTEST"))}
    done = subprocess.run(  # noqa: S603 - this very interpreter, with our own program
        [sys.executable, "-c", _PROGRAM, *target],
        env={**environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=TIME_LIMIT,
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        return [f"importing {module} alone fails: {last}"]
    found = json.loads(done.stdout.strip().splitlines()[-1])
    faults = [f"importing {module} does work: {what}" for what in found["work"]]
    faults += [f"importing {module} starts a thread: {name}" for name in found["threads"]]
    if foreign := [part for part in found["parts"] if part not in _OPEN_PARTS]:
        shown = ", ".join(f"orchestrator_core.{part}" for part in foreign)
        faults.append(f"{module} imports {shown}: only provider_api and openai_compatible are open to plugins")
    return faults


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
