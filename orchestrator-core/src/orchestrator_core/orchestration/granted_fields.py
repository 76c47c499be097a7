"""Fields of a request by which a caller would get what its key does not grant: another model, or another price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

from orchestrator_core.orchestration.routing import Target
from orchestrator_core.provider_api import ChatRequest, EmbeddingRequest, Json, PermissionDenied
from orchestrator_core.security.principal import Principal

_NESTED = "extra_body"
"""Where some servers look for more fields."""


def check_fields(principal: Principal, targets: Sequence[Target], request: ChatRequest | EmbeddingRequest) -> None:
    """Refuse a request that would choose, past its `model`, what answers it, or what that costs.

    Which fields do so is said by the providers (`ProviderInfo.choosing_fields`, `pricing_fields`).

    Args:
        principal: Who asks.
        targets: Who may be asked.
        request: What is asked.

    Raises:
        PermissionDenied: It would, and the caller is limited to some models, or in money.
    """
    grant = principal.grant
    money = grant.budget is not None and grant.budget.usd is not None
    if grant.models is None and not money:
        return
    fields = _fields(request)
    for info in {target.provider.id: target.provider.info for target in targets}.values():
        for name in info.choosing_fields:
            if fields.get(name) is not None:
                limit = "in money" if grant.models is None else "to some models"
                raise PermissionDenied(
                    f"This credential is limited {limit}, and {name!r} may choose another model than the one that is "
                    "asked for. Leave it out.",
                    param=name,
                )
        for name, known in info.pricing_fields.items() if money else ():
            value = fields.get(name)
            if value is not None and not (isinstance(value, str) and value.lower() in known):
                raise PermissionDenied(
                    f"This credential has a budget in money, and nobody here knows what another {name!r} costs: leave "
                    f"it out, or say {known[0]!r}.",
                    param=name,
                )


def _fields(request: ChatRequest | EmbeddingRequest) -> Mapping[str, Json]:
    """Return the fields of a request that are not core's own, as the caller named them."""
    native = request.native_options if isinstance(request, ChatRequest) else request.native
    given: dict[str, Json] = {**(native.body if native else {}), **request.extra}
    nested = given.get(_NESTED)
    return dict(chain(nested.items() if isinstance(nested, Mapping) else (), given.items()))
