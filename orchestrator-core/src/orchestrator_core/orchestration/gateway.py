"""The heart of the gateway, as the surfaces see it."""

from __future__ import annotations

import asyncio
from functools import partial

from orchestrator_core.config import Config
from orchestrator_core.orchestration.budget_use import BudgetUse
from orchestrator_core.orchestration.cache import AnswerCache
from orchestrator_core.orchestration.calls import Calls
from orchestrator_core.orchestration.client_directory import ClientDirectory
from orchestrator_core.orchestration.clients import Clients
from orchestrator_core.orchestration.guards import Guards
from orchestrator_core.orchestration.ledger import Ledger
from orchestrator_core.orchestration.locks import LocalLocks
from orchestrator_core.orchestration.memory import Memory
from orchestrator_core.orchestration.metering import Meter
from orchestrator_core.orchestration.requests import Selection
from orchestrator_core.orchestration.routing import Router
from orchestrator_core.orchestration.shared_locks import SharedLocks
from orchestrator_core.orchestration.spending import Book, Spending, read_spent
from orchestrator_core.orchestration.turns import Turns
from orchestrator_core.plugins import Registry
from orchestrator_core.resilience.breaker import State
from orchestrator_core.resilience.budgets import LocalBudgets
from orchestrator_core.resilience.shared_budgets import SharedBudgets
from orchestrator_core.resilience.shared_circuits import SharedCircuits
from orchestrator_core.resilience.shared_state import SharedState
from orchestrator_core.security.alerts import AlertWebhook
from orchestrator_core.security.events import MEANINGS, SecurityEvents
from orchestrator_core.security.principal import Principal
from orchestrator_core.sessions.models import StoredSummary
from orchestrator_core.sessions.store import SessionStore
from orchestrator_core.telemetry.cost import Prices
from orchestrator_core.telemetry.metrics import Metrics


class Gateway:
    """Answers calls and turns.

    Attributes:
        config: The configuration.
        registry: The providers.
        store: The conversations.
        metrics: What is counted.
        events: Where security events are reported.
        shared: What all processes share over Redis; None where no Redis is configured.
        router: Resolves names.
        guards: Stand between calls and providers that fail.
        clients: Makes and changes client keys.
        keys: The client keys as this process knows them.
        spending: Watches the budgets of clients.
        stopping: Whether no new work is taken.
        chat: Opens a call; see `Calls.chat`.
        embed: Asks for vectors; see `Calls.embed`.
        turn: Begins a turn of a session; see `Turns.answer`.
        deadline: Makes the deadline of a request that begins now; see `Settings.deadline`.
    """

    def __init__(self, config: Config, registry: Registry, store: SessionStore, metrics: Metrics) -> None:
        """Put the parts together; `start` before use.

        Raises:
            ConfigError: A Redis is configured that cannot be used.
        """
        self.config = config
        self.registry = registry
        self.store = store
        self.metrics = metrics
        self._alerts = AlertWebhook.from_settings(config.settings, metrics)
        self.events = SecurityEvents(metrics, self._alerts)
        self.shared = SharedState.from_settings(config.settings, self._report_shared_state)
        self.guards = Guards(config.settings, self.events, metrics, self._note_circuit)
        self.clients = Clients(store.clients)
        self.keys = ClientDirectory(store.clients)
        self.stopping = False
        self._circuits = SharedCircuits(self.guards.breakers, self.shared) if self.shared else None
        self._sharing: asyncio.Task[None] | None = None
        prices = Prices(config.settings.prices)
        self.router = Router(config.settings, registry, prices)
        metrics.models.know(self.router.is_model)
        self._ledger = Ledger(store)
        metrics.begin_security_events(MEANINGS)
        metrics.name_providers(
            {name: found.info.otel_name for name, found in registry.providers.items() if found.info.otel_name}
        )
        self._shared_budgets: SharedBudgets | None = None
        self.spending = Spending(self._accounts(), prices, BudgetUse(self.events, metrics))
        self._calls = Calls(
            self.router,
            Meter(prices, self._ledger, metrics),
            self.guards,
            self.spending,
            AnswerCache.from_settings(config.settings, metrics),
        )
        self._memory = Memory(
            config.settings, self.router, store, self._calls.open_summary, self._ledger, prices, metrics
        )
        wait = config.settings.session_wait
        locks = SharedLocks(self.shared, wait) if self.shared else LocalLocks(wait)
        self._turns = Turns(
            store,
            self.router,
            self._calls,
            self._memory,
            self._ledger,
            locks,
            metrics,
            wait=wait,
            stopping=lambda: self.stopping,
        )
        self.chat, self.embed, self.turn = self._calls.chat, self._calls.embed, self._turns.answer
        self.deadline = config.settings.deadline

    async def start(self) -> None:
        """Open the store and the providers, and connect to Redis where one is configured.

        Raises:
            StorageError: The store cannot be opened.
            ConfigError: Redis refuses this gateway.
        """
        if self.shared is not None:
            await self.shared.start()
        await asyncio.gather(self.store.open(), self.registry.start())
        await self.keys.start()
        self._ledger.start()
        if self._alerts is not None:
            self._alerts.start()
        if self._circuits is not None and self.guards.breakers.enabled:
            self._sharing = asyncio.create_task(self._circuits.run(), name="shared circuits")

    async def close(self) -> None:
        """Finish what must be stored, then close everything."""
        self.stopping = True
        await self.keys.close()
        await self._memory.close()
        await self._turns.close()
        await self.guards.hedging.close()
        if self._sharing is not None:
            self._sharing.cancel()
            await asyncio.wait([self._sharing])
        await self._ledger.close()
        if self._shared_budgets is not None:
            await self._shared_budgets.close()
        await self.registry.close()
        await self.store.close()
        if self.shared is not None:
            await self.shared.close()
        if self._alerts is not None:
            await self._alerts.close()

    async def summarize(
        self, principal: Principal, session_id: str, selection: Selection | None, keep: int = 0
    ) -> StoredSummary | None:
        """Summarise a session now; see `Memory.force`."""
        return await self._memory.force(principal, session_id, selection, keep)

    def _note_circuit(self, provider: str, model: str, state: State) -> None:
        self.metrics.observe_circuit(provider, model, state)
        if self._circuits is not None and state != "half_open":
            self._circuits.note(provider, model)

    def _accounts(self) -> Book:
        """Return what keeps the accounts of budgets: all processes together, or this one."""
        read, processes = partial(read_spent, self.store), self.config.settings.expected_processes
        local = LocalBudgets(read, alone=processes == 1)
        if self.shared is None:
            return local
        self._shared_budgets = SharedBudgets(self.shared, local, read, processes)
        return self._shared_budgets

    def _report_shared_state(self, reason: str | None) -> None:
        if reason is None:
            self.events.report("shared_state_restored")
        else:
            self.events.report("shared_state_lost", reason=reason)
