"""Accounts of what clients spend, in one process and over Redis."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_core.provider_api import StorageError
from orchestrator_core.resilience import budgets, shared_budgets, shared_holds
from orchestrator_core.resilience.budgets import (
    LAG,
    REREAD_AFTER,
    REREAD_OTHERS_AFTER,
    AccountKey,
    Amount,
    Ceiling,
    LocalBudgets,
    Standing,
    Wish,
)
from orchestrator_core.resilience.shared_budgets import SharedBudgets
from orchestrator_core.resilience.shared_state import SharedState
from redis_server import RedisServer, opened

KEY = AccountKey("acme", "key", "2026-11", date(2026, 11, 1))
TOKENS = Ceiling(tokens=100)


def wish(least: int, most: int | None = None, nanos: int = 0, seconds: float = 60.0) -> Wish:
    return Wish(Amount(least, nanos), Amount(least if most is None else most, nanos), seconds)


@dataclass
class Store:
    """What is stored of every account."""

    amount: Amount = field(default_factory=Amount)
    away: bool = False
    reads: int = 0

    async def read(self, key: AccountKey) -> Amount:
        assert key.tenant == KEY.tenant
        self.reads += 1
        await asyncio.sleep(0)
        if self.away:
            raise StorageError("away")
        return self.amount


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


Book = LocalBudgets | SharedBudgets
MakeBook = Callable[[Store], Book]


def shared(state: SharedState, store: Store, processes: int = 2) -> SharedBudgets:
    return SharedBudgets(state, LocalBudgets(store.read, alone=False), store.read, processes)


@pytest.fixture(params=["local", "shared"])
async def make_book(request: pytest.FixtureRequest) -> AsyncIterator[MakeBook]:
    if request.param == "local":
        yield lambda store: LocalBudgets(store.read, alone=True)
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    async with opened(server.url) as (state, _):
        made: list[SharedBudgets] = []

        def make(store: Store) -> SharedBudgets:
            made.append(shared(state, store, 4))
            return made[-1]

        yield make
        for book in made:
            await book.close()


async def settled(book: Book, name: str, amount: Amount) -> None:
    book.settle(KEY, name, amount)
    if isinstance(book, SharedBudgets):
        await book.close()


async def test_what_is_held_is_gone_until_it_is_settled(make_book: MakeBook) -> None:
    book = make_book(Store())
    assert (await book.reserve(KEY, "a", TOKENS, wish(60))) == (True, Standing(Amount(), Amount()))
    assert not (await book.reserve(KEY, "b", TOKENS, wish(60)))[0]
    await settled(book, "a", Amount(10))
    assert (await book.reserve(KEY, "b", TOKENS, wish(60)))[0]
    assert await book.standing(KEY) == Standing(Amount(10), Amount(60))
    await settled(book, "b", Amount())
    assert await book.standing(KEY) == Standing(Amount(10), Amount())


async def test_it_begins_with_what_is_stored(make_book: MakeBook) -> None:
    store = Store(Amount(90, 5))
    book = make_book(store)
    assert await book.reserve(KEY, "a", TOKENS, wish(11)) == (False, Standing(Amount(90, 5), Amount()))
    assert (await book.reserve(KEY, "a", TOKENS, wish(10)))[0]
    assert store.reads == 1


async def test_a_call_without_a_limit_takes_what_is_left(make_book: MakeBook) -> None:
    book = make_book(Store(Amount(70)))
    assert (await book.reserve(KEY, "a", TOKENS, wish(5, 4096)))[0]
    assert await book.standing(KEY) == Standing(Amount(70), Amount(30))
    assert not (await book.reserve(KEY, "b", TOKENS, wish(1, 4096)))[0]


async def test_what_is_held_for_a_call_is_replaced_or_stays(make_book: MakeBook) -> None:
    book = make_book(Store(Amount(10)))
    assert (await book.reserve(KEY, "a", TOKENS, wish(60)))[0]
    assert await book.reserve(KEY, "a", TOKENS, wish(91)) == (False, Standing(Amount(10), Amount()))
    assert (await book.standing(KEY)).held == Amount(60)
    assert await book.reserve(KEY, "a", TOKENS, wish(70, 4096)) == (True, Standing(Amount(10), Amount()))
    assert await book.standing(KEY) == Standing(Amount(10), Amount(90))
    assert (await book.reserve(KEY, "a", TOKENS, wish(80)))[0]
    assert (await book.reserve(KEY, "b", TOKENS, wish(10)))[0]
    await settled(book, "a", Amount(30))
    assert await book.standing(KEY) == Standing(Amount(40), Amount(10))


async def test_money_and_tokens_are_limited_both(make_book: MakeBook) -> None:
    book = make_book(Store())
    both = Ceiling(tokens=100, nanos=10)
    assert not (await book.reserve(KEY, "a", both, wish(1, nanos=11)))[0]
    assert not (await book.reserve(KEY, "a", both, wish(101, nanos=1)))[0]
    assert (await book.reserve(KEY, "a", both, wish(100, nanos=10)))[0]
    assert not (await book.reserve(KEY, "b", both, wish(0)))[0], "nothing is left"


@pytest.mark.parametrize("ceiling", [TOKENS, Ceiling(tokens=100, nanos=10), Ceiling(nanos=10)], ids=str)
async def test_nothing_is_held_or_spent_that_is_less_than_nothing(make_book: MakeBook, ceiling: Ceiling) -> None:
    book = make_book(Store(Amount(99, 9)))
    assert (await book.reserve(KEY, "a", ceiling, wish(-(10**9), nanos=-(10**9))))[0]
    assert await book.standing(KEY) == Standing(Amount(99, 9), Amount())
    await settled(book, "a", Amount(-(10**9), -(10**9)))
    assert await book.standing(KEY) == Standing(Amount(99, 9), Amount())
    assert not (await book.reserve(KEY, "b", ceiling, wish(2, nanos=2)))[0]


async def test_at_once_no_more_is_held_than_there_is(make_book: MakeBook) -> None:
    book = make_book(Store())
    outcomes = await asyncio.gather(*(book.reserve(KEY, str(number), TOKENS, wish(7)) for number in range(50)))
    assert sum(held for held, _ in outcomes) == 14


async def test_accounts_of_the_past_are_forgotten_and_read_anew_where_they_are_used(
    make_book: MakeBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("budgets", "shared_budgets"):
        monkeypatch.setattr(f"orchestrator_core.resilience.{module}.MAX_ACCOUNTS", 2)
    store = Store()
    book = make_book(store)
    days = [replace(KEY, period=f"2026-11-{day}") for day in (10, 11, 12)]
    for day in days:
        await book.standing(day)
    assert store.reads == 3
    for day in reversed(days[1:]):
        await book.standing(day)
    assert store.reads == 3
    await book.standing(days[0])
    assert store.reads == 4


async def test_two_processes_share_an_account(redis_server: RedisServer) -> None:
    store = Store()
    async with opened(redis_server.url) as (one, _), opened(redis_server.url) as (two, _):
        books = [shared(state, store) for state in (one, two)]
        outcomes = await asyncio.gather(*(books[n % 2].reserve(KEY, str(n), TOKENS, wish(7)) for n in range(50)))
        assert sum(held for held, _ in outcomes) == 14
        await settled(books[0], "0", Amount(2))
        assert (await books[1].standing(KEY)).spent == Amount(2)
        for book in books:
            await book.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is held lapse within three seconds where nobody renews it."""
    monkeypatch.setattr(shared_budgets, "TTL", 3)
    monkeypatch.setattr(shared_holds, "TTL", 3)
    monkeypatch.setattr(shared_holds, "RENEWAL", 0.2)
    monkeypatch.setattr(shared_budgets, "RENEWED", 2)


@pytest.fixture
async def dying(redis_server: RedisServer, quick: None) -> AsyncIterator[tuple[SharedBudgets, SharedBudgets]]:
    """Books of two processes on one Redis; a test closes the first as if it had died."""
    store = Store()
    async with opened(redis_server.url) as (one, _), opened(redis_server.url) as (two, _):
        dead, alive = shared(one, store), shared(two, store)
        yield dead, alive
        await alive.close()


async def test_what_a_process_held_that_died_is_soon_free_and_that_of_others_is_not(
    dying: tuple[SharedBudgets, SharedBudgets],
) -> None:
    dead, alive = dying
    assert (await dead.reserve(KEY, "a", TOKENS, wish(60)))[0]
    assert (await alive.reserve(KEY, "b", TOKENS, wish(30)))[0]
    await dead.close()
    assert (await alive.standing(KEY)).held == Amount(90)
    async with asyncio.timeout(10):
        while (await alive.standing(KEY)).held != Amount(30):
            await asyncio.sleep(0.1)
    await asyncio.sleep(3.1)
    assert (await alive.standing(KEY)).held == Amount(30)
    await settled(alive, "b", Amount(5))
    assert await alive.standing(KEY) == Standing(Amount(5), Amount())


async def test_who_is_refused_for_what_nobody_renews_is_told_when_it_is_free(
    dying: tuple[SharedBudgets, SharedBudgets],
) -> None:
    dead, alive = dying
    assert (await dead.reserve(KEY, "a", TOKENS, wish(60)))[0]
    for _ in range(5):
        assert (await alive.reserve(KEY, "b", TOKENS, wish(60)))[1].lapses == 0, "it may end at any time"
        await asyncio.sleep(0.3)
    await dead.close()
    async with asyncio.timeout(10):
        while not (refused := (await alive.reserve(KEY, "b", TOKENS, wish(60)))[1]).lapses:
            await asyncio.sleep(0.1)
    assert refused.held == Amount(60)
    await asyncio.sleep(refused.lapses)
    assert (await alive.reserve(KEY, "b", TOKENS, wish(60)))[0]


@pytest.mark.usefixtures("quick")
async def test_a_call_whose_end_nobody_tells_is_held_no_longer_than_it_may_take(redis_server: RedisServer) -> None:
    async with opened(redis_server.url) as (state, _):
        book = shared(state, Store())
        assert (await book.reserve(KEY, "a", TOKENS, wish(60, seconds=1)))[0]
        assert (await book.reserve(KEY, "b", TOKENS, wish(30)))[0]
        async with asyncio.timeout(20):
            while (await book.standing(KEY)).held != Amount(30):
                await asyncio.sleep(0.1)
        await book.close()


@pytest.mark.usefixtures("quick")
async def test_what_is_held_is_held_again_where_redis_has_forgotten_it(redis_server: RedisServer) -> None:
    store = Store()
    async with opened(redis_server.url) as (state, _):
        book = shared(state, store)
        for name, tokens in (("a", 60), ("b", 20)):
            assert (await book.reserve(KEY, name, TOKENS, wish(tokens)))[0]
        redis_server.kill()
        redis_server.start()
        async with asyncio.timeout(10):
            while not state.available or (await book.standing(KEY)).held != Amount(80):
                await asyncio.sleep(0.05)
        book.settle(KEY, "a", Amount(10))
        async with asyncio.timeout(10):
            while (await book.standing(KEY)).held != Amount(20):
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        assert (await book.standing(KEY)).held == Amount(20), "what is settled is renewed no more"
        await book.close()


async def test_without_redis_each_takes_its_part_of_what_the_store_says_is_left(redis_server: RedisServer) -> None:
    store = Store()
    async with opened(redis_server.url) as (state, _):
        book = shared(state, store, 4)
        redis_server.kill()
        store.amount = Amount(20)
        assert not (await book.reserve(KEY, "b", TOKENS, wish(21)))[0]
        assert (await book.reserve(KEY, "b", TOKENS, wish(20)))[0]
        await settled(book, "b", Amount(20))
        store.amount = Amount(40)
        await back(redis_server, state)
        assert await book.standing(KEY) == Standing(Amount(40), Amount()), "as the store has it"
        await book.close()


async def test_each_time_redis_goes_the_store_says_what_others_spent_meanwhile(redis_server: RedisServer) -> None:
    store = Store()
    async with opened(redis_server.url) as (state, _), opened(redis_server.url) as (others, _):
        book, other = shared(state, store), shared(others, store)
        redis_server.kill()
        assert (await book.reserve(KEY, "a", TOKENS, wish(5)))[0]
        await settled(book, "a", Amount(5))
        store.amount = Amount(5)
        await back(redis_server, state)
        await reconnected(others)
        assert (await other.reserve(KEY, "c", TOKENS, wish(85)))[0], "while the first one judges no call"
        await settled(other, "c", Amount(85))
        store.amount = Amount(90)
        redis_server.kill()
        assert (await book.reserve(KEY, "d", TOKENS, wish(6)))[0] is False, "its part of the ten that are left is five"
        await book.close()
        await other.close()


async def test_who_leaves_while_redis_is_told_what_is_held_lets_nobody_hold_it_longer(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(redis_server.url) as (state, _):
        book, under_way, go_on = shared(state, Store(), 1), asyncio.Event(), asyncio.Event()
        redis_server.kill()
        assert (await book.reserve(KEY, "a", TOKENS, wish(90)))[0]
        await back(redis_server, state)
        run = state._run

        async def slow(script: str, keys: Sequence[str], args: Sequence[str | int] = ()) -> Any:
            if not under_way.is_set():
                under_way.set()
                async with asyncio.timeout(10):
                    await go_on.wait()
            return await run(script, keys, args)

        monkeypatch.setattr(state, "_run", slow)
        leaving = asyncio.create_task(book.standing(KEY))
        await under_way.wait()
        leaving.cancel()
        await asyncio.wait([leaving])
        book.settle(KEY, "a", Amount(1))
        await asyncio.sleep(0.05)
        go_on.set()
        await book.close()
        assert (await book.standing(KEY)).held == Amount()
        await book.close()


async def reconnected(state: SharedState) -> None:
    """Wait until a process knows that Redis is back."""
    async with asyncio.timeout(10):
        while not state.available:
            await asyncio.sleep(0.05)


async def back(server: RedisServer, state: SharedState) -> None:
    """Start Redis again, and wait until the process knows."""
    server.start()
    await reconnected(state)


async def test_what_calls_under_way_hold_stays_held_as_redis_goes_and_comes_back(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_holds, "RENEWAL", 600)  # as if all came before the next one
    async with opened(redis_server.url) as (state, _):
        book = shared(state, Store(), 1)
        assert (await book.reserve(KEY, "a", TOKENS, wish(40)))[0]
        redis_server.kill()
        assert not (await book.reserve(KEY, "b", TOKENS, wish(61)))[0]
        assert (await book.reserve(KEY, "b", TOKENS, wish(50)))[0]
        assert await book.standing(KEY) == Standing(Amount(), Amount(90))
        assert (await book.reserve(KEY, "a", TOKENS, wish(20)))[0], "what is replaced is not held twice"
        assert await book.standing(KEY) == Standing(Amount(), Amount(70))
        await back(redis_server, state)
        assert await book.reserve(KEY, "c", TOKENS, wish(31)) == (False, Standing(Amount(), Amount(70)))
        assert (await book.reserve(KEY, "c", TOKENS, wish(30)))[0]
        redis_server.kill()
        assert not (await book.reserve(KEY, "d", TOKENS, wish(1)))[0]
        for name in ("a", "b"):
            book.settle(KEY, name, Amount(10))
        assert await book.standing(KEY) == Standing(Amount(20), Amount(30))
        await back(redis_server, state)
        assert (await book.standing(KEY)).held == Amount(30), "what was settled meanwhile is held no more"
        await book.close()


async def test_without_redis_a_process_that_holds_more_than_its_part_takes_no_more(redis_server: RedisServer) -> None:
    async with opened(redis_server.url) as (state, _):
        book = shared(state, Store(), 2)
        assert (await book.reserve(KEY, "a", TOKENS, wish(60)))[0]
        redis_server.kill()
        assert not (await book.reserve(KEY, "b", TOKENS, wish(1)))[0]
        await settled(book, "a", Amount(10))
        assert (await book.reserve(KEY, "b", TOKENS, wish(40)))[0]
        await book.close()


@pytest.fixture
def early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the store be read again a second after a loss of Redis."""
    monkeypatch.setattr(shared_budgets, "LAG", 0)
    monkeypatch.setattr(shared_budgets, "BUCKET", 1)
    monkeypatch.setattr(shared_budgets, "READ_AGAIN_AFTER", 1)


@pytest.mark.parametrize("restored", [False, True], ids=["empty", "older"])
@pytest.mark.usefixtures("early")
async def test_each_process_notices_a_redis_that_was_started_anew_between_two_calls(
    redis_server: RedisServer, restored: bool
) -> None:
    store, account = Store(), shared_budgets._name(KEY)
    async with opened(redis_server.url) as (one, _), opened(redis_server.url) as (two, _):
        first, book = shared(one, store), shared(two, store)
        assert (await book.reserve(KEY, "a", TOKENS, wish(60)))[0]
        with redis_server.client() as client:
            snapshot = client.dump(account)
        await settled(book, "a", Amount(60))
        redis_server.kill()
        redis_server.start()
        if restored:
            with redis_server.client() as client:
                client.restore(account, 0, snapshot)
        await first.reserve(replace(KEY, client="another"), "b", TOKENS, wish(10))
        await first.standing(replace(KEY, client="another"))  # all scripts are known now
        await book.standing(KEY)
        store.amount = Amount(60)
        async with asyncio.timeout(10):
            while (await book.standing(KEY)).spent != Amount(60):
                await asyncio.sleep(0.1)
        await asyncio.gather(first.close(), book.close())


@pytest.mark.usefixtures("quick")
async def test_the_first_call_after_redis_came_back_with_less_goes_by_the_store_and_a_refused_one_holds_nothing(
    redis_server: RedisServer,
) -> None:
    store, account = Store(), shared_budgets._name(KEY)
    async with opened(redis_server.url) as (state, _):
        book = shared(state, store)
        await book.standing(KEY)
        with redis_server.client() as client:
            snapshot = client.dump(account)
        assert (await book.reserve(KEY, "a", TOKENS, wish(60)))[0]
        await settled(book, "a", Amount(60))
        store.amount = Amount(60)
        redis_server.kill()
        redis_server.start()
        with redis_server.client() as client:
            client.restore(account, 0, snapshot)
        await asyncio.sleep(0.01)  # the client finds its connection closed, and makes another without a word
        fits, standing = await book.reserve(KEY, "b", TOKENS, wish(60, seconds=600))
        assert (fits, standing.spent) == (False, Amount(60))
        async with asyncio.timeout(20):
            while await book.standing(KEY) != Standing(Amount(60), Amount()):
                await asyncio.sleep(0.1)
        await book.close()


@pytest.mark.usefixtures("quick")
async def test_a_slow_store_lets_nothing_lapse_that_others_hold(redis_server: RedisServer) -> None:
    other, slow = replace(KEY, client="slow"), asyncio.Event()

    async def read(key: AccountKey) -> Amount:
        if key == other:
            await slow.wait()
        return Amount()

    async with opened(redis_server.url) as (state, _):
        book = SharedBudgets(state, LocalBudgets(read, alone=False), read, 2)
        slow.set()
        assert (await book.reserve(KEY, "a", TOKENS, wish(60)))[0]
        assert (await book.reserve(other, "b", TOKENS, wish(20)))[0]
        slow.clear()
        with redis_server.client() as client:
            client.hdel(shared_budgets._name(other), "read")
        again = asyncio.create_task(book.reserve(other, "b", TOKENS, wish(40)))
        await asyncio.sleep(4.5)
        assert (await book.standing(KEY)).held == Amount(60)
        slow.set()
        assert (await again)[0]
        await asyncio.sleep(0.5)
        assert (await book.standing(other)).held == Amount(40), "what was renewed meanwhile is replaced"
        await book.close()


async def test_a_new_process_counts_nothing_twice(redis_server: RedisServer) -> None:
    store = Store()
    async with opened(redis_server.url) as (one, _), opened(redis_server.url) as (two, _):
        books = [shared(state, store) for state in (one, two)]
        assert (await books[0].reserve(KEY, "a", TOKENS, wish(60)))[0]
        await settled(books[0], "a", Amount(60))
        store.amount = Amount(60)
        assert await books[1].reserve(KEY, "b", TOKENS, wish(40)) == (True, Standing(Amount(60), Amount()))
        await settled(books[1], "b", Amount(40))
        three = shared(one, store)
        assert (await three.standing(KEY)).spent == Amount(100), "the last is not stored yet and is not forgotten"


async def test_a_new_process_learns_what_is_in_the_store_alone(redis_server: RedisServer) -> None:
    store = Store()
    async with opened(redis_server.url) as (state, _):
        old, new = (shared(state, store) for _ in range(2))
        await old.standing(KEY)
        store.amount = Amount(70)  # of one that spent while Redis was away, and ended
        assert (await new.standing(KEY)).spent == Amount(70)


@pytest.mark.usefixtures("early")
async def test_what_counted_twice_after_a_loss_refuses_nobody_for_long(redis_server: RedisServer) -> None:
    store = Store()
    async with opened(redis_server.url) as (one, _), opened(redis_server.url) as (two, _):
        books = [shared(state, store) for state in (one, two)]
        redis_server.kill()
        for book in books:
            assert (await book.reserve(KEY, "a", TOKENS, wish(1)))[0]
        redis_server.start()
        async with asyncio.timeout(10):
            while not (one.available and two.available):
                await asyncio.sleep(0.05)
        assert (await books[0].reserve(KEY, "b", TOKENS, wish(60)))[0]
        await settled(books[0], "b", Amount(60))
        store.amount = Amount(60)
        await books[1].standing(KEY)
        async with asyncio.timeout(10):
            while not (await books[1].reserve(KEY, "c", TOKENS, wish(39)))[0]:
                await asyncio.sleep(0.2)
        assert (await books[0].standing(KEY)).spent == Amount(60)
        await asyncio.gather(*(book.close() for book in books))


@pytest.mark.usefixtures("early")
async def test_what_came_into_the_store_after_a_loss_is_not_missed_for_long(redis_server: RedisServer) -> None:
    store = Store()
    async with opened(redis_server.url) as (state, _):
        book = shared(state, store)
        assert (await book.reserve(KEY, "a", TOKENS, wish(30)))[0]
        redis_server.kill()
        await settled(book, "a", Amount(30))
        redis_server.start()
        async with asyncio.timeout(10):
            while not state.available:
                await asyncio.sleep(0.05)
        await book.standing(KEY)
        store.amount = Amount(30)  # it was on its way when the store was read
        async with asyncio.timeout(10):
            while (await book.standing(KEY)).spent != Amount(30):
                await asyncio.sleep(0.2)
        reads = store.reads
        await asyncio.sleep(2.2)
        assert (await book.standing(KEY)).spent == Amount(30)
        assert store.reads == reads, "that was the last time"
        await book.close()


async def test_parts_that_were_divided_once_are_no_more_than_the_whole() -> None:
    clock, store = Clock(), Store(Amount(20))
    books = [local(store, clock, alone=False) for _ in range(2)]
    for number in range(40):
        for book in books:
            if (await book.reserve(KEY, str(number), TOKENS, wish(5), share=2))[0]:
                book.settle(KEY, str(number), Amount(5))
    assert [(await book.standing(KEY)).spent for book in books] == [Amount(60), Amount(60)]
    store.amount = Amount(100)
    clock.now += REREAD_OTHERS_AFTER + 1
    for book in books:
        assert not (await book.reserve(KEY, "x", TOKENS, wish(1), share=2))[0]


def local(store: Store, clock: Clock, *, alone: bool = True) -> LocalBudgets:
    return LocalBudgets(store.read, alone=alone, clock=clock)


async def test_what_was_never_settled_is_given_free_in_time() -> None:
    clock = Clock()
    book = local(Store(), clock)
    await book.reserve(KEY, "a", TOKENS, wish(100, seconds=60))
    clock.now += 59
    assert not (await book.reserve(KEY, "b", TOKENS, wish(1)))[0]
    clock.now += 1
    assert (await book.reserve(KEY, "b", TOKENS, wish(1)))[0]


@pytest.mark.parametrize("hours", [48, -48])
async def test_a_clock_that_is_set_ends_and_extends_nothing(monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    wall, offset = time.time, 0.0
    monkeypatch.setattr(time, "time", lambda: wall() + offset)
    # Once more, since a default is what it was as the module was imported.
    spec = importlib.util.find_spec(budgets.__name__)
    assert spec is not None
    assert spec.loader is not None
    anew = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, budgets.__name__, anew)
    spec.loader.exec_module(anew)

    store = Store()
    book: LocalBudgets = anew.LocalBudgets(store.read, alone=True)
    assert (await book.reserve(KEY, "a", TOKENS, wish(60, seconds=600)))[0]
    assert (await book.reserve(KEY, "b", TOKENS, wish(40, seconds=0.05)))[0]
    offset = hours * 3600.0
    assert (await book.standing(KEY)).held.tokens >= 60
    assert store.reads == 1
    await asyncio.sleep(0.1)
    assert (await book.standing(KEY)).held.tokens == 60


@pytest.mark.parametrize(("alone", "after"), [(True, REREAD_AFTER), (False, REREAD_OTHERS_AFTER)])
async def test_the_store_is_read_again_and_nothing_is_lost_between(alone: bool, after: float) -> None:
    clock, store = Clock(), Store()
    book = local(store, clock, alone=alone)
    await book.reserve(KEY, "a", TOKENS, wish(1))
    book.settle(KEY, "a", Amount(10))
    clock.now += after
    book.settle(KEY, "b", Amount(5))
    assert store.reads == 1
    clock.now += 1
    store.amount = Amount(30)  # the first, and another process' 20; the second is not there yet
    assert (await book.standing(KEY)).spent == Amount(35)
    store.amount = Amount(35)
    clock.now += after + LAG + 10
    assert (await book.standing(KEY)).spent == Amount(35)


async def test_a_store_that_is_away_hinders_those_alone_of_whom_nothing_is_known() -> None:
    clock, store = Clock(), Store(Amount(10))
    book = local(store, clock)
    await book.standing(KEY)
    store.away = True
    clock.now += REREAD_AFTER + 1
    assert (await book.standing(KEY)).spent == Amount(10)
    with pytest.raises(StorageError):
        await local(store, clock).reserve(KEY, "a", TOKENS, wish(1))


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60), st.booleans()), max_size=40),
    st.integers(1, 200),
)
def test_as_long_as_calls_cost_no_more_than_was_held_the_ceiling_holds(
    calls: list[tuple[int, int, bool]], limit: int
) -> None:
    async def run() -> None:
        book, under_way = local(Store(), Clock()), list[tuple[str, int]]()
        for number, (least, cost, ends) in enumerate(calls):
            if (await book.reserve(KEY, str(number), Ceiling(tokens=limit), wish(least)))[0]:
                under_way.append((str(number), min(least, cost)))
            if ends and under_way:
                name, spent = under_way.pop(0)
                book.settle(KEY, name, Amount(spent))
            standing = await book.standing(KEY)
            assert standing.spent.tokens + standing.held.tokens <= limit

    asyncio.run(run())
