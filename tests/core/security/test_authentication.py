"""Who a client is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator_core.config import Settings
from orchestrator_core.provider_api import Secret, Unauthenticated
from orchestrator_core.security.authentication import Authenticator
from orchestrator_core.security.client_keys import KnownKey, NewKey, make_key
from orchestrator_core.security.principal import ANONYMOUS, DEFAULT_PRINCIPAL, Principal

KEY = "0123456789abcdefghijklmnopqrstuv"


class Directory:
    """Keys of a store: those that are known, and those that a look into the store finds."""

    def __init__(self, *known: KnownKey, made: bool = False) -> None:
        self.known = {key.principal.id: key for key in known}
        self.new: dict[str, KnownKey] = {}
        self.made = made or bool(known)
        self.looks = 0

    @property
    def any_made(self) -> bool:
        return self.made

    def find(self, client_id: str) -> KnownKey | None:
        return self.known.get(client_id)

    async def refresh(self) -> None:
        self.looks += 1
        self.known |= self.new
        self.made |= bool(self.new)


def check(directory: Directory | None = None, clock: Callable[[], float] = time.time, **settings: Any) -> Authenticator:
    return Authenticator(Settings.model_validate(settings), directory or Directory(), clock)


def known(key: NewKey, **fields: Any) -> KnownKey:
    return KnownKey(principal=Principal(id=key.id, tenant=key.id), digest=key.digest, **fields)


@pytest.mark.parametrize("environment", ["development", "staging"])
@pytest.mark.parametrize("credential", [None, "", "anything", KEY])
async def test_without_a_client_key_anybody_is_let_in_outside_production(
    environment: str, credential: str | None
) -> None:
    open_to_all = check(environment=environment)
    assert not open_to_all.asks
    assert await open_to_all.authenticate(credential) is ANONYMOUS


@pytest.mark.parametrize("environment", ["development", "staging", "production"])
async def test_the_client_key_is_asked_for(environment: str) -> None:
    asking = check(environment=environment, client_key=Secret(KEY))
    assert asking.asks
    assert await asking.authenticate(KEY) is DEFAULT_PRINCIPAL


@pytest.mark.parametrize(
    "credential", [None, "", "wrong", KEY[:-1], f"{KEY} ", KEY.upper(), f"{KEY}\udcff", "\udcff", "é" * 32]
)
async def test_any_other_credential_is_refused_without_being_shown(credential: str | None) -> None:
    with pytest.raises(Unauthenticated) as caught:
        await check(client_key=Secret(KEY)).authenticate(credential)
    assert "Authorization: Bearer" in caught.value.message
    assert KEY[:-1] not in caught.value.message


@pytest.mark.parametrize("credential", [None, "anything"])
async def test_production_without_a_client_key_lets_nobody_in(credential: str | None) -> None:
    with pytest.raises(Unauthenticated):
        await check(environment="production").authenticate(credential)


def test_a_client_and_nobody_see_the_same_data() -> None:
    assert DEFAULT_PRINCIPAL.tenant == ANONYMOUS.tenant
    assert DEFAULT_PRINCIPAL.admin
    assert ANONYMOUS.admin


async def test_a_key_of_the_store_is_taken_and_then_asked_for() -> None:
    key = make_key()
    asking = check(Directory(known(key)))
    assert (await asking.authenticate(key.text)).id == key.id
    for wrong in (
        None,
        "anything",
        make_key(key.id).text,
        key.text[:-1],
        f"{key.text} ",
        f"{key.text}x",
        make_key().text,
    ):
        with pytest.raises(Unauthenticated):
            await asking.authenticate(wrong)


async def test_a_key_that_was_just_made_is_looked_for_before_it_is_refused() -> None:
    key, directory = make_key(), Directory()
    directory.new[key.id] = known(key)
    asking = check(directory)
    assert (await asking.authenticate(key.text)).id == key.id
    assert asking.asks
    assert directory.looks == 1


async def test_a_wrong_secret_and_an_unknown_id_take_the_same_way() -> None:
    key = make_key()
    looks = []
    for wrong in (make_key(key.id).text, make_key().text):
        directory = Directory(known(key))
        with pytest.raises(Unauthenticated) as caught:
            await check(directory).authenticate(wrong)
        looks.append((directory.looks, caught.value.message))
    assert looks[0] == looks[1]
    assert looks[0][0] == 1


async def test_a_key_that_expired_is_refused_as_any_other() -> None:
    key = make_key()
    asking = check(Directory(known(key, expires_at=1000.0)), lambda: 1000.0)
    with pytest.raises(Unauthenticated):
        await asking.authenticate(key.text)
    assert (await check(Directory(known(key, expires_at=1000.0)), lambda: 999.9).authenticate(key.text)).id == key.id


@pytest.mark.parametrize(("now", "taken"), [(999.0, True), (1000.0, False)])
async def test_the_key_before_is_taken_until_the_overlap_ends(now: float, taken: bool) -> None:
    before = make_key()
    after = make_key(before.id)
    asking = check(Directory(known(after, previous=before.digest, previous_until=1000.0)), lambda: now)
    assert (await asking.authenticate(after.text)).id == before.id
    if taken:
        assert (await asking.authenticate(before.text)).id == before.id
    else:
        with pytest.raises(Unauthenticated):
            await asking.authenticate(before.text)


async def test_an_open_gateway_asks_once_a_key_was_made_even_if_it_is_revoked() -> None:
    with pytest.raises(Unauthenticated):
        await check(Directory(made=True)).authenticate(None)


async def test_the_key_of_the_configuration_is_not_looked_for_in_the_store_whatever_its_form() -> None:
    key, directory = make_key(), Directory()
    assert await check(directory, client_key=Secret(key.text)).authenticate(key.text) is DEFAULT_PRINCIPAL
    assert directory.looks == 0
