"""A gate that is killed and begins again: a line in is a passage, a line out its answer.

    python gate_process.py <sql url> <journal folder> <catalogue folder>
    in:  <direction> <minute> <plate> <event>
    out: <event> <reason> <session>, and `ready <pid> -` whenever a gate has begun

The gate is a child that this process forks, and forks again when it was killed; what it had not
read yet is read by the next one. It ends when its input ends.
"""

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

TESTS = Path(__file__).parent.parent
sys.path[:0] = [str(TESTS), str(TESTS.parent)]

import structlog  # noqa: E402 - after the path
from settlement_parts import running  # noqa: E402

from service.catalog_file import load_catalog  # noqa: E402
from service.clock import ManualClock  # noqa: E402

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))


async def main(url: str, folder: str, catalogue: str) -> None:
    clock = ManualClock(shown=[datetime(2026, 3, 2, tzinfo=UTC).timestamp()])
    catalog = load_catalog([catalogue])
    async with running(url, Path(folder), catalog, clock, patience_s=0.3) as parts:
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )
        say(f"ready {os.getpid()} -")
        tasks = set()
        while line := await reader.readline():
            words = line.decode(errors="replace").split()
            if len(words) == 4:  # a kill may have torn the first line
                tasks.add(asyncio.create_task(answer(parts, *words)))
        await asyncio.gather(*tasks)


async def answer(parts, direction, minute, plate, event) -> None:
    said = await parts.passed(direction, int(minute), plate, event=event)
    say(f"{event} {said.reason} {said.session}")


def say(line: str) -> None:
    """In one write, so that a kill tears no line; `print` needs several."""
    os.write(1, f"{line}\n".encode())


while True:
    child = os.fork()
    if child == 0:
        asyncio.run(main(*sys.argv[1:]))
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != -signal.SIGKILL:
        break
