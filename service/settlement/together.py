"""Many small transactions as one: whoever waits while a commit runs shares the next one.

Each piece of work stands in a savepoint of its own: what it raises is raised to its caller and
undoes that piece alone. A result is given after the commit, so it is durable when it is seen.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.sql import TROUBLE, writing

BATCH: Final = 64
T = TypeVar("T")
Work = Callable[[AsyncConnection], Awaitable[Any]]


class Together:
    """Group commit over one database; nothing runs while nobody asks."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._waiting: deque[tuple[Work, asyncio.Future[Any]]] = deque()
        self._leader: asyncio.Task[None] | None = None

    async def do(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Run `work` in a transaction; returns what it returned, once that is committed."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, done))
        if self._leader is None or self._leader.done():
            self._leader = asyncio.create_task(self._lead(), name="till commit")
        return await done

    async def quiet(self) -> None:
        """Wait until nothing is under way."""
        if self._leader is not None:
            await asyncio.wait({self._leader})

    async def _lead(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            try:
                outcomes = await self._commit(batch)
            except Exception as error:  # noqa: BLE001 - it is given to all who asked
                outcomes = [(None, error)] * len(batch)
            except asyncio.CancelledError:
                for _, done in [*batch, *self._waiting]:
                    done.cancel()
                raise
            for (_, done), (result, failure) in zip(batch, outcomes, strict=True):
                if done.done():
                    continue
                if failure is None:
                    done.set_result(result)
                else:
                    done.set_exception(failure)

    async def _commit(
        self, batch: list[tuple[Work, "asyncio.Future[Any]"]]
    ) -> list[tuple[Any, Exception | None]]:
        outcomes: list[tuple[Any, Exception | None]] = []
        async with writing(self._engine) as sql:
            for work, _ in batch:
                try:
                    async with sql.begin_nested():
                        outcomes.append((await work(sql), None))
                except Exception as error:
                    if isinstance(error, TROUBLE) and not isinstance(error, IntegrityError):
                        raise
                    outcomes.append((None, error))
        return outcomes
