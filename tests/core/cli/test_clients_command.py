"""`clients`, as processes of their own, beside a gateway that serves and without one."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request

from processes import GatewayProcess, RunCommand, StartGateway


def status(gateway: GatewayProcess, key: str | None, path: str = "/api/clients/me") -> int:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(gateway.url + path, headers=headers), timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_keys_work_at_once_in_a_gateway_that_serves_and_end_soon(
    orchestrator: RunCommand, gateway_process: StartGateway
) -> None:
    gateway = gateway_process()
    assert status(gateway, None) == 200, "nobody has a key yet"
    limits = ("--models", "echo/*", "--expires", "90d", "--budget-tokens", "500", "--budget-period", "day")
    made = orchestrator("clients", "create", "app", *limits)
    assert made.returncode == 0, made.stderr
    key = made.stdout.strip()
    assert "app" in made.stderr
    assert status(gateway, key) == 200
    assert status(gateway, None) == 401

    (shown,) = json.loads(orchestrator("clients", "show", "app", "--json").stdout)
    assert shown["budget"]["remaining_tokens"] == 500

    rotated = json.loads(orchestrator("clients", "rotate", "app", "--overlap", "1h", "--json").stdout)
    assert rotated["previous_key_until"] is not None
    assert [status(gateway, each) for each in (rotated["key"], key)] == [200, 200]
    changed = json.loads(
        orchestrator("clients", "update", "app", "--requests-per-minute", "7", "--models", "none", "--json").stdout
    )
    assert (changed[0]["requests_per_minute"], changed[0]["models"]) == (7, None)

    assert orchestrator("clients", "revoke", "app").returncode == 0
    until = time.monotonic() + 10
    while (last := status(gateway, key)) != 401 and time.monotonic() < until:
        time.sleep(0.2)
    assert last == 401
    assert status(gateway, rotated["key"]) == 401
    assert orchestrator("clients", "list", "--json").stdout == "[]\n"
    (shown,) = json.loads(orchestrator("clients", "show", rotated["id"], "--json").stdout)
    assert shown["status"] == "revoked"
    assert key not in orchestrator("clients", "list", "--revoked").stdout


def test_production_starts_with_a_key_that_the_command_made(
    orchestrator: RunCommand, gateway_process: StartGateway
) -> None:
    key = orchestrator("clients", "create", "operator", "--role", "admin").stdout.strip()
    environ = {
        "ENVIRONMENT": "production",
        "CORS_ALLOWED_ORIGINS": "https://app.example.com",
        "OPENAI_API_KEY": "sk-proj-0123456789abcdefghijklmnopqrstuvwxyzABCD",
        "MONITORING_ENABLED": "false",
    }
    checked = orchestrator("check", **environ)
    assert "client key" not in checked.stdout
    gateway = gateway_process(environ)
    assert (status(gateway, None), status(gateway, key, "/metrics")) == (401, 200)
    gateway.process.terminate()
    gateway.process.wait(20)
    assert orchestrator("clients", "revoke", "operator").returncode == 0
    assert "orchestrator clients create" in orchestrator("check", **environ).stdout


def test_what_cannot_be_asked(orchestrator: RunCommand) -> None:
    for wrong in (
        ("create",),
        ("create", "a", "--models", "gpt-5"),
        ("create", "a", "--providers", ","),
        ("create", "a", "--budget-usd", "0"),
        ("create", "a", "--requests-per-minute", "many"),
        ("create", "a", "--expires", "2020-01-01"),
        ("create", "a", "--expires", "soon"),
        ("rotate", "a", "--overlap", "90d"),
        ("update", "a"),
    ):
        assert orchestrator("clients", *wrong).returncode == 2, wrong
    for never in (
        ("a\nb",),
        ("",),
        ("a", "--tenant", ""),
        ("a", "--tenant", "../x"),
        ("a", "--tenant", "x" * 5000),
        ("a", "--budget-period", "day"),
        ("a", "--models", ",".join(f"a/{number}" for number in range(101))),
    ):
        refused = orchestrator("clients", "create", *never)
        assert (refused.returncode, refused.stdout) == (1, ""), never
        assert "Traceback" not in refused.stderr
    assert orchestrator("clients", "list", "--json").stdout == "[]\n"
    orchestrator("clients", "create", "a")
    assert orchestrator("clients", "update", "a", "--budget-period", "day").returncode == 1
    assert orchestrator("clients", "update", "a", "--name", "").returncode == 1
    taken = orchestrator("clients", "create", "a")
    assert (taken.returncode, "exists" in taken.stderr, taken.stdout) == (1, True, "")
    for command in (("show",), ("revoke",), ("rotate",), ("update", "--name", "b")):
        assert "no client" in orchestrator("clients", command[0], "nobody", *command[1:]).stderr
    assert orchestrator("clients", "list", ORCHESTRATOR_DATABASE_URL="memory:").returncode == 78
