"""A gate in a process of its own, to be killed: a line in is a passage, a line out its answer.

python gate_process.py <sql url> <journal folder> <catalogue folder>
in:  <direction> <minute> <plate> <event>
out: <event> <reason> <session>
"""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

TESTS = Path(__file__).parent.parent
sys.path[:0] = [str(TESTS), str(TESTS.parent)]

import structlog  # noqa: E402 - after the path
from settlement_parts import running  # noqa: E402 - after the path

from service.catalog_file import load_catalog  # noqa: E402
from service.clock import ManualClock  # noqa: E402

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))


async def main(url: str, folder: str, catalogue: str) -> None:
    clock = ManualClock(shown=[datetime(2026, 3, 2, tzinfo=UTC).timestamp()])
    catalog = load_catalog([catalogue])
    async with running(url, Path(folder), catalog, clock, patience_s=0.3) as parts:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        print("ready", flush=True)
        tasks = set()
        while line := await reader.readline():
            direction, minute, plate, event = line.decode().split()
            tasks.add(asyncio.create_task(answer(parts, direction, int(minute), plate, event)))


async def answer(parts, direction, minute, plate, event) -> None:
    said = await parts.passed(direction, minute, plate, event=event)
    print(event, said.reason, said.session, flush=True)


asyncio.run(main(*sys.argv[1:]))
