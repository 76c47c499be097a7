"""The client of a key as the API shows it, and as it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field

from orchestrator_core.config.grants import MAX_NAMES, Budget, Grant, Period, Role, check_model, check_provider
from orchestrator_core.orchestration.clients import MAX_NAME, MAX_OVERLAP, NAME, TENANT
from orchestrator_core.server.body import RequestModel
from orchestrator_core.server.endpoint import Described
from orchestrator_core.server.query import time_text
from orchestrator_core.sessions.clients import Client

MAX_TOKENS = 2**53
MAX_USD = 1_000_000_000.0

_Status = Literal["active", "expired", "revoked"]


def _time(text: str) -> str:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("expected a time with its zone, such as 2027-01-31T00:00:00Z")
    return moment.astimezone(UTC).isoformat()


def _each(check: Callable[[str], str]) -> AfterValidator:
    return AfterValidator(lambda names: [check(name) for name in names])


_Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME, pattern=NAME)]
_Tenant = Annotated[str, Field(min_length=1, max_length=MAX_NAME, pattern=TENANT)]
_Providers = Annotated[list[str], Field(min_length=1, max_length=MAX_NAMES), _each(check_provider)]
_Models = Annotated[list[str], Field(min_length=1, max_length=MAX_NAMES), _each(check_model)]
_Limit = Annotated[int, Field(ge=1, le=1_000_000)]
_Time = Annotated[str, AfterValidator(_time), Field(json_schema_extra={"format": "date-time"})]


class BudgetBody(RequestModel):
    """What a client may spend in a period: money, tokens, or both."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": ["usd"], "properties": {"usd": {"type": "number"}}},
                {"required": ["tokens"], "properties": {"tokens": {"type": "integer"}}},
            ]
        }
    )

    usd: float | None = Field(default=None, gt=0, le=MAX_USD, description="US dollars.")
    tokens: int | None = Field(default=None, gt=0, le=MAX_TOKENS, description="Input and output together.")
    period: Period = Field(default="month", description="A day or a month of UTC, or once and for all.")


class NewClientBody(RequestModel):
    """A client to be made; what is left out is not limited."""

    name: _Name = Field(description="What people call it; no two clients have the same.")
    role: Role = Field(default="client", description="`admin` manages clients and sees everybody's usage.")
    tenant: _Tenant | None = Field(default=None, description="Whose sessions it shares; one of its own where null.")
    providers: _Providers | None = Field(default=None, description="The only providers that it may ask.")
    models: _Models | None = Field(default=None, description="The only models: `provider/model`, `*` for anything.")
    requests_per_minute: _Limit | None = Field(default=None, description="In place of the configured limit.")
    session_requests_per_minute: _Limit | None = Field(default=None, description="The same for each session.")
    budget: BudgetBody | None = None
    expires_at: _Time | None = Field(default=None, description="When the key is not taken any more.")


class ClientChangeBody(RequestModel):
    """What is to change; what is left out stays, and null takes a limit away."""

    name: _Name | None = None
    role: Role | None = None
    providers: _Providers | None = None
    models: _Models | None = None
    requests_per_minute: _Limit | None = None
    session_requests_per_minute: _Limit | None = None
    budget: BudgetBody | None = None
    expires_at: _Time | None = None


class RotationBody(RequestModel):
    """How a key is replaced."""

    overlap_seconds: int = Field(
        default=0,
        ge=0,
        le=int(MAX_OVERLAP.total_seconds()),
        description="For how long the present key is taken beside the new one.",
    )


class BudgetState(Described):
    """A budget, and where one client is read, what is left of it."""

    usd: float | None
    tokens: int | None
    period: Period
    spent_usd: float | None = None
    spent_tokens: int | None = None
    held_usd: float | None = Field(default=None, description="For calls under way.")
    held_tokens: int | None = None
    remaining_usd: float | None = Field(default=None, description="Null where money is not limited.")
    remaining_tokens: int | None = None
    resets_at: str | None = Field(default=None, description="When it begins anew; null where it never does.")


class ClientBody(Described):
    """A client; null is no limit of its own."""

    id: str = Field(description="The public id, which the key and the totals of usage have too.")
    name: str
    role: Role
    tenant: str
    status: _Status
    providers: list[str] | None
    models: list[str] | None
    requests_per_minute: int | None
    session_requests_per_minute: int | None
    budget: BudgetState | None
    created_at: str | None
    expires_at: str | None
    revoked_at: str | None
    previous_key_until: str | None = Field(description="Until when the key before the last rotation is taken too.")


class IssuedKeyBody(ClientBody):
    """A client with a key that was just made: it is shown this once."""

    key: str


class ClientPageBody(Described):
    """Clients, oldest first."""

    clients: list[ClientBody]
    has_more: bool


def grant_of(body: NewClientBody) -> Grant:
    """Return what a new client may do."""
    return Grant(
        role=body.role,
        providers=None if body.providers is None else frozenset(body.providers),
        models=None if body.models is None else tuple(body.models),
        requests_per_minute=body.requests_per_minute,
        session_requests_per_minute=body.session_requests_per_minute,
        budget=budget_of(body.budget),
    )


def budget_of(body: BudgetBody | None) -> Budget | None:
    """Return a budget."""
    if body is None:
        return None
    return Budget(usd=body.usd, tokens=body.tokens, period=body.period)


def changed(client: Client, body: ClientChangeBody) -> Client:
    """Return a client with what a body changes of it."""
    given = {name: getattr(body, name) for name in body.model_fields_set}
    grant: dict[str, Any] = {
        name: given[name] for name in ("requests_per_minute", "session_requests_per_minute") if name in given
    }
    if given.get("role") is not None:
        grant["role"] = given["role"]
    if "providers" in given:
        grant["providers"] = None if body.providers is None else frozenset(body.providers)
    if "models" in given:
        grant["models"] = None if body.models is None else tuple(body.models)
    if "budget" in given:
        grant["budget"] = budget_of(body.budget)
    client = replace(client, grant=replace(client.grant, **grant))
    if "expires_at" in given:
        client = replace(client, expires_at=moment(body.expires_at))
    return client if body.name is None else replace(client, name=body.name)


def moment(text: str | None) -> datetime | None:
    """Return a time that was checked."""
    return None if text is None else datetime.fromisoformat(text)


def client_body(client: Client, now: datetime) -> dict[str, Any]:
    """Return a client as JSON, without anything of its keys."""
    status: _Status = "revoked" if client.revoked_at else "active" if client.usable(now) else "expired"
    previous = client.previous_until if client.previous_until and client.previous_until > now else None
    return {
        "id": client.id,
        "name": client.name,
        "tenant": client.tenant,
        "status": status,
        **grant_body(client.grant),
        "created_at": time_text(client.created_at),
        "expires_at": _time_or_none(client.expires_at),
        "revoked_at": _time_or_none(client.revoked_at),
        "previous_key_until": _time_or_none(previous),
    }


def grant_body(grant: Grant) -> dict[str, Any]:
    """Return what a client may do as JSON."""
    budget = grant.budget
    return {
        "role": grant.role,
        "providers": None if grant.providers is None else sorted(grant.providers),
        "models": None if grant.models is None else list(grant.models),
        "requests_per_minute": grant.requests_per_minute,
        "session_requests_per_minute": grant.session_requests_per_minute,
        "budget": budget and {"usd": budget.usd, "tokens": budget.tokens, "period": budget.period},
    }


def _time_or_none(time: datetime | None) -> str | None:
    return None if time is None else time_text(time)
