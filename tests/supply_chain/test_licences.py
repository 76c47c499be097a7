from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from supply_chain.scripts import load_script

licences = load_script("licences")


@pytest.mark.parametrize(
    ("named", "good"),
    [
        ([{"license": {"id": "MIT"}}], True),
        ([{"expression": "Apache-2.0 AND MIT"}], True),
        ([{"expression": "(MIT OR Apache-2.0)"}], True),
        ([{"license": {"name": "License :: OSI Approved :: BSD License"}}], True),
        ([{"license": {"id": "MIT"}}, {"license": {"id": "GPL-3.0-only"}}], False),
        ([{"expression": "MIT AND LGPL-2.1-or-later"}], False),
        ([{"license": {"name": "Ask us"}}], False),
        ([], False),
    ],
)
def test_what_is_not_known_to_be_permissive_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], named: list[Any], good: bool
) -> None:
    sbom = tmp_path / "sbom.json"
    sbom.write_text(json.dumps({"components": [{"name": "acme", "version": "1.0", "licenses": named}]}))
    assert licences.main(sbom) == (0 if good else 1)
    assert ("NOT PERMISSIVE: acme 1.0" in capsys.readouterr().out) is not good
