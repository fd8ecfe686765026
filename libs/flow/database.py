"""This file is the door to Postgres: a pool bound to one schema, and the faults that mean "it is away"."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any, TypeVar

import asyncpg

T = TypeVar("T")


class DatabaseAway(Exception):
    """Postgres cannot be reached, refuses, or took too long. Nothing is known about the statement; try again later."""


AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    OSError,
    TimeoutError,
)

SESSION = {
    # A process stopped inside a transaction must not hold a lane's row for longer than this.
    "idle_in_transaction_session_timeout": "3000",
    "statement_timeout": "5000",
    "lock_timeout": "4000",
    # A lane's commit that was lost after its events went out would use its sequences again.
    "synchronous_commit": "on",
    "jit": "off",
    # Every statement is a look-up by key: planning a batch's statement anew each time costs more than running it.
    "plan_cache_mode": "force_generic_plan",
}

TCP = {
    "tcp_keepalives_idle": "2",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "2",
    "tcp_user_timeout": "4000",
}


class _Connection(asyncpg.Connection):
    """asyncpg resets a connection each time it returns to the pool, one round trip a batch; ours leave nothing to reset."""

    def get_reset_query(self) -> str:
        return ""


class Database:
    """A pool whose search path is one service's schema. Every method raises DatabaseAway when Postgres is away."""

    def __init__(self, dsn: str, schema: str, *, application: str = "sambung", size: int = 6) -> None:
        self.dsn, self.schema, self.application = dsn, schema, application
        self._size = size
        self._pool: asyncpg.Pool[Any] | None = None

    async def start(self) -> None:
        """Make the pool; connects on first use, so a database that is away does not stop a start."""
        self._pool = await asyncpg.create_pool(
            self.dsn,
            min_size=0,
            max_size=self._size,
            timeout=3,
            command_timeout=5,
            max_inactive_connection_lifetime=0,
            statement_cache_size=400,
            connection_class=_Connection,
            server_settings=SESSION | self.settings(),
        )

    def settings(self) -> dict[str, str]:
        """Server settings of every session of this database object."""
        return {"search_path": self.schema, "application_name": f"{self.application}/{self.schema}"}

    async def stop(self) -> None:
        if self._pool is not None:
            self._pool.terminate()
            self._pool = None

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """One connection for several statements. On a fault of the database it is thrown away, not reused."""
        if self._pool is None:
            raise DatabaseAway("the pool is not started")
        connection = None
        try:
            connection = await self._pool.acquire(timeout=5)
            yield connection
        except AWAY as fault:
            if connection is not None:
                connection.terminate()
            raise DatabaseAway(f"{type(fault).__name__}: {fault}") from fault
        except asyncio.CancelledError:
            # A cancelled statement may go on at the server; this connection must not serve another batch meanwhile.
            if connection is not None:
                connection.terminate()
            raise
        finally:
            if connection is not None and self._pool is not None:
                try:
                    await self._pool.release(connection)
                except AWAY:
                    connection.terminate()

    async def _with(self, call: Callable[[Any], Any]) -> Any:
        async with self.connection() as connection:
            return await call(connection)

    async def fetch(self, sql: str, *args: Any) -> list[Any]:
        rows: list[Any] = await self._with(lambda c: c.fetch(sql, *args))
        return rows

    async def fetchrow(self, sql: str, *args: Any) -> Any | None:
        return await self._with(lambda c: c.fetchrow(sql, *args))

    async def fetchval(self, sql: str, *args: Any) -> Any:
        return await self._with(lambda c: c.fetchval(sql, *args))

    async def execute(self, sql: str, *args: Any) -> str:
        status: str = await self._with(lambda c: c.execute(sql, *args))
        return status


async def session(dsn: str, schema: str, application: str) -> Any:
    """A connection of its own, outside any pool, for ownership: short time-outs, keepalives."""
    extra = TCP if "host=/" not in dsn else {}
    return await asyncpg.connect(
        dsn,
        timeout=2,
        command_timeout=1.5,
        server_settings={
            "search_path": schema,
            "application_name": f"{application}/{schema}/owner",
            "jit": "off",
            **extra,
        },
    )


def queries(package: str, name: str = "queries.sql") -> dict[str, str]:
    """The named statements of a package's SQL file: blocks that begin with `-- name: <name>`."""
    found: dict[str, str] = {}
    for block in files(package).joinpath(name).read_text().split("-- name:")[1:]:
        title, _, sql = block.partition("\n")
        found[title.strip()] = sql.strip().rstrip(";")
    return found
