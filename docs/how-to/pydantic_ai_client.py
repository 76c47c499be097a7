"""pydantic-ai in front of a gateway: nothing but the address and the names of the models is special."""

from __future__ import annotations

from collections.abc import AsyncIterator

from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, Embedder, NativeOutput
from pydantic_ai.embeddings.openai import OpenAIEmbeddingModel
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

GATEWAY = "http://127.0.0.1:8000"
KEY = "unused"  # the gateway's client key where one is configured


def openai_dialect(model: str, gateway: str = GATEWAY) -> OpenAIChatModel:
    """Any model, by `provider/model`, through OpenAI's protocol."""
    return OpenAIChatModel(model, provider=OpenAIProvider(base_url=f"{gateway}/v1", api_key=KEY))


def anthropic_dialect(model: str, gateway: str = GATEWAY) -> AnthropicModel:
    """Any model, by `provider/model`, through Anthropic's protocol."""
    return AnthropicModel(model, provider=AnthropicProvider(base_url=gateway, api_key=KEY))


def embedder(model: str, gateway: str = GATEWAY) -> Embedder:
    """Any model of embeddings, by `provider/model`."""
    provider = OpenAIProvider(base_url=f"{gateway}/v1", api_key=KEY)
    return Embedder(OpenAIEmbeddingModel(model, provider=provider))


# What to do with them.
async def ask(model: Model, question: str) -> str:
    """Ask for a whole answer."""
    return (await Agent(model).run(question)).output


async def stream(model: Model, question: str) -> AsyncIterator[str]:
    """Ask for an answer in pieces."""
    async with Agent(model).run_stream(question) as answer:
        async for piece in answer.stream_text(delta=True, debounce_by=None):
            yield piece


def get_weather(city: str) -> str:
    """Say how the weather in a city is."""
    return f"It snows in {city}."


def guide(model: Model) -> Agent[None, str]:
    """Make an agent with a tool."""
    return Agent(model, instructions="You are a guide.", tools=[get_weather])


class Town(BaseModel):
    """A town."""

    city: str


async def find_town(model: Model, question: str) -> Town:
    """Ask for an answer of a given form, which pydantic-ai asks for as the call of a tool."""
    return (await Agent(model, output_type=Town).run(question)).output


async def find_town_natively(model: Model, question: str) -> Town:
    """Ask for an answer of a given form, by the provider's own structured output."""
    return (await Agent(model, output_type=NativeOutput(Town)).run(question)).output


async def describe(model: Model, png: bytes) -> str:
    """Ask about a picture."""
    return (await Agent(model).run(["What is this?", BinaryContent(png, media_type="image/png")])).output
