"""Fields of a request by which a caller would get what its key does not grant: another model, or another price."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from orchestrator_core.orchestration.answer_limits import answer_limits
from orchestrator_core.orchestration.asked_fields import asked_fields
from orchestrator_core.orchestration.routing import Target
from orchestrator_core.provider_api import ChatRequest, EmbeddingRequest, Json, PermissionDenied, ProviderInfo
from orchestrator_core.security.principal import Principal

_MODEL: Final = "model"
_TOOLS: Final = "tools"


def check_fields(principal: Principal, targets: Sequence[Target], request: ChatRequest | EmbeddingRequest) -> None:
    """Refuse a request that would choose, past its `model`, what answers it, or what that costs.

    Which fields do so is said by the providers (`ProviderInfo.choosing_fields`, `pricing_fields`, `free_tools`). Names
    are compared without case, as servers in Go read them. Of a caller with a budget the lengths have to be such that
    they can be held: a turn that cannot begin is not stored.

    Args:
        principal: Who asks.
        targets: Who may be asked.
        request: What is asked.

    Raises:
        PermissionDenied: It would, and the caller is limited to some models, or in money.
        InvalidRequest: As for `answer_limits`, where the caller has a budget.
    """
    grant = principal.grant
    if grant.budget is not None and isinstance(request, ChatRequest):
        answer_limits(request)
    money = grant.budget is not None and grant.budget.usd is not None
    if grant.models is None and not money:
        return
    fields = list(_fields(request))
    for info in {target.provider.id: target.provider.info for target in targets}.values():
        choosing = {_MODEL, *map(_folded, info.choosing_fields)}
        for name, _ in fields:
            if _folded(name) in choosing:
                limit = "in money" if grant.models is None else "to some models"
                raise PermissionDenied(
                    f"This credential is limited {limit}, and {name!r} may choose another model than the one that is "
                    "asked for. Leave it out.",
                    param=name,
                )
        if money:
            _check_prices(info, fields)


def _check_prices(info: ProviderInfo, fields: Sequence[tuple[str, Json]]) -> None:
    """Refuse what makes a call dearer than anybody here knows."""
    pricing = {_folded(name): known for name, known in info.pricing_fields.items()}
    for name, value in fields:
        known = pricing.get(_folded(name))
        if known is not None and value is not False and not (isinstance(value, str) and value.lower() in known):
            another, instead = ("another ", f", or say {known[0]!r}") if known else ("", "")
            raise PermissionDenied(
                f"This credential has a budget in money, and nobody here knows what {another}{name!r} costs: leave it "
                f"out{instead}.",
                param=name,
            )
        if _folded(name) == _TOOLS and isinstance(value, list):
            for kind in map(_kind, value):
                if kind is None or not any(re.fullmatch(free, kind) for free in info.free_tools):
                    raise PermissionDenied(
                        f"This credential has a budget in money, and nobody knows beforehand what {name!r} of the type "
                        f"{kind!r} cost: leave them out.",
                        param=name,
                    )


def _kind(tool: Json) -> str | None:
    """Return the type of a tool; None where it has none, or more than one. Without a type it is a function."""
    if not isinstance(tool, Mapping):
        return None
    kinds = [value for name, value in tool.items() if _folded(name) == "type" and value is not None]
    if not kinds and ("name" in tool or "function" in tool):
        return "function"
    return kinds[0] if len(kinds) == 1 and isinstance(kinds[0], str) else None


def _fields(request: ChatRequest | EmbeddingRequest) -> Iterator[tuple[str, Json]]:
    """Yield the fields of a request that are not core's own, as the caller named them, also those within others."""
    for place, name, value in asked_fields(request):
        if value is not None and (place != _MODEL or place in request.extra):
            yield name, value


def _folded(name: str) -> str:
    """Return a name without case: `models` and `Models` are one to some servers, even with a long s at the end."""
    return name.casefold()
