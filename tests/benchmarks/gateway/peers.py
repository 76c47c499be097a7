"""Other products, as their own documentation says that one runs them in production, without a database.

Each has an environment of its own below one folder, which is made where it is not there yet. The versions are pinned:
figures of two runs are of the same product.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from benchmarks.gateway.subjects import PROVIDER_KEY, Subject, plain_name, running, settled
from processes import find_free_port

LITELLM = "1.108.7"
PORTKEY = "1.15.2"
MASTER_KEY = "sk-benchmark-9f2c4b7a1d3e5f60"

Peer = Callable[[Path, Path, int, Sequence[int]], AbstractContextManager[Subject]]
"""Runs a product, from the folder of the environments, its own folder, the vendor's port and the processors."""


class NotInstallable(Exception):
    """A product cannot be had here; the text says why."""


@contextmanager
def litellm(environments: Path, folder: Path, upstream_port: int, processors: Sequence[int]) -> Iterator[Subject]:
    """Run LiteLLM's proxy with a master key (docs.litellm.ai/docs/proxy/prod)."""
    home = environments / f"litellm-{LITELLM}"
    if not (home / "bin" / "litellm").exists():
        _install([sys.executable, "-m", "venv", home])
        _install([home / "bin" / "pip", "install", "--quiet", f"litellm[proxy]=={LITELLM}"])
    base, port = f"http://127.0.0.1:{upstream_port}", find_free_port()
    models = {
        "gpt-6-luna": ("gpt-6-luna", base),
        "paced/gpt-6-luna": ("gpt-6-luna", f"{base}/paced"),
        "text-embedding-3-small": ("text-embedding-3-small", base),
    }
    config = {
        "model_list": [
            {
                "model_name": name,
                "litellm_params": {"model": f"openai/{model}", "api_base": f"{url}/v1", "api_key": "sk"},
            }
            for name, (model, url) in models.items()
        ],
        "litellm_settings": {"request_timeout": 600, "set_verbose": False, "json_logs": True},
        "general_settings": {"master_key": MASTER_KEY},
    }
    (folder / "litellm.yaml").write_text(json.dumps(config))  # JSON is YAML
    command: list[str | Path] = [
        home / "bin" / "litellm",
        "--config",
        "litellm.yaml",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    environ = {"LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    headers = {"Authorization": f"Bearer {MASTER_KEY}"}
    with running(command, port, folder, environ, processors, "/health/liveliness") as (process, seconds):
        made = Subject("LiteLLM", "peer", port, _below_its_base, headers, process=process, start_seconds=seconds)
        made.version, made.streams = LITELLM, 100
        made.packages = len(list(home.glob("lib/python*/site-packages/*.dist-info")))
        yield settled(made)


@contextmanager
def portkey(environments: Path, folder: Path, upstream_port: int, processors: Sequence[int]) -> Iterator[Subject]:
    """Run Portkey's gateway; it asks nobody for a key and counts nothing without Portkey's own servers.

    Whole answers alone: all else it answers with 500 on Node 20 (github.com/Portkey-AI/gateway/issues/1389).
    """
    home = environments / f"portkey-{PORTKEY}"
    start = home / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    if not start.exists():
        home.mkdir(parents=True, exist_ok=True)
        _install(["npm", "install", "--no-audit", "--no-fund", "--prefix", home, f"@portkey-ai/gateway@{PORTKEY}"])
    port = find_free_port()
    headers = {
        "Authorization": f"Bearer {PROVIDER_KEY}",
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"http://127.0.0.1:{upstream_port}/v1",
    }
    command = ["node", str(start), f"--port={port}", "--headless"]
    with running(command, port, folder, {"NODE_ENV": "production"}, processors, "/") as (process, seconds):
        made = Subject("Portkey", "peer", port, plain_name, headers, process=process, start_seconds=seconds)
        made.version, made.only = PORTKEY, "chat"
        made.packages = len(json.loads((home / "node_modules" / ".package-lock.json").read_text())["packages"])
        yield settled(made)


@contextmanager
def nginx(_environments: Path, folder: Path, upstream_port: int, processors: Sequence[int]) -> Iterator[Subject]:
    """Run nginx as a proxy that keeps its connections, does not buffer, and logs every request."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        raise NotInstallable("no nginx is on the path: `apt-get install nginx-light`, or its like")
    told = subprocess.run([program, "-v"], capture_output=True, text=True, check=True)
    port = find_free_port()
    (folder / "nginx.conf").write_text(_NGINX.format(port=port, upstream=upstream_port))
    command: list[str | Path] = [program, "-p", folder, "-c", "nginx.conf", "-e", "error.log"]
    with running(command, port, folder, {}, processors, "/v1/models") as (process, seconds):
        made = Subject("nginx", "peer", port, plain_name, through=True, process=process, start_seconds=seconds)
        made.version = told.stderr.strip().rpartition("/")[2]
        yield settled(made)


_NGINX = """
daemon off;
worker_processes 1;
pid nginx.pid;
events {{ worker_connections 8192; }}
http {{
    access_log access.log combined buffer=64k;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    client_body_buffer_size 1m;
    keepalive_requests 100000000;
    upstream vendor {{ server 127.0.0.1:{upstream}; keepalive 1024; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://vendor;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""


def _install(command: Sequence[str | Path]) -> None:
    """Run a command of an installation, with the environment that says where packages come from."""
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise NotInstallable(f"there is no `{command[0]}` here") from None
    except subprocess.CalledProcessError as error:
        raise NotInstallable(f"`{Path(command[0]).name}` failed:\n{error.stderr[-500:]}") from None


def _below_its_base(base: str) -> str:
    return f"{base}/gpt-6-luna" if base else "gpt-6-luna"
