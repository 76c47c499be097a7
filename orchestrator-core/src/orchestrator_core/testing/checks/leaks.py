"""Where keys may not show: answers, errors, logs, URLs, bodies, and what Python prints of objects."""

from __future__ import annotations

import traceback
from typing import get_args

from pydantic_core import to_json

from orchestrator_core.provider_api import Secret
from orchestrator_core.testing.bench import Bench, Heard, overheard
from orchestrator_core.testing.checks.chat import both_modes
from orchestrator_core.testing.judge import require
from orchestrator_core.testing.scenes import CALLS, PLAIN, TOOLS, Fault, Scene
from orchestrator_core.testing.server import Reply
from orchestrator_core.testing.suite import Suite, proves


class LeakChecks(Suite):
    """The credential of a call."""

    @both_modes
    @proves("chat")
    def test_the_key_travels_in_its_header_alone(self, stream: bool) -> None:
        """The upstream gets the key as `info.auth` says, and nowhere else."""
        self.fake()

        async def work(bench: Bench) -> None:
            request = (await bench.hear(PLAIN, stream=stream)).request
            key = bench.key or ""
            wanted = {name.lower(): value for name, value in self.provider.info.auth(key).items()}
            for name, value in wanted.items():
                require(request.headers.get(name) == value, f"the header {name} lacks the credential of the call")
            strays = [name for name, value in request.headers.items() if key in value and name not in wanted]
            require(not strays, f"the key stands in {strays} too")
            require(key not in f"{request.path}?{request.query}", "the key stands in the URL")
            require(key.encode() not in request.raw, "the key stands in the body")

        self.run(work)

    @both_modes
    @proves("chat")
    def test_no_error_shows_the_key(self, stream: bool) -> None:
        """An upstream that repeats the key in its error does not make the error show it, nor any log."""
        self.fake()

        async def work(bench: Bench) -> None:
            for fault in get_args(Fault):
                made = bench.server.fake.error(fault, f"bad key: {bench.key}")
                if made is None:
                    continue
                status, body = made
                with overheard() as log:
                    heard = await bench.hear(Reply(status, to_json(body)), stream=stream)
                require(heard.error is not None, f"{fault} ends like a good answer")
                _clean(bench, heard, log.getvalue())

        self.run(work)

    @both_modes
    @proves("chat")
    def test_no_answer_and_no_log_shows_the_key(self, stream: bool) -> None:
        """Neither events, nor the folded answer, nor anything logged or printed holds the key."""

        async def work(bench: Bench) -> None:
            for scene in (PLAIN, CALLS, Scene(text=f"your key is {bench.key}")):
                with overheard() as log:
                    heard = await bench.hear(scene, stream=stream, tools=TOOLS)
                _clean(bench, heard, log.getvalue())

        self.run(work)

    @proves("chat")
    def test_what_python_prints_of_it_shows_no_key(self) -> None:
        """The instance keeps no key of a call."""

        async def work(bench: Bench) -> None:
            await bench.hear(PLAIN)
            kept = [name for name, value in vars(bench.instance).items() if _holds(value, bench.key)]
            require(not kept, f"the instance keeps the key of a call in {kept}: keys come with each request")
            require(bench.key is None or bench.key not in repr(bench.instance), "repr shows the key")

        self.run(work)


def _clean(bench: Bench, heard: Heard, log: str) -> None:
    """Require that nothing of a call shows the key."""
    __tracebackhide__ = True
    if bench.key is None:
        return
    # The fake may repeat the key, and the real client masks it in what it reads: what shows, the provider added.
    require(bench.key not in repr(heard.events), "an event holds the key")
    require(bench.key not in log, "the key is logged or printed")
    if heard.error is not None:
        printed = "".join(traceback.format_exception(heard.error))
        shown = f"{heard.error!r} {vars(heard.error)} {printed}"
        require(bench.key not in shown, f"{type(heard.error).__name__} holds the key")


def _holds(value: object, key: str | None) -> bool:
    if isinstance(value, Secret):
        return key is not None and value == Secret(key)
    if isinstance(value, dict):
        return any(_holds(item, key) for item in value.values())
    if isinstance(value, list | tuple | set):
        return any(_holds(item, key) for item in value)
    return isinstance(value, str) and key is not None and key in value
