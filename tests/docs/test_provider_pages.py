"""Each provider has a page, whose first calls work, and whose tables are made from the plugin."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType

import pytest
import pytest_asyncio
from aiohttp import ClientSession

from copied_commands import Reader, needs_curl, reader
from documentation import DOCS, ROOT, SHELLS, Block, parse
from orchestrator_core.provider_api import GatewayError

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLUGINS = sorted(path.parent.name for path in (ROOT / "plugins").glob("*/pyproject.toml"))
PROVIDERS = [name for name in PLUGINS if name != "openai-compatible"]
STARTED = ("anthropic", "mistral")
"""The providers for which the command is started: a start takes a second, and the lines differ in a name alone."""

FOLDER = DOCS / "how-to" / "providers"


def tables(name: str = "provider_table") -> ModuleType:
    spec = spec_from_file_location(name, DOCS / "_ext" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="beside")
async def _beside(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Reader]:
    async with reader(tmp_path_factory.mktemp("reader")) as found:
        yield found


async def test_every_plugin_has_a_page_that_the_list_names() -> None:
    assert sorted(page.stem for page in FOLDER.glob("*.md")) == sorted([*PLUGINS, "index"])
    listed = (FOLDER / "index.md").read_text().partition("```{toctree}")[2]
    assert set(PLUGINS) <= set(listed.split())


@pytest.mark.parametrize("name", PROVIDERS)
async def test_a_page_shows_the_card_the_first_calls_and_where_to_get_a_key(name: str) -> None:
    text = (FOLDER / f"{name}.md").read_text()
    assert {f"```{{about-provider}} {name} {part}" for part in ("card", "calls")} <= set(text.splitlines())
    if name != "echo":
        assert f"```{{about-provider}} {name} models" in text
        assert re.search(r"## Get a key\n\n[^#]*<https://", text)
        for title in ("At a glance", "Settings", "When it fails"):
            assert f"\n## {title}\n" in text


@needs_curl
@pytest.mark.parametrize("name", PROVIDERS)
async def test_the_first_calls_work_in_a_shell(beside: Reader, name: str) -> None:
    found = [block.text for block in first_calls(name) if block.language in SHELLS]
    if name not in STARTED:
        found = [text for text in found if "orchestrator chat" not in text]
    before = asked(beside)
    printed = await beside.shell("\n".join(found))
    assert printed.count('"total_tokens"') == 1 + sum("embeddings" in text for text in found)
    calls = 2 + sum("embeddings" in text or "orchestrator chat" in text for text in found)
    assert asked(beside) - before == Counter({name: calls} if name != "echo" else {})


async def test_the_first_calls_work_in_python(beside: Reader) -> None:
    before = asked(beside)
    found = [block.text for name in PROVIDERS for block in first_calls(name) if block.language == "python"]
    printed = await beside.python("\n".join(found))
    assert len(printed.splitlines()) == len(found) == 2 * len(PROVIDERS)
    assert asked(beside) - before == Counter({name: 2 for name in PROVIDERS if name != "echo"})


def first_calls(name: str) -> Sequence[Block]:
    return parse(FOLDER / f"{name}.md", "\n".join(tables().call_lines(name)))


def asked(beside: Reader) -> Counter[str]:
    """Count what each vendor was asked; all of it has to be to its liking."""
    assert [problem for vendor in beside.vendors.values() for call in vendor.asked for problem in call.problems] == []
    return Counter({name: len(vendor.asked) for name, vendor in beside.vendors.items()})


JUDGED = {"openai": ["Video"], "mistral": ["Sound", "Video"]}
"""What is passed on and not marked: the vendor refuses it, but for models of which nobody here knows."""

MEDIA: dict[str, dict[str, object]] = {
    "Images": {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
    "Documents": {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
    "Sound": {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
    "Video": {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}},
}


@pytest.mark.parametrize("name", [name for name in PROVIDERS if name != "echo"])
async def test_the_comparison_says_which_media_reach_a_provider(beside: Reader, name: str) -> None:
    lines = (DOCS / "explanation" / "comparison.md").read_text().partition("| | Images ")
    header, _, *rows = f"{lines[1]}{lines[2]}".splitlines()
    (row,) = [row for row in rows if row.startswith(f"| `{name}` |")][:1]
    said = dict(zip(cells(header)[1:], (cell == "✓" for cell in cells(row)[1:]), strict=True))
    models = {cls.info.name: cls.info for _, cls in tables().provider_cards()}
    reached = {}
    async with ClientSession() as http:
        for medium, part in MEDIA.items():
            content = [{"type": "text", "text": "What is this?"}, part]
            model = f"{name}/{models[name].default_model}"
            body = {"model": model, "messages": [{"role": "user", "content": content}]}
            async with http.post(f"{beside.url}/v1/chat/completions", json=body) as response:
                assert response.status == 200, await response.text()
            reached[medium] = "x-orchestrator-dropped" not in response.headers
    for passed_on in JUDGED.get(name, ()):
        assert not said[passed_on]
        said[passed_on] = True
    assert reached == said


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


async def test_the_errors_of_the_pages_are_codes_of_the_gateway() -> None:
    codes = {kind.code for kind in _tree(GatewayError)}
    named = {
        word
        for page in FOLDER.glob("*.md")
        for line in page.read_text().splitlines()
        for word in re.findall(r"^\| `(provider_\w+|content_\w+|context_\w+)`", line)
    }
    assert len(named) > 6
    assert named <= codes


def _tree(kind: type[GatewayError]) -> list[type[GatewayError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in _tree(child))]
