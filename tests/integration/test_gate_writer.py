"""The gate's writer when SQL comes and goes faster than it can tell anybody."""

import asyncio

import structlog
from settlement_parts import running


async def test_sql_lost_again_while_its_return_is_told_comes_back_all_the_same(
    sqlite_url, tmp_path, catalog, clock
):
    async with running(sqlite_url, tmp_path, catalog, clock) as parts:
        told: list[bool] = []

        async def told_of_the_return() -> None:
            told.append(True)
            if len(told) == 1:
                parts.writer.lose(TimeoutError("in this very moment"))
            if len(told) == 2:
                raise TimeoutError

        parts.writer.on_recovered(told_of_the_return)
        parts.writer.lose(TimeoutError("SQL is slow"))
        async with asyncio.timeout(60):
            while parts.writer.away or len(told) < 3:
                await asyncio.sleep(0.02)
        answer = await parts.enter(1)
        assert answer.open
        assert not list((tmp_path / "journal").glob("journal-*.log"))


async def test_a_slow_disk_is_warned_of_once_in_a_while(sqlite_url, tmp_path, catalog, clock):
    """It may be slow many times a minute and loses nothing: the terminal is not for all of them."""

    async def commits_late() -> None:
        await asyncio.sleep(0)

    async with running(sqlite_url, tmp_path, catalog, clock) as parts:
        with structlog.testing.capture_logs() as logged:
            for _ in range(3):
                late = asyncio.create_task(commits_late())
                parts.writer.lose(TimeoutError("SQL is slow"), late)
                async with asyncio.timeout(60):
                    while parts.writer.away:
                        await asyncio.sleep(0.02)
                    await parts.writer._recovery
        slow = [one["log_level"] for one in logged if one["event"].startswith("SQL is slow")]
        assert slow == ["warning", "info", "info"]
