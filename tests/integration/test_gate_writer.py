"""The gate's writer when SQL comes and goes faster than it can tell anybody."""

import asyncio

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
