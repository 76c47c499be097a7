"""A whole gateway with every broken plugin beside the echo: what its clients and its operator see."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fake_packages import install_plugin
from fake_providers.broken import AT_CALLS, AT_LOADING, BLOCKING, Package, chatting, install, plain
from processes import COMMAND, GatewayProcess, RunCommand, find_free_port, inherited_environment, wait_until_ready

CANARY = "raises-0123456789-canary"
CALLER = "caller-0123456789-canary"

STUCK = chatting("stuck", "async def chat(self, request):\n        await asyncio.sleep(3600)\n        yield Start()")
GROSS = plain(
    "gross", "    @hookimpl\n    async def embed(self, request): return [[1.0]]", default_embedding_model="'e'"
)
MOODY = plain("moody", "    @hookimpl\n    async def health(self, request): sys.exit(7)")
TELLING = chatting(
    "telling", "async def chat(self, request):\n        raise ValueError(request.credential.reveal())\n        yield"
)


@dataclass(frozen=True)
class Answer:
    """What a client got."""

    status: int
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Client:
    """Asks a gateway, and remembers every answer."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self.gateway = gateway
        self.answers: list[Answer] = []

    def ask(self, path: str, body: Any = None, **headers: str) -> Answer:
        data = None if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
        request = urllib.request.Request(self.gateway.url + path, data, sent)
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                answer = Answer(response.status, response.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                answer = Answer(error.code, error.read().decode())
        self.answers.append(answer)
        return answer

    def chat(self, name: str, **headers: str) -> Answer:
        return self.ask(f"/api/v1/{name}/chat", {"messages": [{"role": "user", "content": "hi"}]}, **headers)

    def providers(self) -> Mapping[str, Mapping[str, Any]]:
        return {row["name"]: row for row in self.ask("/api/providers").json["providers"]}

    def logged(self, **fields: str) -> Sequence[Mapping[str, Any]]:
        """Return the lines with these fields; the log is written aside, and may come after the answer."""
        end = time.monotonic() + 5
        while True:
            lines = [json.loads(line) for line in self.gateway.output().splitlines() if line.startswith("{")]
            found = [line for line in lines if fields.items() <= line.items()]
            if found or time.monotonic() > end:
                return found
            time.sleep(0.05)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("broken-gateway")
    own = {"blocking": BLOCKING, "stuck": STUCK, "gross": GROSS, "moody": MOODY, "telling": TELLING}
    sources = {**AT_LOADING, **AT_CALLS, **own}
    environ = {
        **inherited_environment(),
        "PYTHONPATH": str(install([Package(name, source) for name, source in sources.items()], folder)),
        "ORCHESTRATOR_PLUGIN_LOAD_TIMEOUT": "1",
        "ORCHESTRATOR_TOTAL_TIMEOUT": "3",
        "ORCHESTRATOR_LOG_FORMAT": "json",
        "RAISES_API_KEY": CANARY,
    }
    port, log = find_free_port(), folder / "gateway.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [COMMAND, "serve", "--port", str(port)], cwd=folder, env=environ, stdout=output, stderr=subprocess.STDOUT
        )
    gateway = GatewayProcess(f"http://127.0.0.1:{port}", process, folder, log)
    wait_until_ready(gateway)
    yield Client(gateway)
    gateway.stop()


def echoes(client: Client) -> bool:
    answer = client.chat("echo")
    return answer.status == 200 and answer.json["message"]["content"] == "You said: hi"


@pytest.mark.parametrize("name", AT_LOADING)
def test_what_never_loaded_is_answered_with_the_reason(client: Client, name: str) -> None:
    row = client.providers()[name]
    assert (row["is_healthy"], row["models"], row["capabilities"]) == (False, [], [])
    assert row["error"]
    for answer, said in (
        (connector := client.chat(name), connector.json["error"]),
        (native := client.ask("/v1/chat/completions", openai(f"{name}/m")), native.json["error"]["message"]),
        (turn := client.ask("/api/orchestrate", turn_of(name)), turn.json["detail"]),
    ):
        assert answer.status == 502
        assert "plugin_error" in answer.text
        assert f"(orchestrator-{name} 1.2.3) is quarantined: " in said
        assert row["error"] in said
    (line,) = client.logged(event="plugin quarantined", provider=name)
    assert (line["level"], line["distribution"], line["reason"]) == ("ERROR", f"orchestrator-{name}", row["error"])
    assert echoes(client)


@pytest.mark.parametrize("name", AT_CALLS)
def test_what_breaks_in_a_call_is_a_plugin_error_and_another_answers(client: Client, name: str) -> None:
    answer = client.chat(name)
    assert (answer.status, answer.json["success"], answer.json["error_type"]) == (502, False, "plugin_error")
    assert f"'{name}'" in answer.json["error"]
    assert "hook chat" in answer.json["error"]
    assert [line for line in client.logged(provider=name, hook="chat") if line["level"] == "ERROR"]
    other = client.ask("/api/orchestrate", turn_of(name, fallbacks=["echo"]))
    assert (other.status, other.json["agent_used"]) == (200, "echo")
    assert echoes(client)


def test_a_hook_that_hangs_ends_at_the_deadline(client: Client) -> None:
    answer = client.ask("/api/orchestrate", turn_of("stuck", timeout=0.3))
    assert (answer.status, answer.json["code"]) == (504, "provider_timeout")
    assert echoes(client)


def test_embeddings_of_the_wrong_type_are_a_plugin_error(client: Client) -> None:
    answer = client.ask("/api/v1/gross/embeddings", {"input": ["a"]})
    assert (answer.status, answer.json["error_type"]) == (502, "plugin_error")
    assert client.logged(provider="gross", hook="embed")


def test_a_look_that_ends_the_process_does_not(client: Client) -> None:
    row = client.providers()["moody"]
    assert row["is_healthy"] is False
    assert "hook health (SystemExit)" in row["error"]
    assert client.logged(provider="moody", hook="health")


def test_the_one_that_blocks_is_named_and_set_aside(client: Client) -> None:
    first = client.chat("blocking")
    assert first.status == 200, "it ends as if nothing were"
    assert client.logged(event="plugin blocks the event loop", provider="blocking", hook="chat")
    again = client.chat("blocking")
    assert (again.status, again.json["error_type"]) == (502, "plugin_error")
    assert "quarantined: its hook chat blocked the event loop" in again.json["error"]
    assert "blocked" in client.providers()["blocking"]["error"]
    assert client.ask("/api/health").json["providers_status"]["blocking"] is False
    assert echoes(client)


def test_no_key_shows_anywhere(client: Client) -> None:
    assert client.chat("telling", X_Provider_Key=CALLER).status == 502
    assert client.logged(provider="telling", hook="chat"), "and its error with the key in it was logged"
    everything = client.gateway.output() + "".join(answer.text for answer in client.answers)
    assert CANARY not in everything
    assert CALLER not in everything


def openai(model: str) -> Mapping[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "hi"}]}


def turn_of(name: str, **config: Any) -> Mapping[str, Any]:
    return {"message": "hi", "agent_config": {"provider": name, "model": "m", **config}}


def test_a_name_that_two_claim_refuses_the_start_and_is_listed(orchestrator: RunCommand, tmp_path: Path) -> None:
    code = "from orchestrator_core.provider_api import *\nclass Provider(ProviderHooks):\n    info = ProviderInfo("
    code += "name='acme', title='A', capabilities=('chat',))\n"
    sites = [install_plugin(tmp_path, f"orchestrator-acme-{side}", "acme", code) for side in ("left", "right")]
    path = ":".join(sites)
    refused = orchestrator("serve", "--port", "0", PYTHONPATH=path)
    assert refused.returncode == 78
    assert "orchestrator-acme-left and orchestrator-acme-right" in refused.stderr
    rows = json.loads(orchestrator("plugins", "--json", PYTHONPATH=path).stdout)
    assert [row["distribution"] for row in rows if row["state"] == "clash"] == [
        "orchestrator-acme-left",
        "orchestrator-acme-right",
    ]
    served = orchestrator("plugins", PYTHONPATH=path, ORCHESTRATOR_DISABLED_PROVIDERS="orchestrator-acme-left")
    assert "orchestrator-acme-right" in served.stdout
