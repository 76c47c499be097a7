"""What an endpoint is: its route and its documentation in one place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any, Literal, TypeAlias, TypedDict, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, RootModel

from orchestrator_core.config.grants import Role
from orchestrator_core.provider_api import GatewayError
from orchestrator_core.server.errors import Surface

T = TypeVar("T")

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Described(BaseModel):
    """The base of models that document something and check nothing: they are built when the document is."""

    model_config = ConfigDict(defer_build=True)


class DescribedRoot(RootModel[T]):
    """The same for what is one of several."""

    model_config = ConfigDict(defer_build=True)


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A parameter of an endpoint that stands outside its body.

    Attributes:
        name: Its name.
        place: Where it stands.
        description: What it does.
        schema: JSON Schema of its value.
        required: Whether it must be there; path parameters always must.
        words: Whether its value is what people wrote, in which nobody looks for attacks.
    """

    name: str
    place: Literal["path", "query", "header"]
    description: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})
    required: bool = False
    words: bool = False


@dataclass(frozen=True, kw_only=True)
class EventStream:
    """An answer of server-sent events.

    Attributes:
        event: The model of the data of one event.
        opening: The first events of an answer, as they are on the wire.
        ending: Those that end it where all goes well. An error ends it as its surface has errors.
        mark: The data of the last event where that is no JSON.
    """

    event: type[BaseModel]
    opening: str
    ending: str
    mark: str | None = None


class Bodies(TypedDict, total=False):
    """What documents the bodies of an `Endpoint`, by the names of its attributes."""

    request: type[BaseModel]
    request_examples: Mapping[str, Mapping[str, Any]]
    response: type[BaseModel]
    response_example: Mapping[str, Any]
    stream: EventStream


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One operation of the HTTP surface.

    Attributes:
        method: The HTTP method.
        path: The route, as aiohttp writes it; the documented path leaves out its patterns.
        handler: Serves it.
        summary: One line for the documentation.
        tag: The group in the documentation.
        surface: Whose conventions its errors follow.
        description: More for the documentation, in Markdown.
        request: The model of the JSON body; None where there is none.
        body_media_types: What the body may be, the proper one first.
        body_schema: JSON Schema of a body that is no JSON object; None where there is none.
        body_example: Such a body. It is documented with the last of the types, which more tools know how to send.
        response: The model of the JSON answer; None where the answer is no JSON object.
        media_types: Other kinds of the successful answer with their JSON Schemas, such as `text/plain`.
        status: The status of success.
        errors: What it raises beyond what every endpoint may.
        request_examples: Bodies by name.
        response_example: An answer.
        stream: What it answers with as `text/event-stream`; None where it never does.
        bodies: Where the `Bodies` are that document alone and are imported with the document, as `module:name` within
            `routes`; None where all stand here.
        parameters: What stands in path, query and headers.
        authenticated: Whether it asks for the client's credential.
        authenticated_in_production: Whether it does so in production at least.
        role: Who may ask, where a credential is asked for: an admin alone, or every client.
        browsed: Whether people open it in a browser, which sends a credential as HTTP Basic alone.
        probe: Whether it tells how the process is: it is served to the last and not logged while all is well.
        idempotent: Whether it takes `Idempotency-Key`.
        takes_provider_key: Whether the caller may bring a provider key.
        cached: Whether its answer may come from the cache of answers.
    """

    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    handler: Handler
    summary: str
    tag: str
    surface: Surface
    description: str | None = None
    request: type[BaseModel] | None = None
    body_media_types: Sequence[str] = ("application/json",)
    body_schema: Mapping[str, Any] | None = None
    body_example: str | None = None
    response: type[BaseModel] | None = None
    media_types: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    status: int = 200
    errors: Sequence[type[GatewayError]] = ()
    request_examples: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    response_example: Mapping[str, Any] | None = None
    stream: EventStream | None = None
    bodies: str | None = None
    parameters: Sequence[Parameter] = ()
    authenticated: bool = True
    authenticated_in_production: bool = False
    role: Role = "client"
    browsed: bool = False
    probe: bool = False
    idempotent: bool = False
    takes_provider_key: bool = False
    cached: bool = False

    def documented(self) -> Endpoint:
        """Return it with all that documents its bodies."""
        if self.bodies is None:
            return self
        module, _, name = self.bodies.partition(":")
        bodies: Bodies = getattr(import_module(f"orchestrator_core.server.routes.{module}"), name)
        return replace(self, bodies=None, **bodies)
