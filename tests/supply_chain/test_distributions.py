"""The check of what was built: what a release must be, and each way in which it can be something else."""

from __future__ import annotations

import tarfile
import zipfile
from dataclasses import replace
from email.message import EmailMessage
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from packaging.metadata import Metadata

from supply_chain.scripts import load_script

NAMES = ["orchestrator-core", "orchestrator-acme"]


@pytest.fixture(scope="module")
def module() -> ModuleType:
    return load_script("distributions")


def text(name: str, version: str = "0.3.0", **fields: str) -> bytes:
    """Return metadata as they stand in a distribution."""
    message = EmailMessage()
    needs = {} if name == NAMES[0] else {"Requires-Dist": "orchestrator-core>=0.3,<0.4"}
    given = {
        "Metadata-Version": "2.4",
        "Name": name,
        "Version": version,
        "Summary": "What it is",
        "Requires-Python": ">=3.11",
        "License-Expression": "MIT",
        "License-File": "LICENSE",
        "Classifier": "Typing :: Typed",
        "Description-Content-Type": "text/markdown",
        **needs,
        **fields,
    }
    for field, value in given.items():
        message[field] = value
    message.set_payload("# What it is\n")
    return message.as_bytes()


def files(name: str, wheel: bool) -> list[str]:
    package = name.replace("-", "_")
    if wheel:
        info = f"{package}-0.3.0.dist-info"
        return [
            f"{package}/__init__.py",
            f"{package}/py.typed",
            f"{info}/METADATA",
            f"{info}/RECORD",
            f"{info}/licenses/LICENSE",
        ]
    top = [".gitignore", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml"]
    return [*top, f"src/{package}/__init__.py", f"src/{package}/py.typed"]


def release(module: ModuleType) -> list[Any]:
    return [
        module.Built(name, Metadata.from_email(text(name)), files(name, wheel), wheel)
        for name in NAMES
        for wheel in (True, False)
    ]


def test_a_good_release_has_no_problem(module: ModuleType) -> None:
    assert list(module.problems(release(module), NAMES)) == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"Version": "0.2.0"}, "versions 0.2.0, 0.3.0, and not one"),
        ({"Requires-Python": ">=3.12"}, "do not all ask for the same Python"),
        ({"Requires-Dist": "orchestrator-core>=0.2,<0.3"}, "which has to admit 0.3.0 and not 0.4"),
        ({"Requires-Dist": "orchestrator-core>=0.3"}, "which has to admit 0.3.0 and not 0.4"),
        ({"Requires-Dist": "aiohttp"}, "it needs orchestrator-core 0 times"),
        ({"License-Expression": "Apache-2.0"}, "its licence is Apache-2.0"),
        ({"Description-Content-Type": "text/plain"}, "does not say what it is"),
        ({"Classifier": "Framework :: aiohttp"}, "does not say that it is typed"),
    ],
)
def test_what_a_plugin_says_of_itself_is_checked(module: ModuleType, fields: dict[str, str], said: str) -> None:
    built = release(module)
    built[2] = replace(built[2], metadata=Metadata.from_email(text(NAMES[1], **fields)))
    assert any(said in problem for problem in module.problems(built, NAMES))


@pytest.mark.parametrize(
    ("index", "added", "said"),
    [
        (2, "tests/test_acme.py", "at its top are"),
        (2, "orchestrator_acme/tests/test_wire.py", "orchestrator_acme/tests/test_wire.py is in it"),
        (2, "orchestrator_acme/conftest.py", "conftest.py is in it"),
        (2, "orchestrator_acme/__pycache__/a.cpython-311.pyc", "a.cpython-311.pyc is in it"),
        (2, "orchestrator_acme/.env", ".env is in it"),
        (3, "src/orchestrator_acme/orchestrator.db", "orchestrator.db is in it"),
        (3, "notes.txt", "at its top are"),
    ],
)
def test_what_is_in_it_and_should_not_be_is_found(module: ModuleType, index: int, added: str, said: str) -> None:
    built = release(module)
    built[index] = replace(built[index], files=[*built[index].files, added])
    assert any(said in problem for problem in module.problems(built, NAMES))


def test_the_templates_of_new_provider_have_tests_of_their_own(module: ModuleType) -> None:
    built = release(module)
    template = "orchestrator_core/testing/templates/own_wire/tests/test_conformance.py"
    built[0] = replace(built[0], files=[*built[0].files, template])
    assert list(module.problems(built, NAMES)) == []


@pytest.mark.parametrize(
    "missing", ["orchestrator_acme/py.typed", "orchestrator_acme-0.3.0.dist-info/licenses/LICENSE"]
)
def test_what_is_missing_is_found(module: ModuleType, missing: str) -> None:
    built = release(module)
    built[2] = replace(built[2], files=[name for name in built[2].files if name != missing])
    assert [f"wheel of orchestrator-acme: {missing} is missing"] == list(module.problems(built, NAMES))


def test_a_release_without_one_of_its_distributions_is_none(module: ModuleType) -> None:
    found = list(module.problems(release(module)[:-1], NAMES))
    assert found == [
        "a source distribution of each is orchestrator-acme, orchestrator-core, and there is orchestrator-core"
    ]


def test_files_are_read_as_they_are_built(
    module: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in NAMES:
        package = name.replace("-", "_")
        with zipfile.ZipFile(tmp_path / f"{package}-0.3.0-py3-none-any.whl", "w") as wheel:
            for file in files(name, wheel=True):
                wheel.writestr(file, text(name) if file.endswith("METADATA") else b"")
        with tarfile.open(tmp_path / f"{package}-0.3.0.tar.gz", "w:gz") as source:
            for file in files(name, wheel=False):
                content = text(name) if file == "PKG-INFO" else b""
                member = tarfile.TarInfo(f"{package}-0.3.0/{file}")
                member.size = len(content)
                source.addfile(member, BytesIO(content))
    assert module.main(tmp_path, NAMES) == 0
    assert "2 distributions fit together" in capsys.readouterr().out
    assert module.main(tmp_path, [*NAMES, "orchestrator-other"]) == 1
    assert "orchestrator-other" in capsys.readouterr().out
