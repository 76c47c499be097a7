"""Who a client is."""

from __future__ import annotations

import pytest

from orchestrator_core.config import Settings
from orchestrator_core.provider_api import Secret, Unauthenticated
from orchestrator_core.security.authentication import DEFAULT_PRINCIPAL, Authenticator
from orchestrator_core.security.principal import ANONYMOUS

KEY = "0123456789abcdefghijklmnopqrstuv"


@pytest.mark.parametrize("environment", ["development", "staging"])
@pytest.mark.parametrize("credential", [None, "", "anything", KEY])
def test_without_a_client_key_anybody_is_let_in_outside_production(environment: str, credential: str | None) -> None:
    check = Authenticator.from_settings(Settings.model_validate({"environment": environment}))
    assert not check.asks
    assert check.authenticate(credential) is ANONYMOUS


@pytest.mark.parametrize("environment", ["development", "staging", "production"])
def test_the_client_key_is_asked_for(environment: str) -> None:
    check = Authenticator.from_settings(
        Settings.model_validate({"environment": environment, "client_key": Secret(KEY)})
    )
    assert check.asks
    assert check.authenticate(KEY) is DEFAULT_PRINCIPAL


@pytest.mark.parametrize(
    "credential", [None, "", "wrong", KEY[:-1], f"{KEY} ", KEY.upper(), f"{KEY}\udcff", "\udcff", "é" * 32]
)
def test_any_other_credential_is_refused_without_being_shown(credential: str | None) -> None:
    check = Authenticator(Secret(KEY), required=False)
    with pytest.raises(Unauthenticated) as caught:
        check.authenticate(credential)
    assert "Authorization: Bearer" in caught.value.message
    assert KEY[:-1] not in caught.value.message


@pytest.mark.parametrize("credential", [None, "anything"])
def test_production_without_a_client_key_lets_nobody_in(credential: str | None) -> None:
    check = Authenticator.from_settings(Settings(environment="production"))
    with pytest.raises(Unauthenticated):
        check.authenticate(credential)


def test_a_client_and_nobody_see_the_same_data() -> None:
    assert DEFAULT_PRINCIPAL.tenant == ANONYMOUS.tenant
