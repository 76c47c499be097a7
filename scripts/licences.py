"""Lists the licences of everything in an SBOM, and fails where one is not known to be permissive.

Usage: python scripts/licences.py sbom.cdx.json
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

PERMISSIVE = frozenset(
    {
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "MIT",
        "PSF-2.0",
        "Python-2.0",
        "Unlicense",
        "Zlib",
        "License :: OSI Approved :: Apache Software License",
        "License :: OSI Approved :: BSD License",
        "License :: OSI Approved :: ISC License (ISCL)",
        "License :: OSI Approved :: MIT License",
        "License :: OSI Approved :: Python Software Foundation License",
    }
)
"""Identifiers of SPDX, and classifiers of packages that have nothing better."""

TAKEN = {
    "certifi": "MPL-2.0, which asks for the source of the changed files alone; it is a list of certificates, unchanged",
    "protobuf": "BSD-3-Clause by its file LICENSE; its metadata has no identifier",
}
"""What is taken all the same, and why."""


def licences(component: Mapping[str, Any]) -> Iterator[str]:
    """Yield the licences that a component names; of an expression every one, whichever may be chosen."""
    for entry in component.get("licenses", ()):
        named = entry.get("license", {})
        text = entry.get("expression") or named.get("id") or named.get("name") or ""
        yield from [text] if text.startswith("License ::") else re.split(r"\s+(?:AND|OR)\s+", text.strip("()"))


def main(path: Path) -> int:
    """Print a line for each component, and return the exit code."""
    components = sorted(json.loads(path.read_text())["components"], key=lambda component: component["name"].lower())
    refused = []
    for component in components:
        found = sorted(set(licences(component)))
        good = component["name"] in TAKEN or (found and PERMISSIVE.issuperset(found))
        mark = "" if good else "NOT PERMISSIVE: "
        print(f"{mark}{component['name']} {component['version']}: {', '.join(found) or 'none'}")
        if not good:
            refused.append(component["name"])
    print(f"{len(components)} packages, {len(refused)} of a licence that is not known to be permissive.")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
