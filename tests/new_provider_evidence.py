"""A provider from nothing to an answer, from wheels, in an environment that has never seen this repository.

    python tests/new_provider_evidence.py WHEELS...     with a Python that has `build`

Makes the package and does what `new-provider` prints as its next steps, with the pip that comes with Python; then
builds the package, installs its wheel beside core's in another environment, and asks whether it is discovered, listed,
sound and answering. Prints what each step took. `nox -s newcomer` runs it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypeVar

from processes import find_free_port, inherited_environment

KEY = "acme-" + "a1B2" * 8
ANSWER = "Hello from Acme."
T = TypeVar("T")


class Acme(BaseHTTPRequestHandler):
    """The vendor, as small as it can be: independent of the kit's own fake."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        sound = self.headers["authorization"] == f"Bearer {KEY}" and self.path == "/v1/chat/completions"
        message = {"role": "assistant", "content": ANSWER}
        body = {
            "id": "acme-1",
            "model": asked["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
        }
        data = json.dumps(body).encode()
        self.send_response(200 if sound else 401)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        """Print nothing."""


def step(name: str, work: Callable[[], T]) -> T:
    started = time.monotonic()
    result = work()
    print(f"  {name:<44} {time.monotonic() - started:6.1f} s")
    return result


def run(*command: str | Path, cwd: Path, **environ: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**inherited_environment(), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if done.returncode != 0:
        raise SystemExit(f"{command} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def ask(url: str, body: object = None) -> object:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


def answers(binaries: Path, directory: Path) -> object:
    """Serve, and ask through the gateway; return the answer."""
    vendor = ThreadingHTTPServer(("127.0.0.1", 0), Acme)
    threading.Thread(target=vendor.serve_forever, daemon=True).start()
    port = find_free_port()
    environ = {"ACME_API_KEY": KEY, "ACME_BASE_URL": f"http://127.0.0.1:{vendor.server_port}/v1"}
    gateway = subprocess.Popen(
        [binaries / "orchestrator", "serve", "--port", str(port)],
        cwd=directory,
        env={**inherited_environment(), **environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(200):
            try:
                ask(f"http://127.0.0.1:{port}/health/ready")
                break
            except OSError:
                time.sleep(0.1)
        listed = ask(f"http://127.0.0.1:{port}/api/providers")
        assert "acme" in [row["name"] for row in listed["providers"]], listed  # type: ignore[index]  # JSON of any shape
        question = {"model": "acme/acme-large", "messages": [{"role": "user", "content": "Hello"}]}
        return ask(f"http://127.0.0.1:{port}/v1/chat/completions", question)
    finally:
        gateway.terminate()
        gateway.wait(timeout=30)
        vendor.shutdown()
        vendor.server_close()


def follow_the_steps(core: Sequence[str], directory: Path, **index: str) -> tuple[Path, str]:
    """Do what the tutorial and `new-provider` print, word for word, with the pip that came with this Python.

    Returns:
        The package, and what the commands printed.
    """
    run(sys.executable, "-m", "venv", "author", cwd=directory)
    binaries = directory / "author" / "bin"
    environ = {**index, "ACME_API_KEY": KEY, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}
    run("pip", "install", "--quiet", *core, cwd=directory, **environ)
    printed = run("orchestrator", "new-provider", "acme", cwd=directory, **environ)
    entered, *steps = [line.strip() for line in printed.partition("Next:")[2].splitlines() if line.strip()]
    package = directory / entered.removeprefix("cd ")
    said = [step(f"  {line}", lambda line=line: run("sh", "-c", line, cwd=package, **environ)) for line in steps]
    assert ": sound" in said[-1], said[-1]
    return package, "".join(said)


def main(wheels: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory, binaries = Path(folder), Path(folder) / "clean" / "bin"
        index = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        core = [str(Path(wheel).resolve()) for wheel in wheels]
        begun = time.monotonic()
        package, said = step("follow the printed steps", lambda: follow_the_steps(core, directory, **index))
        took = time.monotonic() - begun
        step("make a clean environment", lambda: run(sys.executable, "-m", "venv", "clean", cwd=directory))
        install = (binaries / "python", "-m", "pip", "install", "--quiet")
        step("install core from its wheel", lambda: run(*install, *core, cwd=directory, **index))
        begun = time.monotonic()
        build = (sys.executable, "-m", "build", "--wheel", package)
        step("build the package's wheel", lambda: run(*build, cwd=directory, **index))
        [wheel] = (package / "dist").glob("*.whl")
        step("install it beside core", lambda: run(*install, wheel, cwd=directory, **index))
        command = binaries / "orchestrator"
        rows = step("discover it", lambda: json.loads(run(command, "plugins", "--json", cwd=directory)))
        assert [row["state"] for row in rows if row["name"] == "acme"] == ["usable"], rows
        text = step("examine it", lambda: run(command, "plugins", "doctor", "acme", cwd=directory, ACME_API_KEY=KEY))
        assert ": sound" in text, text
        answer = step("serve, list it, and answer over HTTP", lambda: answers(binaries, directory))
        assert answer["choices"][0]["message"]["content"] == ANSWER, answer  # type: ignore[index]  # JSON of any shape
        source = (package / "src" / "orchestrator_acme" / "provider.py").read_text().splitlines()
        code = sum(1 for line in source if line.strip() and not line.strip().startswith('"""'))
        print(said[said.index("capability ") :].partition("==")[0].rstrip())
        print(f"From an empty environment to conformant in {took:.1f} s,", end=" ")
        print(f"from the package to an answer of its wheel in {time.monotonic() - begun:.1f} s.")
        print(f"{code} lines of provider code, 0 files of core touched.")


if __name__ == "__main__":
    main(sys.argv[1:])
