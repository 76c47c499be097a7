"""Asks whether a locked version has a known vulnerability, and says so where nobody could be asked.

pip-audit ends with 0 where it skipped a package that the service does not have, so that behind a mirror without
PyPI's JSON interface everything looks sound. Here only an answer for every package counts: 0 nothing known,
1 vulnerabilities, 2 not audited.

Usage: python scripts/audit.py [options of pip-audit]
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
SERVICES = ("pypi", "osv")
"""Asked one after the other, until one answers for every package."""

WITHIN = 600.0
"""Seconds that a service may take for all packages together."""

CLEAN, VULNERABLE, NOT_AUDITED = 0, 1, 2


def ask(service: str, options: Sequence[str]) -> tuple[Sequence[Mapping[str, Any]] | None, str]:
    """Ask a service.

    Returns:
        What it says of each package, and why that is not everything; None and why, where it could not be asked.
    """
    files = [argument for lock in LOCKS for argument in ("--requirement", str(lock))]
    command = [sys.executable, "-m", "pip_audit", "--vulnerability-service", service, "--format", "json", *files]
    command += ["--disable-pip", "--progress-spinner", "off", *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WITHIN)  # noqa: S603 - no shell, and the arguments are the developer's own
    except subprocess.TimeoutExpired:
        return None, f"no answer within {WITHIN:g} s"
    try:
        found: Sequence[Mapping[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        return None, (done.stderr.strip().splitlines() or ["no answer"])[-1]
    return found, gap(found)


def gap(found: Sequence[Mapping[str, Any]]) -> str:
    """Return why what a service said is not everything; nothing where it is."""
    skipped = sum("skip_reason" in package for package in found)
    if not found or skipped:
        return f"it does not have {skipped} of {len(found)} packages"
    return ""


def main(options: Sequence[str]) -> int:
    """Ask until somebody has answered for everything, print what was found, and return the exit code."""
    for service in SERVICES:
        found, missing = ask(service, options)
        vulnerable = [package for package in found or () if package.get("vulns")]
        for package in vulnerable:
            for known in package["vulns"]:
                fixed = ", ".join(known["fix_versions"]) or "no version yet"
                print(f"VULNERABLE: {package['name']} {package['version']}: {known['id']}, fixed in {fixed}")
        if vulnerable:
            return VULNERABLE
        if found is not None and not missing:
            print(f"{len(found)} locked packages, none with a vulnerability that {service} knows.")
            return CLEAN
        print(f"{service} could not be asked: {missing}")
    print("NOT AUDITED: nobody who knows of vulnerabilities could be asked. Run this where the internet is reached.")
    return NOT_AUDITED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
