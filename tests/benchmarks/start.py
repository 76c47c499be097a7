"""Measures what a gateway with all its plugins costs before it works: start, idle memory, imports. It judges nothing.

    PYTHONPATH=tests python tests/benchmarks/start.py [RUNS]

Linux alone, since it reads the memory from `/proc`. See docs/explanation/performance.md.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clock import processor_time
from benchmarks.environment import environment
from processes import COMMAND, find_free_port

QUESTION = {"message": "Hello!", "agent_config": {"provider": "echo"}}
IMPORTS = """
from orchestrator_core.cli.serve import _imported_quickly
with _imported_quickly():
    import orchestrator_core.server.run
    from importlib_metadata import entry_points
    for point in entry_points(group="orchestrator.providers"):
        point.load()
"""
"""What `orchestrator serve` imports."""

SETTLE = 1.0
"""Seconds of idleness before the memory is read."""


@contextmanager
def gateway(directory: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Start `orchestrator serve` with a database in `directory`, and end it."""
    process = subprocess.Popen(
        [COMMAND, "serve", "--port", str(port)],
        cwd=directory,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=15)


def answer(port: int) -> None:
    """Hold a first turn; tried again until the gateway listens."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/orchestrate",
        json.dumps(QUESTION).encode(),
        {"content-type": "application/json"},
    )
    end = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                response.read()
                return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.005)


def resident(process: subprocess.Popen[bytes]) -> float:
    """Return the resident memory of a process in MB (proc_pid_status(5), whose kB are of 1,024 bytes)."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) * 1024 / 1e6


@dataclass(frozen=True)
class Start:
    """What one start took.

    Attributes:
        answered: Milliseconds from the start of the process to its first answer.
        computed: Milliseconds of processor time of it until then.
        memory: MB when idle.
    """

    answered: float
    computed: float
    memory: float


def start(directory: Path) -> Start:
    """Start a gateway on the database in `directory`, which is made where there is none."""
    port = find_free_port()
    begun = time.perf_counter()
    with gateway(directory, port) as process:
        answer(port)
        answered, computed = (time.perf_counter() - begun) * 1e3, processor_time(process.pid) * 1e3
        time.sleep(SETTLE)
        return Start(answered, computed, resident(process))


def imports() -> tuple[float, float, float]:
    """Return the milliseconds of imports: of core's own modules, of the plugins' own, and of all that they need."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", IMPORTS],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [line.removeprefix("import time:").split("|") for line in done.stderr.splitlines() if line.count("|") == 2]
    core = plugins = others = 0.0
    for itself, _, name in rows[1:]:  # the first row is the heading
        cost, package = int(itself) / 1e3, name.strip().partition(".")[0]
        if package == "orchestrator_core":
            core += cost
        elif package.startswith("orchestrator_"):
            plugins += cost
        else:
            others += cost
    return core, plugins, others


def imports_computed() -> float:
    """Return the milliseconds of processor time that all imports take."""
    program = f"from time import process_time\nbegun = process_time(){IMPORTS}print(process_time() - begun)"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    return float(done.stdout) * 1e3


def measure(runs: int) -> Mapping[str, Sequence[float]]:
    """Return every measure, run by run, after one run that is not counted: it fills the caches."""
    found: dict[str, list[float]] = defaultdict(list)
    for run in range(runs + 1):
        with tempfile.TemporaryDirectory() as folder:
            fresh, existing = start(Path(folder)), start(Path(folder))
        core, plugins, others = imports()
        if run:
            found["Start to first answer, new database (ms)"].append(fresh.answered)
            found["Of it processor time, new database (ms)"].append(fresh.computed)
            found["Start to first answer, existing database (ms)"].append(existing.answered)
            found["Of it processor time, existing database (ms)"].append(existing.computed)
            found["Resident memory, idle after an answer (MB)"].append(existing.memory)
            found["Import of core's own modules (ms)"].append(core)
            found["Import of the plugins' own modules (ms)"].append(plugins)
            found["Import of what they need (ms)"].append(others)
            found["Import, all together (ms)"].append(core + plugins + others)
            found["Of it processor time, unobserved (ms)"].append(imports_computed())
    return found


def main() -> None:
    """Print a table."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    sys.stdout.write("| Measure | Median | Least | Most |\n|---|---|---|---|\n")
    for measured, values in measure(runs).items():
        low, middle, high = min(values), statistics.median(values), max(values)
        digits = 1 if "MB" in measured else 0
        sys.stdout.write(f"| {measured} | {middle:.{digits}f} | {low:.{digits}f} | {high:.{digits}f} |\n")


if __name__ == "__main__":
    main()
