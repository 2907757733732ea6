"""Numbers for a sign's frames that only grow, over restarts and between processes.

Blocks of numbers are reserved in Redis, so that a frame never waits for a write; what a process
did not use when it ended is never used again.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

import structlog
from redis.exceptions import RedisError

from service.guidance.redis_keys import REVISIONS

_log = structlog.get_logger()

BLOCK: Final = 1000
LOW: Final = BLOCK // 5
RETRY_S: Final = 1.0


class Revisions:
    """`next` hands out numbers from memory; `refill` reserves more where they run low."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self._blocks: dict[str, tuple[int, int]] = {}  # sign: (last used, last reserved)

    def next(self, sign: str) -> int:
        """The next number; beyond the reserved ones (Redis away for long) it still grows."""
        used, reserved = self._blocks.get(sign, (0, 0))
        self._blocks[sign] = (used + 1, reserved)
        return used + 1

    async def refill(self, signs: Iterable[str]) -> None:
        """Reserve a block for each sign that is low. Raises RedisError."""
        low = [sign for sign in signs if self._left(sign) < LOW]
        if not low:
            return
        pipe = self._redis.pipeline(transaction=False)
        for sign in low:
            pipe.hincrby(REVISIONS, sign, BLOCK)
        for sign, reserved in zip(low, await pipe.execute(), strict=True):
            used = self._blocks.get(sign, (0, 0))[0]
            ceiling: int = reserved
            if used > reserved - BLOCK:  # Redis came back empty: stay above what was shown
                ceiling = await self._redis.hincrby(REVISIONS, sign, used)
            self._blocks[sign] = (max(used, ceiling - BLOCK), ceiling)

    async def start(self, signs: Iterable[str]) -> None:
        """The first blocks, however long Redis takes: an old number must not look new."""
        wanted = tuple(signs)
        while True:
            try:
                await self.refill(wanted)
            except RedisError as error:
                _log.warning("revisions: redis away", error=type(error).__name__)
                await asyncio.sleep(RETRY_S)
            else:
                return

    def _left(self, sign: str) -> int:
        used, reserved = self._blocks.get(sign, (0, 0))
        return reserved - used
