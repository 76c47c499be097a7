"""Measures what an installation takes, from wheels to the first answer, and how large it is. It judges nothing.

    python tests/evidence/first_answer.py WHEELS    with the folder `dist` that `nox -s release` fills

Everything is downloaded from the configured index, or taken from pip's cache, as it is. See docs/how-to/deployment.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from processes import find_free_port, inherited_environment

LOCK = Path(__file__).parents[2] / "requirements/container.txt"
QUESTION = json.dumps({"message": "Hello!", "agent_config": {"provider": "echo"}}).encode()
MIB = 2**20


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print how long something takes."""
    begun = time.perf_counter()
    yield
    print(f"  {what:<58} {time.perf_counter() - begun:6.1f} s", flush=True)


def run(*command: str | Path) -> None:
    """Run a command that has to succeed."""
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)


def size(folder: Path, pattern: str = "*") -> float:
    """Return the MiB of the files in a folder."""
    return sum(path.lstat().st_size for path in folder.rglob(pattern) if path.is_file()) / MIB


def answer(program: Path, folder: Path) -> None:
    """Start a gateway, wait for the answer to a first question, and end it."""
    port = find_free_port()
    environ = {**inherited_environment(), "PYTHONDONTWRITEBYTECODE": "1"}
    with (folder / "gateway.log").open("wb") as log:
        process = subprocess.Popen(
            [program, "serve", "--port", str(port)], cwd=folder, env=environ, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/api/orchestrate", QUESTION, {"content-type": "application/json"}
        )
        end = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(request, timeout=10) as response:
                    response.read()
                    return
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.005)
    finally:
        process.terminate()
        process.wait(timeout=30)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheels", type=Path, help="the folder of the wheels")
    wheels: Path = parser.parse_args().wheels
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        place = folder / "orchestrator"
        python, program = place / "bin/python", place / "bin/orchestrator"
        pip = (sys.executable, "-m", "pip", "--quiet", "--python", str(python), "install", "--no-compile")
        whole = time.perf_counter()
        with timed("a virtual environment"):
            venv.create(place, with_pip=False, symlinks=True)
        with timed("the locked packages, by their hashes"):
            run(*pip, "--require-hashes", "--only-binary=:all:", "--requirement", LOCK)
        with timed("the wheels of the gateway and of every provider"):
            run(*pip, "--no-deps", "--no-index", *sorted(wheels.glob("*.whl")))
        library = place / "lib"
        sources = size(library)
        with timed("the first start to its first answer, without compiled modules"):
            answer(program, folder)
        print(f"  from nothing to the first answer {time.perf_counter() - whole:27.1f} s")
        with timed("compiling every module, once"):
            run(python, "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", library)
        for what in ("the second start, compiled, the database there", "the third"):
            with timed(f"{what}, to its first answer"):
                answer(program, folder)
        print(f"  installed: {sources:.0f} MiB, and {size(library, '*.pyc'):.0f} MiB of compiled modules")
        largest = sorted(((size(path), path.name) for path in library.glob("*/site-packages/*/")), reverse=True)
        print("  of it: " + ", ".join(f"{name} {megabytes:.0f}" for megabytes, name in largest[:8]))


if __name__ == "__main__":
    main()
