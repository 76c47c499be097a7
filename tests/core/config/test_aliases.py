"""What an alias may be, and what an operator is told of one that is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator_core.config import ConfigError, load
from orchestrator_core.config.settings import AliasEntry

TARGETS = ["openai/gpt-6-luna", "anthropic/claude-haiku-5-5"]


def of_environment(directory: Path, entry: Any) -> AliasEntry:
    return load({"ORCHESTRATOR_ALIASES": json.dumps({"fast": entry})}, directory).settings.aliases["fast"]


def test_a_name_is_one_target_that_is_asked_alone(tmp_path: Path) -> None:
    assert of_environment(tmp_path, TARGETS[0]) == AliasEntry(targets=(TARGETS[0],), strategy="ordered")


def test_a_table_of_the_file_says_the_same_as_json_in_the_environment(tmp_path: Path) -> None:
    (tmp_path / "orchestrator.toml").write_text(
        f'[aliases.fast]\ntargets = {json.dumps(TARGETS)}\nstrategy = "weighted"\nweights = [3, 0.5]\n'
    )
    entry = {"targets": TARGETS, "strategy": "weighted", "weights": [3, 0.5]}
    assert load({}, tmp_path).settings.aliases["fast"] == of_environment(tmp_path, entry)
    assert of_environment(tmp_path, entry).weights == (3, 0.5)


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("openai", "fast.targets.0: expected a target of the form provider/model"),
        ("/secret", "fast.targets.0: expected a target of the form provider/model"),
        ({"targets": []}, "fast: expected one target at least"),
        ({"targets": [TARGETS[0], "secret/"]}, "fast.targets.1: expected a target of the form provider/model"),
        ({"targets": TARGETS * 2}, "fast: expected every target once"),
        ({"targets": TARGETS, "strategy": "secret"}, "fast.strategy: expected 'ordered', 'weighted' or 'cheapest'"),
        ({"targets": TARGETS, "strategy": "weighted"}, 'fast: expected weights with the strategy "weighted"'),
        ({"targets": TARGETS, "weights": [1, 1]}, 'fast: expected weights with the strategy "weighted"'),
        ({"targets": TARGETS, "strategy": "weighted", "weights": [1]}, "fast: expected one weight for every target"),
        ({"targets": TARGETS, "strategy": "weighted", "weights": [0, 0]}, "fast: expected a weight above 0"),
        ({"targets": TARGETS, "strategy": "weighted", "weights": [-1, 2]}, "fast.weights.0: expected greater than"),
        ({"targets": TARGETS, "model": "secret"}, "fast.model: extra inputs are not permitted"),
        (7, "fast: expected provider/model, or a table with targets"),
    ],
)
def test_a_wrong_alias_is_named_by_its_place_and_without_its_value(tmp_path: Path, entry: Any, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        of_environment(tmp_path, entry)
    (found,) = caught.value.problems
    assert found.startswith(f"ORCHESTRATOR_ALIASES.{problem}")
    assert "secret" not in found


@pytest.mark.parametrize("name", ["", " ", " fast", "fast\t"])
def test_an_alias_has_a_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="expected a name without spaces around it"):
        load({"ORCHESTRATOR_ALIASES": json.dumps({name: TARGETS[0]})}, tmp_path)
