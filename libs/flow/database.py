"""This file is the door to Postgres: a pool bound to one schema, and the faults that mean "it is away"."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any, TypeVar

import asyncpg

T = TypeVar("T")


class DatabaseAway(Exception):
    """Postgres cannot be reached, refuses, or took too long. Nothing is known about the statement; try again later."""


class Unfit(Exception):
    """A value does not fit its column, found before it was sent. Another try changes nothing."""


AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,  # starting, stopping, crashed, or told to cancel
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
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
    # Nor is it planned anew when a table has grown: a plan from when it was empty reads all of it for ever.
    "enable_seqscan": "off",
}

TCP = {
    "tcp_keepalives_idle": "2",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "2",
    "tcp_user_timeout": "4000",
}


class Database:
    """Some sessions whose search path is one service's schema. Every method raises DatabaseAway when Postgres is away.

    The library's own pool resets a session and makes a task each time one comes back, which costs a batch as much as its
    statement. These sessions leave nothing to reset, so they are simply put back; one that saw a fault is thrown away.
    """

    def __init__(self, dsn: str, schema: str, *, application: str = "sambung", size: int = 6) -> None:
        self.dsn, self.schema, self.application = dsn, schema, application
        self._free: list[Any] = []
        self._slots = asyncio.Semaphore(size)
        self._started = False

    async def start(self) -> None:
        """Connects on first use, so a database that is away does not stop a start."""
        self._started = True

    def settings(self) -> dict[str, str]:
        """Server settings of every session of this database object."""
        return {"search_path": self.schema, "application_name": f"{self.application}/{self.schema}"}

    async def stop(self) -> None:
        self._started = False
        while self._free:
            self._free.pop().terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """One session for several statements."""
        connection = await self._take()
        kept = False
        try:
            yield connection
            kept = True
        except AWAY as fault:
            raise _meaning(fault) from fault
        except asyncpg.PostgresError:
            kept = not connection.is_in_transaction()
            raise
        finally:
            self._give(connection, keep=kept)

    async def _take(self) -> Any:
        if not self._started:
            raise DatabaseAway("not started, or stopped")
        if self._slots.locked():
            await self._slot()
        else:
            await self._slots.acquire()  # at once; a time limit costs as much as all else here
        while self._free:
            connection = self._free.pop()
            if not connection.is_closed():
                return connection
        try:
            return await asyncpg.connect(
                self.dsn,
                timeout=3,
                command_timeout=5,
                statement_cache_size=400,
                server_settings=SESSION | self.settings() | ({} if "host=/" in self.dsn else TCP),
            )
        except BaseException as fault:
            self._slots.release()
            if isinstance(fault, AWAY):
                raise DatabaseAway(f"{type(fault).__name__}: {fault}") from fault
            raise

    async def _slot(self) -> None:
        try:
            async with asyncio.timeout(5):
                await self._slots.acquire()
        except TimeoutError as fault:
            raise DatabaseAway("every session is taken") from fault

    def _give(self, connection: Any, *, keep: bool) -> None:
        # A cancelled statement may go on at the server; its session must not serve another batch meanwhile.
        if keep and self._started and not connection.is_closed():
            self._free.append(connection)
        else:
            connection.terminate()
        self._slots.release()

    async def _with(self, call: Callable[[Any], Awaitable[Any]]) -> Any:
        connection = await self._take()
        kept = False
        try:
            result = await call(connection)
            kept = True
        except AWAY as fault:
            raise _meaning(fault) from fault
        except asyncpg.PostgresError:
            kept = True  # a single statement was refused; the session is as before
            raise
        finally:
            self._give(connection, keep=kept)
        return result

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


def _meaning(fault: BaseException) -> DatabaseAway | Unfit:
    # The library's complaint about an argument is an InterfaceError too, and a ValueError besides.
    kind = Unfit if isinstance(fault, ValueError) else DatabaseAway
    return kind(f"{type(fault).__name__}: {fault}")


async def session(dsn: str, schema: str, application: str) -> Any:
    """A connection of its own, outside any pool, for ownership: short time-outs, keepalives."""
    extra = {} if "host=/" in dsn else TCP
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
