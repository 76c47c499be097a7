"""LangChain in front of a gateway: nothing but the address and the names of the models is special."""

from __future__ import annotations

from collections.abc import AsyncIterator

from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, SecretStr

GATEWAY = "http://127.0.0.1:8000"
KEY = SecretStr("unused")  # the gateway's client key where one is configured


def openai_dialect(model: str, gateway: str = GATEWAY) -> ChatOpenAI:
    """Any model, by `provider/model`, through OpenAI's protocol."""
    return ChatOpenAI(
        base_url=f"{gateway}/v1",
        api_key=KEY,
        model=model,
        max_retries=0,  # the gateway tries again itself
        stream_usage=True,  # LangChain asks other addresses than OpenAI's for no usage of streams by itself
        use_responses_api=False,  # the gateway speaks Chat Completions
    )


def anthropic_dialect(model: str, gateway: str = GATEWAY) -> ChatAnthropic:
    """Any model, by `provider/model`, through Anthropic's protocol."""
    return ChatAnthropic(
        base_url=gateway,
        api_key=KEY,
        model_name=model,
        max_tokens_to_sample=1024,
        max_retries=0,
        timeout=600,  # in seconds
        stop=None,
    )


def embeddings(model: str, gateway: str = GATEWAY) -> OpenAIEmbeddings:
    """Any model of embeddings, by `provider/model`."""
    return OpenAIEmbeddings(
        base_url=f"{gateway}/v1",
        api_key=KEY,
        model=model,
        max_retries=0,
        check_embedding_ctx_length=False,  # send texts: numbers of OpenAI's tokens mean nothing to another provider
    )


# What to do with them.
async def ask(model: BaseChatModel, question: str) -> str:
    """Ask for a whole answer."""
    answer = await model.ainvoke(question)
    return answer.text


async def stream(model: BaseChatModel, question: str) -> AsyncIterator[str]:
    """Ask for an answer in pieces."""
    async for piece in model.astream(question):
        if piece.text:
            yield piece.text


@tool
def get_weather(city: str) -> str:
    """Say how the weather in a city is."""
    return f"It snows in {city}."


async def converse(model: BaseChatModel, question: str) -> list[BaseMessage]:
    """Ask, run the tools that are called for, and go on until there is an answer."""
    equipped = model.bind_tools([get_weather])
    messages: list[BaseMessage] = [HumanMessage(question)]
    while True:
        answer = await equipped.ainvoke(messages)
        messages.append(answer)
        if not answer.tool_calls:
            return messages
        messages += [await get_weather.ainvoke(call) for call in answer.tool_calls]


class Town(BaseModel):
    """A town."""

    city: str


async def find_town(model: ChatOpenAI | ChatAnthropic, question: str) -> Town:
    """Ask for an answer of a given form."""
    answer = await model.with_structured_output(Town, method="json_schema").ainvoke(question)
    return Town.model_validate(answer)


async def describe(model: BaseChatModel, png: str) -> str:
    """Ask about a picture, in base64."""
    picture = {"type": "image", "base64": png, "mime_type": "image/png"}
    answer = await model.ainvoke([HumanMessage([{"type": "text", "text": "What is this?"}, picture])])
    return answer.text
