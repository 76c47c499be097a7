"""The page about what was tested counts what the tests have."""

from __future__ import annotations

from pathlib import Path

from orchestrator_core.security.startup.checks import CHECKS
from start_configurations import SAFE, UNSAFE

PAGE = (Path(__file__).parents[2] / "docs/explanation/security-validation.md").read_text()
OF_THEIR_OWN = 2
"""Checks that need a machine of another kind; `test_starting.py` names them."""


def test_the_configurations_are_counted() -> None:
    for said in (
        f"| {len(UNSAFE)} configurations of production through",
        f"| {len(UNSAFE)} refused, each for its own reasons",
        f"files of the {len(UNSAFE)}, from three characters",
        f"| {len(SAFE)} configurations, the minimum",
        f"| {len(SAFE)} accepted;",
    ):
        assert said in PAGE


def test_the_checks_are_counted() -> None:
    refusing = sum(check.production == "refuse" for check in CHECKS)
    held = f"{refusing - OF_THEIR_OWN} of the {refusing} checks that refuse"
    assert f"{held} are the reason of one of the {len(UNSAFE)};" in PAGE


def test_the_real_starts_are_counted() -> None:
    started = [configuration for configuration in UNSAFE if not configuration.runtime][::9]
    assert f"{len(started)} of them as real processes too" in PAGE
