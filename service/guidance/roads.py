"""Drive times by road, from a routing service that speaks OSRM's table call.

`GET {url}/table/v1/driving/{lng},{lat};…?sources=0&annotations=duration` answers
`{"code": "Ok", "durations": [[s | null, …]]}`.
Source: OSRM HTTP API, "Table service".
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import aiohttp
import msgspec
import structlog

from devices.wire import FAILURES
from service import metrics
from service.catalog import Point

_log = structlog.get_logger()

TIMEOUT_S: Final = 0.8
KEPT_FOR_S: Final = 120.0
PAUSE_S: Final = 10.0
KEPT: Final = 20_000
LONGEST_S: Final = 7 * 86_400.0
BODY_MAX_BYTES: Final = 1_000_000
ORIGIN_DIGITS: Final = 3  # cache origins by about a hundred metres


class _Table(msgspec.Struct):
    code: str
    durations: list[list[float | None]] = []


class Roads:
    """A cache before the routing service; after a failure it is left alone for a while.

    Ages are wall seconds: traffic belongs to the machine's time.
    """

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url.rstrip("/")
        self._session = session
        self._known: dict[tuple[float, float, Point], tuple[float, float | None]] = {}
        self._paused_until_s = 0.0

    async def drive_s(self, origin: Point, points: Sequence[Point]) -> list[float | None] | None:
        """Seconds to each point (None where there is no road); None when nobody answers in time."""
        near = (round(origin.lat, ORIGIN_DIGITS), round(origin.lng, ORIGIN_DIGITS))
        now_s = time.monotonic()
        kept = {point: self._known.get((*near, point), (0.0, None)) for point in points}
        missing = [point for point, (until_s, _) in kept.items() if until_s < now_s]
        if missing:
            learned = await self._learn(origin, missing)
            if learned is None:
                return None
            for point, duration_s in zip(missing, learned, strict=True):
                kept[point] = self._known[(*near, point)] = (now_s + KEPT_FOR_S, duration_s)
            while len(self._known) > KEPT:
                del self._known[next(iter(self._known))]
        return [kept[point][1] for point in points]

    async def _learn(self, origin: Point, points: list[Point]) -> list[float | None] | None:
        if time.monotonic() < self._paused_until_s:
            return None
        try:
            durations = await self._ask(origin, points)
        except (aiohttp.ClientError, TimeoutError, *FAILURES) as error:
            metrics.refused("roads", "no_answer")
            _log.warning("roads did not answer", error=type(error).__name__)
            durations = None
        else:
            if durations is None:
                metrics.refused("roads", "bad_table")
        if durations is None:
            self._paused_until_s = time.monotonic() + PAUSE_S
        return durations

    async def _ask(self, origin: Point, points: list[Point]) -> list[float | None] | None:
        """One row of durations, or None where the answer is no table of that shape."""
        places = ";".join(f"{one.lng:.6f},{one.lat:.6f}" for one in [origin, *points])
        async with (
            asyncio.timeout(TIMEOUT_S),
            self._session.get(
                f"{self._url}/table/v1/driving/{places}",
                params={"sources": "0", "annotations": "duration"},
            ) as response,
        ):
            body = await _read(response.content)
        table = msgspec.json.decode(body, type=_Table)
        if table.code != "Ok" or len(table.durations) != 1:
            return None
        row = table.durations[0][1:]
        usable = all(one is None or 0 <= one <= LONGEST_S for one in row)
        return row if len(row) == len(points) and usable else None


async def _read(stream: aiohttp.StreamReader) -> bytes:
    """The whole body, up to a limit; a longer one is cut and will not decode."""
    body = bytearray()
    async for part in stream.iter_any():
        body += part
        if len(body) > BODY_MAX_BYTES:
            break
    return bytes(body)
