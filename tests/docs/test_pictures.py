"""Drawn pictures need nothing from the network."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

IMAGES = Path(__file__).parents[2] / "docs" / "images"


@pytest.mark.parametrize("picture", sorted(IMAGES.glob("*.svg")), ids=lambda path: path.name)
def test_a_drawing_is_whole_and_loads_nothing(picture: Path) -> None:
    text = picture.read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)  # noqa: S314 - a file of this tree
    assert root.findtext("{http://www.w3.org/2000/svg}title")
    assert not re.search(r"@font-face|@import|<image|<script|href=(?!.#)|url\((?!#)", text)
    assert len(text) < 100_000
