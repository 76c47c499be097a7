"""The class itself, its keys, its health, and what importing it does."""

from __future__ import annotations

import asyncio
import inspect

import pytest
from pydantic_core import to_json

from orchestrator_core.plugins.manager import implemented_hooks
from orchestrator_core.provider_api import (
    Deadline,
    HealthReport,
    HealthRequest,
    KeyRequest,
    KeyVerdict,
    ProviderAuthFailed,
    ProviderError,
    Secret,
    check_key,
)
from orchestrator_core.testing.bench import Bench
from orchestrator_core.testing.essentials import PLACEHOLDERS, findings
from orchestrator_core.testing.import_work import import_faults
from orchestrator_core.testing.judge import require
from orchestrator_core.testing.server import MODELS, Reply
from orchestrator_core.testing.suite import Suite, proves

FOREIGN = {
    "sk-ant-": "sk-ant-api03-" + "aB3-" * 20 + "AA",
    "xai-": "xai-" + "aB3d" * 20,
    "AIza": "AIza" + "aB3d" * 8 + "aB3",
    "gsk_": "gsk_" + "aB3d" * 13,
}
"""Keys that are unmistakably one vendor's, by their prefix. All are invented."""


class ContractChecks(Suite):
    """Card, hooks, settings, keys and health."""

    def test_the_class_keeps_to_the_contract(self) -> None:
        """Card, hooks and settings fit the contract that core has."""
        found = [f"{finding.problem}. {finding.cure}" for finding in findings(self.provider)]
        require(not found, "\n".join(found))

    def test_what_is_declared_can_be_shown(self) -> None:
        """The fake shows what the provider declares, so that the checks of it can be run."""
        fake, declared = self.fake(), self.provider.info.capabilities
        needed = {"chat": ("chat", "stream", "error"), "function_calling": ("call_ids",), "embeddings": ("embeddings",)}
        for capability, methods in needed.items():
            if capability in declared:
                missing = [name for name in methods if name not in _written(type(fake))]
                require(not missing, f"{type(fake).__name__} must have {', '.join(missing)}: {capability} is declared")

    def test_importing_it_does_no_work(self) -> None:
        """Importing opens nothing, starts nothing, and imports of core what is open to plugins."""
        faults = import_faults(self.provider)
        require(not faults, "\n".join(faults))

    def test_making_an_instance_does_no_work(self) -> None:
        """An instance is made without a request, a task, or a wait."""

        async def work(bench: Bench) -> None:
            before = asyncio.all_tasks()
            self.provider(bench.context())
            require(asyncio.all_tasks() == before, "__init__ starts a task: do nothing there but keep the context")
            require(bench.client.calls == 0 and not bench.server.asked, "__init__ asks the upstream")

        self.run(work)

    def test_a_key_of_the_right_form_is_valid(self) -> None:
        """The invented key is taken, and the verdict shows nothing of it but its end."""

        async def work(bench: Bench) -> None:
            require(bench.key is not None, "set `key` to an invented key of the vendor's form")
            verdict = _verdict(bench, bench.key or "")
            require(
                verdict.valid,
                f"the key of the suite is {verdict.status} ({verdict.reason}): set `key` to an invented key that has "
                "the form of the vendor's, or mend info.key_formats",
            )

        self.run(work, key=self.key or "kit-0123456789abcdef0123456789abcdef")

    def test_keys_of_a_wrong_form_are_told(self) -> None:
        """Placeholders, keys of other vendors and damaged keys are not valid, and never shown."""

        async def work(bench: Bench) -> None:
            for value in PLACEHOLDERS:
                require(not _verdict(bench, value).valid, f"the placeholder {value!r} counts as a valid key")
            damaged = f"{self.key or 'kit-0123456789abcdef0123456789abcdef'}\n"
            require(not _verdict(bench, damaged).valid, "a key with a line feed at its end counts as valid")
            for prefix, value in FOREIGN.items():
                own = (self.key or "").startswith(prefix) or not self.provider.info.key_formats
                status = _verdict(bench, value).status
                require(own or status != "valid", f"another vendor's key ({prefix}...) counts as valid")

        self.run(work)

    def test_health_costs_no_tokens(self) -> None:
        """Health asks for no answer and lists the models that the upstream lists."""
        self._needs_health()

        async def work(bench: Bench) -> None:
            report = await bench.instance.health(self._health(bench))
            require(isinstance(report, HealthReport), f"health gave {type(report).__name__}, not a HealthReport")
            require(report.healthy, f"health says {report.detail!r} although the upstream answers well")
            operations = {bench.server.fake.operation(asked) for asked in bench.server.asked}
            require(operations <= {"models"}, f"health asks for {', '.join(sorted(operations))}: that costs tokens")
            listed = {model.id for model in report.models}
            require(
                not bench.server.asked or set(MODELS) <= listed, f"the models {', '.join(MODELS)} are missing: {listed}"
            )

        self.run(work)

    def test_health_tells_a_wrong_key(self) -> None:
        """A refused key is an error of the tree or an unhealthy report; neither shows it."""
        self._needs_health()
        fake = self.fake()

        async def work(bench: Bench) -> None:
            refused = fake.error("auth", f"Incorrect API key provided: {bench.key}")
            require(refused is not None, "error('auth', ...) must have a status and a body")
            status, body = refused or (401, {})
            bench.server.script.append(Reply(status, to_json(body)))
            try:
                report = await bench.instance.health(self._health(bench))
            except ProviderError as error:
                require(isinstance(error, ProviderAuthFailed), f"a wrong key is {type(error).__name__} to health")
                said = f"{error} {error.message}"
            else:
                require(not report.healthy, "health is good although the key is refused")
                said = str(report.detail)
            require(bench.key is None or bench.key not in said, "health shows the key")

        self.run(work)

    def test_hooks_that_are_awaited_are_coroutines(self) -> None:
        """`embed`, `health` and `summarize` are coroutines, `validate_key` is not."""
        for hook in implemented_hooks(self.provider):
            method = inspect.unwrap(getattr(self.provider, hook))
            if hook == "validate_key":
                require(not inspect.iscoroutinefunction(method), "validate_key is synchronous: write `def`")
            elif hook != "chat":
                require(inspect.iscoroutinefunction(method), f"{hook} is awaited: write `async def`")

    @proves("chat")
    def test_chat_is_an_async_generator(self) -> None:
        """The hook `chat` gives an async generator, which asks nothing before it is pulled."""

        async def work(bench: Bench) -> None:
            await bench.chat(bench.request()).aclose()
            require(bench.client.calls == 0, "chat asks the upstream before its first event is wanted")

        self.run(work)

    def _needs_health(self) -> None:
        if "health" not in implemented_hooks(self.provider):
            pytest.skip("it has no hook health: core's default answers")

    def _health(self, bench: Bench) -> HealthRequest:
        return HealthRequest(deadline=Deadline.after(5.0), credential=bench.credential)


def _verdict(bench: Bench, value: str) -> KeyVerdict:
    """Return the verdict as core has it: the plugin's, or that of core's default."""
    info, credential = bench.instance.info, Secret(value)
    if "validate_key" in implemented_hooks(type(bench.instance)):
        verdict = bench.instance.validate_key(KeyRequest(credential=credential))
    else:
        verdict = check_key(credential, info.key_formats, foreign=info.foreign_keys)
    require(isinstance(verdict, KeyVerdict), f"validate_key gave {type(verdict).__name__}, not a KeyVerdict")
    shown = f"{verdict.masked} {verdict.reason} {verdict!r}"
    require(value not in shown, "the verdict shows the key: use mask_key, and no value in the reason")
    require(bench.client.calls == 0, "validate_key asks the upstream: it is offline")
    return verdict


def _written(fake: type[object]) -> set[str]:
    """Return the methods that a fake has of its own."""
    base = fake.__mro__[-2]
    return {name for kind in fake.__mro__ if kind is not base for name in vars(kind)}
