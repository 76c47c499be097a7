"""A gateway over four strict vendors, and what they say to the client libraries in front of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from aiohttp import web

from fake_upstreams.strict import Asked, StrictVendor
from fake_upstreams.strict_anthropic import StrictAnthropic
from fake_upstreams.strict_gemini import StrictGemini
from fake_upstreams.strict_mistral import StrictMistral
from fake_upstreams.strict_openai import StrictOpenAI
from orchestrator_anthropic import AnthropicProvider
from orchestrator_gemini import GeminiProvider
from orchestrator_mistral import MistralProvider
from orchestrator_openai import OpenAIProvider
from pairs.script import Call, Said
from pairs.wires import WIRES
from scripted_gateway import served

PAGES = Path(__file__).parents[2] / "docs" / "how-to"
MODELS = {
    "openai": "openai/gpt-4o-mini",
    "anthropic": "anthropic/claude-sonnet-5-5",
    "gemini": "gemini/gemini-3.8-flash",
    "mistral": "mistral/mistral-large-latest",
}
EMBEDDINGS = {
    "openai": "openai/text-embedding-3-small",
    "gemini": "gemini/gemini-embedding-001",
    "mistral": "mistral/mistral-embed",
}
STRICT: Mapping[str, type[StrictVendor]] = {
    "openai": StrictOpenAI,
    "anthropic": StrictAnthropic,
    "gemini": StrictGemini,
    "mistral": StrictMistral,
}
KEYS = {
    "openai": "sk-proj-" + "Ab1" * 20,
    "anthropic": "sk-ant-api03-" + "k" * 93 + "AA",
    "gemini": "AIza" + "k" * 35,
    "mistral": "k" * 32,
}
WEATHER = Call("get_weather", "Oslo", "It snows in Oslo.")
PICTURE = "iVBORw0KGgo="
"""A picture in base64."""
USAGE = {"openai": (12, 3), "anthropic": (18, 20), "gemini": (4, 2), "mistral": (12, 3)}
"""Tokens of input and of output that the answers of each vendor count, in all."""


def shown(name: str) -> Any:
    """Return the module that a page of the documentation shows."""
    spec = spec_from_file_location(name, PAGES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Frontage:
    """The gateway and the vendors behind it.

    Attributes:
        url: Where the gateway listens.
        vendors: The vendors' servers, by the provider's name.
    """

    url: str
    vendors: Mapping[str, StrictVendor]

    def say(self, name: str, text: str = "", *calls: Call, thinks: bool = False, stream: bool = False) -> None:
        """Script the next answer of a vendor."""
        vendor = self.vendors[name]
        said = Said(len(vendor.answers) + len(vendor.asked), text, calls=calls, thinks=thinks)
        answer = WIRES[name].give(said, stream=stream)
        if name == "anthropic" and stream:
            # Most recorded streams count everything again at their end, and ChatAnthropic reads the input there.
            begun = answer[0]["message"]["usage"]
            answer = [
                {**each, "usage": {**begun, **each["usage"]}} if each["type"] == "message_delta" else each
                for each in answer
            ]
        vendor.give(answer) if isinstance(vendor, StrictGemini) else vendor.answers.append(answer)

    def refuse(self, name: str, message: str, status: int) -> None:
        """Script a refusal in the vendor's own form."""
        _, body = self.vendors[name].refusal([message])
        self.vendors[name].answers.append(web.json_response(body, status=status))

    def call_id(self, name: str, turn: int = 0) -> str:
        """Return the id that a vendor gave the only call of an answer."""
        return WIRES[name].make_id(turn, 0, WEATHER)

    def asked(self, name: str) -> Sequence[Asked]:
        """Return what a vendor was asked, which it took, and which nobody else was asked."""
        for other, vendor in self.vendors.items():
            assert [each.problems for each in vendor.asked if each.problems] == []
            assert other == name or not vendor.asked
        return self.vendors[name].asked


@asynccontextmanager
async def frontage(directory: Path, **environ: str) -> AsyncIterator[Frontage]:
    """Serve the four vendors, and a gateway over them."""
    async with AsyncExitStack() as stack:
        vendors = {name: await stack.enter_async_context(strict()) for name, strict in STRICT.items()}
        settings = {f"{name.upper()}_BASE_URL": vendor.url for name, vendor in vendors.items()}
        keys = {f"{name.upper()}_API_KEY": key for name, key in KEYS.items()}
        plugins = [OpenAIProvider, AnthropicProvider, GeminiProvider, MistralProvider]
        gateway = await stack.enter_async_context(
            served(directory, plugins, {"MONITORING_ENABLED": "false", **settings, **keys, **environ})
        )
        yield Frontage(gateway.url, vendors)
