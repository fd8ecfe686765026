"""This file brings the batches of a flow's lanes together that are ready at the same time: one statement writes them all.

lane 3 ─▶ write ─┐
lane 7 ─▶ write ─┼─▶ [ one statement under way; who comes meanwhile waits for the next ] ─▶ written, or not, lane by lane
lane 9 ─▶ write ─┘
"""

import asyncio
from collections.abc import Sequence

import asyncpg

from libs.flow import metrics
from libs.flow.commit import Commit, statement_of
from libs.flow.database import Database, DatabaseAway, Unfit

Waiting = tuple[Commit, asyncio.Future[bool]]


class Together:
    """Writes commits of one flow. A statement costs the server and us about the same for twelve lanes as for one."""

    def __init__(self, flow: str, database: Database, lease: float, *, fenced: bool) -> None:
        self._flow, self._database, self._lease, self._fenced = flow, database, lease, fenced
        self._waiting: list[Waiting] = []
        self._task: asyncio.Task[None] | None = None

    async def write(self, commit: Commit) -> bool:
        """Write a lane's batch. False: nothing of it was written, since the lane is not ours or an event came again.

        Raises DatabaseAway; and PostgresError or Unfit where the database will not take this very batch.
        """
        loop = asyncio.get_running_loop()
        written: asyncio.Future[bool] = loop.create_future()
        self._waiting.append((commit, written))
        if self._task is None:
            # It begins after all lanes that were woken by the same records have come here.
            self._task = loop.create_task(self._run())
        return await written

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._write_all(self._next_group())
        finally:
            self._task = None
            for _, written in self._waiting:
                if not written.done():
                    written.set_exception(DatabaseAway("the writing of batches was ended"))
            self._waiting = []

    def _next_group(self) -> list[Waiting]:
        """One commit of each lane; those of lanes that were cancelled meanwhile are left out."""
        group, later = dict[int, Waiting](), list[Waiting]()
        for waiting in self._waiting:
            if waiting[1].done():
                continue
            if waiting[0].lane in group:
                later.append(waiting)
            else:
                group[waiting[0].lane] = waiting
        self._waiting = later
        return list(group.values())

    async def _write_all(self, group: Sequence[Waiting]) -> None:
        if not group:
            return
        try:
            ours = await self._write([commit for commit, _ in group])
        except (asyncpg.PostgresError, Unfit) as fault:
            if len(group) == 1:
                _tell(group[0], fault)
                return
            ours = set()
        except Exception as fault:
            for waiting in group:
                _tell(waiting, fault)
            return
        for waiting in group:
            if waiting[0].lane in ours:
                _tell(waiting, True)
            elif len(group) == 1:
                _tell(waiting, False)
            else:
                await self._write_all([waiting])  # which of them it was shows when each is alone

    async def _write(self, commits: Sequence[Commit]) -> set[int]:
        sql, arguments = statement_of(self._flow, commits, self._lease, fenced=self._fenced)
        with metrics.of(metrics.COMMIT, self._flow).time():
            return {row[0] for row in await self._database.fetch(sql, *arguments)}


def _tell(waiting: Waiting, outcome: bool | BaseException) -> None:
    written = waiting[1]
    if written.done():  # its lane was cancelled
        return
    if isinstance(outcome, BaseException):
        written.set_exception(outcome)
    else:
        written.set_result(outcome)
