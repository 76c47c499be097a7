"""Packages that only some settings need."""

from __future__ import annotations

from importlib.util import find_spec


def missing_extra(setting: str, module: str, extra: str) -> str | None:
    """Return what to do where a setting needs a package that is not installed; None where it is there.

    Args:
        setting: The name of the setting in the environment.
        module: What the package is imported as.
        extra: The extra of `orchestrator-core` that brings it.
    """
    try:
        if find_spec(module) is not None:
            return None
    except ModuleNotFoundError:
        pass  # a package that it is a part of
    return f"{setting}: this needs the package {module}: pip install 'orchestrator-core[{extra}]'."
