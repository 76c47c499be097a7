"""Prints what is new in the version of this tree: its section of CHANGELOG.md, or what the fragments will make of it.

Usage: python scripts/release_notes.py [TAG]     with the tag of a release, which has to be that of a finished version
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def read_version(root: Path) -> str:
    """Return the version of core, which is that of every distribution."""
    project = tomllib.loads((root / "orchestrator-core/pyproject.toml").read_text())["project"]
    return str(project["version"])


def read_section(changelog: str, version: str) -> str:
    """Return what a changelog says of a version, without its heading; nothing where it says nothing."""
    for section in f"\n{changelog}".split("\n## ")[1:]:
        heading, _, text = section.partition("\n")
        if heading.partition(",")[0].strip() == version:
            return text.strip()
    return ""


def draft(root: Path, version: str) -> str:
    """Return what the fragments make of a version."""
    command = [sys.executable, "-m", "towncrier", "build", "--draft", "--version", version]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)  # noqa: S603 - no shell, and the version is this tree's own
    return read_section(done.stdout, version)


def refusal(root: Path, tag: str) -> str:
    """Return why a tag is not that of a finished version; nothing where it is."""
    version = read_version(root)
    if tag != f"v{version}":
        return f"The tag is {tag}, and the version of this tree {version}."
    left = sorted(path.name for path in (root / "changes").glob("*.*.md"))
    if left or not read_section((root / "CHANGELOG.md").read_text(), version):
        return f"CHANGELOG.md is not that of {version} yet ({len(left)} fragments are left): run `towncrier build`."
    return ""


def main(root: Path, tag: str | None) -> int:
    """Print the notes, or why there are none, and return the exit code."""
    if tag is not None and (reason := refusal(root, tag)):
        print(reason, file=sys.stderr)
        return 1
    version = read_version(root)
    print(read_section((root / "CHANGELOG.md").read_text(), version) or draft(root, version))
    return 0


if __name__ == "__main__":
    sys.exit(main(ROOT, sys.argv[1] if len(sys.argv) > 1 else None))
