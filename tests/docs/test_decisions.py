"""Each decision has a number of its own, by which others refer to it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECORDS = sorted((ROOT / "docs/explanation/decisions").glob("[0-9]*.md"))
REFERRING = [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")]


def test_numbers_run_through_and_none_comes_twice() -> None:
    assert [int(path.name[:4]) for path in RECORDS] == list(range(1, len(RECORDS) + 1))


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.stem)
def test_a_record_is_headed_by_its_number(record: Path) -> None:
    assert record.read_text().startswith(f"# {int(record.name[:4])}. ")


def test_a_link_names_the_number_of_its_record() -> None:
    links = [
        link for page in REFERRING for link in re.findall(r"\[[Dd]ecision (\d+)\]\([^)]*?(\d{4})-", page.read_text())
    ]
    assert links
    assert all(int(said) == int(number) for said, number in links)
