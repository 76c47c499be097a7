"""Plugins that are installed for one test: a module and its metadata on a path of their own."""

from __future__ import annotations

from pathlib import Path


def install_plugin(directory: Path, distribution: str, name: str, code: str, *, cls: str = "Provider") -> str:
    """Write a distribution as its installation would.

    Args:
        directory: Where to put it.
        distribution: Its name; the module has the same with underscores.
        name: The entry point.
        code: The module.
        cls: The class that the entry point names.

    Returns:
        What to add to `PYTHONPATH`.
    """
    module = distribution.replace("-", "_")
    site = directory / distribution
    metadata = site / f"{module}-1.2.3.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2.3\n")
    (metadata / "entry_points.txt").write_text(f"[orchestrator.providers]\n{name} = {module}:{cls}\n")
    (site / f"{module}.py").write_text(code)
    return str(site)
