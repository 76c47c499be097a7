"""What docs/how-to shows in JavaScript works with Node.js."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from copied_commands import reader

SHOWN = Path(__file__).parents[2] / "docs" / "how-to" / "javascript"

pytestmark = pytest.mark.skipif(shutil.which("npm") is None, reason="Node.js with npm is not installed")

HELLO = "Hello from Claude."


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the examples and the libraries that they need. This asks the registry of npm."""
    folder = tmp_path_factory.mktemp("node") / "javascript"
    shutil.copytree(SHOWN, folder)
    asyncio.run(run(folder, ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"]))
    return folder


async def run(folder: Path, command: Sequence[str]) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(120):
        printed, _ = await process.communicate()
    assert process.returncode == 0, printed.decode()
    return printed.decode()


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("openai", [f"anthropic {HELLO}", "Done.", "2 vectors", "404 model_not_found"]),
        ("anthropic", ["Done.", HELLO]),
        ("fetch", ["You said: My name is Ada. [echo, ", "You said: What was my name?"]),
    ],
)
async def test_an_example_works(installed: Path, tmp_path: Path, name: str, lines: Sequence[str]) -> None:
    async with reader(tmp_path) as beside:
        code = (SHOWN / f"{name}.mjs").read_text().replace("http://127.0.0.1:8000", beside.url)
        (installed / f"{name}.mjs").write_text(code)
        printed = await run(installed, ["node", f"{name}.mjs"])
        assert [
            problem for vendor in beside.vendors.values() for call in vendor.asked for problem in call.problems
        ] == []
    assert len(printed.splitlines()) == len(lines)
    assert all(line.startswith(start) for line, start in zip(printed.splitlines(), lines, strict=True)), printed
