"""Looks at every provider's health in the background, without spending tokens, and once for all processes.

The process that leads looks, and leaves what it found in the store; all others read it from there.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping

import structlog
from pydantic import ConfigDict, TypeAdapter

from orchestrator_core.orchestration import Gateway
from orchestrator_core.plugins import Provider
from orchestrator_core.provider_api import HealthReport, HealthRequest, StorageError
from orchestrator_core.server.leader import Leader

HEALTH_TIMEOUT = 10.0
"""Seconds that one look may take."""

LATE_AFTER = HEALTH_TIMEOUT + 3.0
"""Seconds after which a look is not waited for any more; a plugin that ignores its cancellation is then left behind."""

READ_EVERY = 5.0
"""The most seconds after which what another process found is known here."""

_REPORTS = TypeAdapter(dict[str, HealthReport], config=ConfigDict(defer_build=True))

_logger = structlog.get_logger(__name__)


async def watch_health(gateway: Gateway) -> None:
    """Look again and again, the first time at once, until cancelled."""
    interval = gateway.config.settings.metrics_collection_interval
    # Two looks may be missed, so that a slow one loses nothing.
    leader = Leader(gateway.store, f"health/{_providers_digest(gateway)}", 2 * interval + HEALTH_TIMEOUT)
    looks = Looks(gateway)
    left: str | None = None  # by this process, as long as it leads
    taken: str | None = None
    try:
        while True:
            try:
                leads = await leader.leads()
                if leads:
                    found = _REPORTS.dump_json(await looks.take()).decode()
                    if found != left:
                        await leader.leave(found)
                    left, taken = found, None
                else:
                    finding = await leader.finding()
                    if finding != taken and finding is not None:
                        looks.adopt(finding)
                    left, taken = None, finding
            except StorageError as error:
                # Whoever asks how the gateway is hears of the store first.
                _logger.warning("Health not watched: the store is away", code=error.code)
                leads = False
            except Exception:
                _logger.exception("Health not watched; tried again soon")
                leads = False
            await asyncio.sleep(interval if leads else min(interval, READ_EVERY))
    finally:
        looks.close()
        await _resign(leader)


async def watch_figures(gateway: Gateway) -> None:
    """Show no more of circuits that nobody asks and of budgets of the past, again and again, until cancelled."""
    while True:
        await asyncio.sleep(READ_EVERY)
        gateway.guards.breakers.forget()
        gateway.spending.hide()


async def _resign(leader: Leader) -> None:
    try:
        await leader.resign()
    except StorageError as error:
        _logger.warning("Another process takes over later: the store is away", code=error.code)


def _providers_digest(gateway: Gateway) -> str:
    """Name what is looked at: gateways that share a store need not serve the same providers, nor at the same URL."""
    served = sorted(
        (found.id, found.info.name, found.settings.base_url) for found in gateway.registry.providers.values()
    )
    return hashlib.blake2b(repr(served).encode(), digest_size=8).hexdigest()


class Looks:
    """Looks at all providers at a time, each in a task of its own: none waits for one that is late."""

    def __init__(self, gateway: Gateway) -> None:
        """Look at the providers of a gateway."""
        self._gateway = gateway
        self._under_way: dict[str, asyncio.Task[HealthReport]] = {}
        self._looked_at: set[str] = set()

    async def take(self) -> dict[str, HealthReport]:
        """Look at every provider that is in use. One that does not say how it is within `LATE_AFTER` is not healthy.

        A look that is late is cancelled, and no other is begun before it has ended.
        """
        providers = self._gateway.registry.usable
        self._under_way = {name: task for name, task in self._under_way.items() if not task.done()}
        for provider in providers:
            if provider.id not in self._under_way:
                self._under_way[provider.id] = asyncio.create_task(self._look(provider), name=f"look at {provider.id}")
        if self._under_way:
            await asyncio.wait(self._under_way.values(), timeout=LATE_AFTER)
        reports = {provider.id: self._report(provider) for provider in providers}
        self._show(reports)
        return reports

    def adopt(self, finding: str) -> None:
        """Take what another process found; what it knows of providers that are not here is passed over."""
        providers = self._gateway.registry.providers
        reports = {name: report for name, report in _REPORTS.validate_json(finding).items() if name in providers}
        for name, report in reports.items():
            providers[name].note(report)
        self._show(reports)

    def close(self) -> None:
        """Give up what is under way."""
        for task in self._under_way.values():
            task.cancel()

    def _show(self, reports: Mapping[str, HealthReport]) -> None:
        for name in self._looked_at - reports.keys():
            self._gateway.metrics.observe_health(name, None)
        for name, report in reports.items():
            self._gateway.metrics.observe_health(name, report.healthy)
        self._looked_at = set(reports)

    async def _look(self, provider: Provider) -> HealthReport:
        credential = self._gateway.guards.keys.choose(provider.keys)
        deadline = self._gateway.deadline(HEALTH_TIMEOUT)
        return await provider.health(HealthRequest(deadline=deadline, credential=credential))

    def _report(self, provider: Provider) -> HealthReport:
        task = self._under_way[provider.id]
        if task.done() and not task.cancelled():
            return task.result()
        task.cancel()
        report = HealthReport(healthy=False, detail="It did not say in time how it is.")
        provider.note(report)
        return report
