"""The image, built by the steps of its Dockerfile and run as an engine would, where namespaces can be made.

`nox -s deploy` runs this; it takes about a minute.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from databases import PostgresServer
from image import ROOT, Image, built_image, why_not
from processes import GatewayProcess, find_free_port, wait_until_ready
from redis_server import RedisServer
from start_configurations import CLIENT_KEY, OPENAI_KEY

WANTED = "ORCHESTRATOR_BUILD_IMAGE" in os.environ
REASON = why_not() if WANTED else "it takes a minute: nox -s deploy"
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The image, and one volume for all containers of these tests."""
    with built_image(tmp_path_factory.mktemp("image")) as image:
        image.mount_read_only()
        yield image


@contextmanager
def container(image: Image, tmp_path: Path, *arguments: str, **environ: str) -> Iterator[GatewayProcess]:
    """Run what the image runs, with other arguments where some are given."""
    port = find_free_port()
    entry, default = image.stage.one("ENTRYPOINT").command, image.stage.one("CMD").command
    log = tmp_path / f"container-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            image.command(*entry, *(arguments or default), SERVER_PORT=str(port), **environ),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    gateway = GatewayProcess(f"http://127.0.0.1:{port}", process, tmp_path, log)
    try:
        wait_until_ready(gateway)
        yield gateway
    finally:
        if process.poll() is None:
            first(gateway).kill()  # and with process 1 its whole container
            process.wait()


def first(gateway: GatewayProcess) -> psutil.Process:
    """Return process 1 of a container."""
    (process,) = psutil.Process(gateway.process.pid).children()
    return process


def ask(url: str, body: bytes | None = None, **headers: str) -> str:
    request = urllib.request.Request(url, body, {"content-type": "application/json", **headers})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(answer.read().decode())


def test_it_serves_as_user_1000_and_process_1_without_any_right(image: Image, tmp_path: Path) -> None:
    with container(image, tmp_path) as gateway:
        process = first(gateway)
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert set(process.uids()) == set(process.gids()) == {1000}
        assert process.cmdline()[1:] == ["/opt/orchestrator/bin/orchestrator", "serve"], "no shell stands before it"
        assert re.search(r"^NSpid:\s+\d+\s+1$", status, re.MULTILINE), "it is process 1 of its container"
        assert re.search(r"^Groups:\s*$", status, re.MULTILINE)
        for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb"):
            assert re.search(rf"^Cap{kind}:\s+0+$", status, re.MULTILINE), kind
        assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)


def test_it_answers_and_keeps_conversations_on_the_volume_alone(image: Image, tmp_path: Path) -> None:
    body = b'{"message": "Hello!", "agent_config": {"provider": "echo"}}'
    with container(image, tmp_path) as gateway:
        session = re.findall(r"sess_\w+", ask(f"{gateway.url}/api/orchestrate", body))[0]
        first(gateway).send_signal(signal.SIGTERM)
        assert gateway.process.wait(timeout=20) == 0
    assert "orchestrator.db" in image.run("ls", "-A", image.data).stdout.split()
    with container(image, tmp_path) as gateway:
        assert session in ask(f"{gateway.url}/api/sessions/{session}")
    refused = image.run("touch", "/opt/orchestrator/anything")
    assert refused.returncode != 0
    assert "Read-only file system" in refused.stderr


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_signals_reach_the_process(image: Image, tmp_path: Path, sign: signal.Signals) -> None:
    with container(image, tmp_path) as gateway:
        first(gateway).send_signal(sign)
        assert gateway.process.wait(timeout=20) == 0
        assert "Stopped" in gateway.output()


def test_the_signal_that_the_image_names_is_the_one_that_drains(image: Image) -> None:
    assert image.stage.one("STOPSIGNAL").value == "SIGTERM"


def test_new_keys_are_taken_at_sighup(image: Image, tmp_path: Path) -> None:
    with container(image, tmp_path) as gateway:
        first(gateway).send_signal(signal.SIGHUP)
        time.sleep(0.5)
        assert ask(f"{gateway.url}/api/health")


def test_the_health_check_tells_a_gateway_that_serves_from_one_that_does_not(image: Image, tmp_path: Path) -> None:
    check = image.stage.one("HEALTHCHECK").command
    with container(image, tmp_path) as gateway:
        port = gateway.url.rpartition(":")[2]
        assert image.run(*check, SERVER_PORT=port).returncode == 0
    done = image.run(*check, SERVER_PORT=port)
    assert (done.returncode, done.stdout[:28]) == (1, "The gateway does not answer:")


def test_every_provider_and_extra_is_in_it(image: Image) -> None:
    listed = image.run("orchestrator", "plugins", "--json").stdout
    folders = {path.parent.name for path in (ROOT / "plugins").glob("*/pyproject.toml")}
    assert {f"orchestrator-{name}" for name in folders} == set(re.findall(r"orchestrator-[a-z-]+", listed))
    modules = "asyncpg, redis, gunicorn, maxminddb, opentelemetry.sdk.trace, opentelemetry.exporter.otlp.proto.http"
    done = image.run("python", "-c", f"import {modules}")
    assert done.returncode == 0, done.stderr


def test_every_module_is_compiled(image: Image) -> None:
    program = (
        "import importlib.util, pathlib, sys, sysconfig\n"
        "places = {sysconfig.get_path('purelib'), sysconfig.get_path('stdlib')}\n"
        "for place in places:\n"
        "    for path in pathlib.Path(place).rglob('*.py'):\n"
        "        if not pathlib.Path(importlib.util.cache_from_source(str(path))).exists(): print(path)\n"
    )
    done = image.run("python", "-c", program)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_it_serves_production_over_postgresql_and_redis_as_kubernetes_starts_it(
    image: Image, tmp_path: Path, postgres: PostgresServer, redis_server: RedisServer
) -> None:
    database, _, host = asyncio.run(postgres.empty()).partition("?host=")
    Path(host).chmod(0o755)
    image.bind(Path(host), "/mnt")
    lines = (ROOT / "deploy/kubernetes/base/settings.env").read_text().splitlines()
    environ = dict(line.split("=", 1) for line in lines if not line.startswith("#")) | {
        "ORCHESTRATOR_DATABASE_URL": f"{database}?host=/mnt",
        "ORCHESTRATOR_REDIS_URL": redis_server.url,
        "ORCHESTRATOR_CLIENT_KEY": CLIENT_KEY,
        "OPENAI_API_KEY": OPENAI_KEY,
    }
    assert image.run("orchestrator", "db", "current", **environ).returncode == 1
    done = image.run("orchestrator", "db", "upgrade", **environ)
    assert (done.returncode, done.stderr) == (0, "")
    assert image.run("orchestrator", "db", "current", **environ).returncode == 0
    with container(image, tmp_path, **environ) as gateway:
        assert '"redis":"connected"' in ask(f"{gateway.url}/health/ready").replace(" ", "")
        body = b'{"message": "Hello!", "agent_config": {"provider": "echo"}}'
        assert "sess_" in ask(f"{gateway.url}/api/orchestrate", body, authorization=f"Bearer {CLIENT_KEY}")
        first(gateway).send_signal(signal.SIGTERM)
        assert gateway.process.wait(timeout=20) == 0


def test_workers_serve_and_are_stopped_by_process_1(image: Image, tmp_path: Path, postgres: PostgresServer) -> None:
    database, _, host = asyncio.run(postgres.empty()).partition("?host=")
    Path(host).chmod(0o755)
    image.bind(Path(host), "/mnt")
    arguments = ("serve", "--workers", "2")
    with container(image, tmp_path, *arguments, ORCHESTRATOR_DATABASE_URL=f"{database}?host=/mnt") as gateway:
        assert len(first(gateway).children()) >= 2
        assert "orchestrator_http_requests" in ask(f"{gateway.url}/metrics")
        first(gateway).send_signal(signal.SIGTERM)
        assert gateway.process.wait(timeout=30) == 0


def test_a_configuration_that_is_refused_ends_the_container_with_78(image: Image) -> None:
    done = image.run("orchestrator", "serve", ENVIRONMENT="production")
    assert done.returncode == 78
    assert "No provider is usable" in done.stdout + done.stderr
