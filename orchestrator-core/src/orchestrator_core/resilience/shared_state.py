"""What all processes of the gateway share, in Redis, and how each goes on while Redis is away."""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import structlog

from orchestrator_core.config import ConfigError, Settings
from orchestrator_core.config.extras import missing_extra

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.connection import AbstractConnection

SETTING: Final = "ORCHESTRATOR_REDIS_URL"

TIMEOUT: Final = 0.5
"""Seconds that one operation may take, connecting included. While Redis is known to be away, none waits at all."""

PROBE_INTERVAL: Final = 1.0
"""Seconds between two looks for Redis while it is away, on average: they are spread from half of it to one and a half,
so that the processes do not come back all at once."""

MAX_CONNECTIONS: Final = 32
"""Connections of this process. An operation takes well below a millisecond of one."""

# Proves what every other operation needs: that scripts run, and that they may write.
_PROBE: Final = "return redis.call('SET', KEYS[1], '1', 'PX', 1000)"
_PROBE_KEY: Final = "orchestrator:probe"

_REFUSED: Final = (
    "Redis refuses this user or password, or does not let the user do what is needed: run scripts, and write all keys "
    "that begin with `orchestrator:`."
)

_logger = structlog.get_logger(__name__)


class SharedStateLost(Exception):
    """Redis is away: go on with what this process knows."""


class _Server:
    """Which server answers: the client connects again without a word, and it may be one that has less in its memory.

    Attributes:
        changes: How often it was another than before, or was started anew.
    """

    def __init__(self) -> None:
        self.changes = 0
        self._id: bytes | None = None

    async def greet(self, connection: AbstractConnection) -> None:
        """Make a connection ready, and look who is there."""
        from redis.exceptions import ResponseError  # noqa: PLC0415 - as in `from_settings`

        await connection.on_connect()
        await connection.send_command("INFO", "server")
        try:
            told = await connection.read_response()
        except ResponseError:  # this user may not ask, or the server has no such command, as some that imitate Redis
            return
        found = re.search(rb"^run_id:(\w+)", told, re.MULTILINE)
        before, self._id = self._id, found[1] if found else None
        if before is not None and before != self._id:
            self.changes += 1


class SharedState:
    """The connection of this process to Redis: one pool, every operation one script, every wait bounded.

    The first operation that fails is the last that is tried: from then on every one is refused at once, while a task
    looks for Redis, and opens the way when it is back. Only where that task does not find it at once either is it
    reported, so that a stalled event loop or a quick failover is no alert. Used on one event loop only.
    """

    def __init__(self, client: Redis, server: _Server, on_change: Callable[[str | None], None]) -> None:
        """Take a client; `start` before use.

        Args:
            client: Without retries of its own. It is closed with the state.
            server: Is told of each connection of the client.
            on_change: Called with the reason when Redis is found to be away, and with None when it is back.
        """
        self._client = client
        self._server = server
        self._on_change = on_change
        self._hashes: dict[str, str] = {}
        self._available = False
        self._era = 0
        self._slots = asyncio.Semaphore(MAX_CONNECTIONS)
        self._recovery: asyncio.Task[None] | None = None
        self._operations: set[asyncio.Task[Any]] = set()

    @classmethod
    def from_settings(cls, settings: Settings, on_change: Callable[[str | None], None]) -> SharedState | None:
        """Return the state that the settings name; None where they name none.

        Raises:
            ConfigError: The package for Redis is not installed, or the URL cannot be used.
        """
        if settings.redis_url is None:
            return None
        problem = missing_extra(SETTING, "redis", "redis")
        if problem is not None:
            raise ConfigError([problem])
        # Here, because most gateways do without, and the import takes some 50 ms.
        from redis.asyncio import BlockingConnectionPool, Redis  # noqa: PLC0415
        from redis.asyncio.retry import Retry  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415

        server = _Server()
        try:
            pool = BlockingConnectionPool.from_url(
                settings.redis_url,
                max_connections=MAX_CONNECTIONS + 1,  # one for the task that looks for Redis
                timeout=TIMEOUT,
                socket_timeout=TIMEOUT,
                socket_connect_timeout=TIMEOUT,
                # The client would try again for seconds, and count a request twice whose answer was lost.
                retry=Retry(NoBackoff(), 0),
                client_name="orchestrator",
                protocol=2,
                redis_connect_func=server.greet,
            )
        except ValueError:
            raise ConfigError([f"{SETTING}: expected redis://host:6379/0 or rediss://host:6379/0."]) from None
        return cls(Redis.from_pool(pool), server, on_change)

    @property
    def available(self) -> bool:
        """Whether Redis answered the last time."""
        return self._available

    @property
    def era(self) -> int:
        """How often Redis was away, or was another than before: what was told to it in an era before may be gone."""
        return self._era + self._server.changes

    async def start(self) -> None:
        """Connect. A Redis that is away is waited for in the background.

        Raises:
            ConfigError: Redis is there and does not take this client: its name, password or database is wrong.
        """
        from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError  # noqa: PLC0415 - as above

        try:
            await self._probe()
        except (AuthenticationError, NoPermissionError):
            await self.close()
            raise ConfigError([f"{SETTING}: {_REFUSED}"]) from None
        except ResponseError as error:
            if "DB index" not in str(error):
                self._lose(error)
                return
            await self.close()
            raise ConfigError([f"{SETTING}: Redis has no database of this number."]) from None
        except Exception as error:  # noqa: BLE001 - whatever the client raises, the gateway serves without Redis
            self._lose(error)
        else:
            self._available = True

    async def close(self) -> None:
        """Wait for what is under way, and close every connection."""
        self._available = False
        if self._operations:
            await asyncio.wait(self._operations)
        if self._recovery is not None:
            self._recovery.cancel()
            await asyncio.gather(self._recovery, return_exceptions=True)
        try:
            async with asyncio.timeout(TIMEOUT):
                await self._client.aclose(close_connection_pool=True)
        except Exception as error:  # noqa: BLE001 - what cannot be closed well is gone all the same
            _logger.debug("Redis not closed well", error=type(error).__name__)

    async def evaluate(self, script: str, keys: Sequence[str], args: Sequence[str | int] = ()) -> Any:
        """Run a script on Redis: atomically, in one round trip once Redis knows it.

        Args:
            script: In Lua. Its keys begin with `orchestrator:`, expire, and it takes the time from Redis.
            keys: `KEYS`.
            args: `ARGV`.

        Raises:
            SharedStateLost: Redis is away, at once where that is known. Whether the script ran is not known, nor is it
                where the caller was cancelled.
        """
        if not self._available:
            raise SharedStateLost
        # A task of its own: the client at times swallows a cancellation, so that a caller who leaves would stay, and
        # it gives up a connection for each that it does not.
        operation = asyncio.create_task(self._attempt(script, keys, args))
        self._operations.add(operation)
        operation.add_done_callback(self._forget)
        return await asyncio.shield(operation)

    async def ping(self) -> bool:
        """Return whether Redis answers."""
        try:
            await self.evaluate(_PROBE, [_PROBE_KEY])
        except SharedStateLost:
            return False
        return True

    def _forget(self, operation: asyncio.Task[Any]) -> None:
        self._operations.discard(operation)
        if not operation.cancelled():
            operation.exception()  # which nobody asks for where the caller has left

    async def _attempt(self, script: str, keys: Sequence[str], args: Sequence[str | int]) -> Any:
        async with self._slots:  # before the time counts: a long queue here says nothing of Redis
            if not self._available:
                raise SharedStateLost
            era = self._era
            try:
                return await self._run(script, keys, args)
            except Exception as error:  # whatever the client raises, the request goes on without Redis
                if era == self._era:
                    self._lose(error)
                raise SharedStateLost from error

    async def _probe(self) -> None:
        await self._run(_PROBE, [_PROBE_KEY])

    async def _run(self, script: str, keys: Sequence[str], args: Sequence[str | int] = ()) -> Any:
        from redis.exceptions import NoScriptError  # noqa: PLC0415 - as above

        known = self._hashes.get(script)
        if known is None:
            known = self._hashes[script] = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
        async with asyncio.timeout(TIMEOUT):
            try:
                return await self._client.evalsha(known, len(keys), *keys, *args)
            except NoScriptError:
                return await self._client.eval(script, len(keys), *keys, *args)

    def _lose(self, error: Exception) -> None:
        self._available = False
        self._era += 1
        _logger.debug("Redis failed", error=_reason(error))
        self._recovery = asyncio.create_task(self._recover())

    async def _recover(self) -> None:
        reported = False
        while True:
            try:
                await self._probe()
                break
            except Exception as error:  # noqa: BLE001 - the task outlives whatever the client raises
                if not reported:
                    reported = True
                    self._on_change(_reason(error))
            await asyncio.sleep(PROBE_INTERVAL * random.uniform(0.5, 1.5))  # noqa: S311 - no secret: spreads the load
        self._available = True
        if reported:
            self._on_change(None)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")
