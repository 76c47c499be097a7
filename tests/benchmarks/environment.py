"""The environment of what is measured."""

from __future__ import annotations

from collections.abc import Mapping

from processes import inherited_environment


def environment() -> Mapping[str, str]:
    """Return what a measured process is given of the environment, but for what forbids compiled modules.

    Without these, the compiler would be measured in each start, and what it leaves in memory.
    """
    return {name: value for name, value in inherited_environment().items() if name != "PYTHONDONTWRITEBYTECODE"}
