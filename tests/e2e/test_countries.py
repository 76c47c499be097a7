"""Countries are refused by a file, and a new file is taken without a restart."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import aiohttp
from mmdb_writer import MMDBWriter
from netaddr import IPSet

CLIENT = "203.0.113.7"


def write(path: Path, country: str) -> None:
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="Country")
    writer.insert_network(IPSet(["203.0.113.0/24"]), {"country": {"iso_code": country}})
    writer.to_db_file(str(path))


async def test_a_new_file_of_countries_is_taken_at_sighup(gateway_process: Any, tmp_path: Path) -> None:
    path = tmp_path / "countries.mmdb"
    write(path, "FR")
    environ = {
        "ORCHESTRATOR_TRUSTED_PROXIES": "127.0.0.1",
        "ORCHESTRATOR_BLOCKED_COUNTRIES": "FR",
        "ORCHESTRATOR_GEOIP_DATABASE": path.name,
        "ORCHESTRATOR_PROVIDERS": "echo",
        "MONITORING_ENABLED": "false",
    }
    gateway = gateway_process(environ=environ)

    async def status() -> int:
        async with http.get(f"{gateway.url}/api/providers", headers={"X-Forwarded-For": CLIENT}) as response:
            return response.status

    async with aiohttp.ClientSession() as http:
        assert await status() == 403
        path.write_bytes(b"damaged")
        gateway.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(20):
            while "Countries not reloaded" not in gateway.output():
                await asyncio.sleep(0.05)
        assert await status() == 403
        write(path, "CH")
        gateway.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(20):
            while await status() != 200:
                await asyncio.sleep(0.05)
