"""Takes the steps of the guide's section on systemd, word for word, and starts what the unit starts.

    python tests/evidence/systemd_steps.py

It needs root, Linux, and the internet or a mirror of PyPI. What is written is kept in memory, over this machine's file
system, and gone at the end. `python3` is the system's own, such as Debian's. systemd itself is not asked: the unit's
user, folder, command and signals are as it says, and `tests/deploy/test_systemd.py` reads the rest.
"""

from __future__ import annotations

import argparse
import configparser
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from image import ROOT, Namespace, network
from processes import find_free_port
from start_configurations import MINIMUM

GUIDE = ROOT / "docs/how-to/deployment.md"
UNIT = ROOT / "deploy/systemd/orchestrator.service"
PATH = "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
STARTS_WITHIN = 60.0


def read_steps() -> list[str]:
    """Return the commands of the guide, but for those that talk to systemd."""
    section = GUIDE.read_text().partition("\n## systemd\n")[2]
    found = re.search(r"```shell\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return [line for line in found[1].splitlines() if not line.startswith("systemctl ")]


def health(port: int, process: subprocess.Popen[str]) -> dict[str, object]:
    """Wait for the answer of the gateway."""
    end = time.monotonic() + STARTS_WITHIN
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=10) as response:
                answer: dict[str, object] = json.load(response)
                return answer
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.02)


def serve(namespace: Namespace, root: Path) -> None:
    """Start what the unit starts, as its user, and send it the signals of `reload` and `stop`."""
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.read(UNIT)
    service, port = unit["Service"], find_free_port()
    user = ("setpriv", f"--reuid={service['User']}", f"--regid={service['Group']}", "--clear-groups", "--no-new-privs")
    folder = ("env", "-i", f"--chdir={service['WorkingDirectory']}", f"PATH={PATH}")
    where = ("SERVER_HOST=127.0.0.1", f"SERVER_PORT={port}")
    inside = ("chroot", str(root), *user, "--bounding-set=-all", *folder, *where, *service["ExecStart"].split())
    begun = time.perf_counter()
    process = subprocess.Popen(namespace.entered(*inside), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        answer = health(port, process)
        print(f"{time.perf_counter() - begun:6.1f} s  {service['ExecStart']}: {answer['status']}")
        process.send_signal(signal.SIGHUP)
        time.sleep(1)
        health(port, process)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
        print(f"ended with {process.returncode}\n{said}")
    finally:
        process.kill()
        process.wait()


def main() -> None:
    """Take the steps, and say how long each took."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        namespace = Namespace(Path(temporary))
        try:
            root = namespace.overlay("machine", "/")
            environ = {**network(), "PATH": PATH, "HOME": "/root"}
            dotenv = "".join(f"{name}={value}\n" for name, value in MINIMUM.items())
            namespace.run("sh", "-c", f"cat > {root}{ROOT}/.env <<'END'\n{dotenv}END")
            for step in read_steps():
                begun = time.perf_counter()
                namespace.run("chroot", str(root), "env", f"--chdir={ROOT}", "sh", "-ec", step, environ=environ)
                print(f"{time.perf_counter() - begun:6.1f} s  {step}", flush=True)
            print(namespace.run("chroot", str(root), "/opt/orchestrator/bin/python", "--version").strip())
            serve(namespace, root)
        finally:
            namespace.close()


if __name__ == "__main__":
    main()
