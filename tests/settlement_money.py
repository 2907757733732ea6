"""The whole of settlement on a real database, with the sandbox at the other end of real HTTP."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import SimpleNamespace

import sqlalchemy as sa
from aiohttp import web
from settlement_parts import running

from devices.reading import Refused
from service.clock import Clock
from service.settlement import ledger, tables
from service.settlement.collect import Collector
from service.settlement.desk import Desk
from service.settlement.policy import Policy
from service.settlement.providers.sandbox import open_sandbox
from service.settlement.providers.sandbox_house import House, Manners
from service.settlement.rows import Overtaken
from service.settlement.till import Till
from service.sql import reading

# A well-behaved house that answers at once; tests say what they want otherwise.
POLITE = Manners(
    enrolled_share=1.0, declined_share=0.0, lost_reply_share=0.0, duplicate_share=0.0,
    forgotten_share=0.0, delay_s=(0.0, 0.0),
)  # fmt: skip


@contextlib.asynccontextmanager
async def trading(
    url, folder, catalog, clock, *, manners=POLITE, within_s=30.0, policy=None, **options
) -> AsyncIterator[SimpleNamespace]:
    """Gate, till, collector, desk, house and a webhook; `collect` is called by the test."""
    policy = policy or Policy()
    async with running(url, folder, catalog, clock, policy=policy, **options) as parts:
        wall = Clock()
        house = House(folder / "sandbox", wall, manners=manners)
        runner = web.AppRunner(app := web.Application())
        notices = []

        async def webhook(request):
            body, headers = await request.read(), dict(request.headers)
            notices.append((headers, body))
            try:
                told = await desk.notified("sandbox", request.headers, body, wall.now())
            except Refused as refused:
                return web.Response(status=401, text=refused.reason)
            except Overtaken:
                return web.Response(status=503)
            return web.Response(body=told.body)

        app.add_routes([web.post("/webhooks/sandbox", webhook)])
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        notify_url = f"http://127.0.0.1:{runner.addresses[0][1]}/webhooks/sandbox"
        await house.start()
        provider = open_sandbox(folder, notify_url)
        provider._timeout = provider._timeout.__class__(total=within_s)
        till = Till(parts.engine, policy, parts.gate.learn)
        desk = Desk(till, provider, parts.keyring, clock)
        collector = Collector(
            till, parts.store, provider, parts.keyring, catalog, clock, policy,
            enrolled=lambda name, word: parts.gate.enrol(name, enrolled=word),
        )  # fmt: skip
        parts.gate.can_collect = lambda: collector.healthy
        try:
            yield SimpleNamespace(
                parts=parts, gate=parts.gate, till=till, desk=desk, collector=collector,
                house=house, provider=provider, notices=notices, engine=parts.engine, clock=clock,
                notify_url=notify_url,
            )  # fmt: skip
        finally:
            await provider.close()
            await house.close()
            await runner.cleanup()


async def rows(money, table, *columns):
    async with reading(money.engine) as sql:
        query = sa.select(*(table.c[one] for one in columns))
        return sorted(tuple(row) for row in await sql.execute(query))


async def states(money) -> list[str]:
    return [one for (one,) in await rows(money, tables.sessions, "state")]


async def books(money) -> dict[str, int]:
    """The ledger's balances, and that it is one."""
    async with reading(money.engine) as sql:
        postings = [
            ledger.Posting(**row)
            for row in (await sql.execute(sa.select(tables.postings))).mappings()
        ]
    balances = ledger.balances(postings)
    assert sum(balances.values()) == 0
    return {name: fen for name, fen in balances.items() if fen}


async def collected(money, *, rounds=40, advance_s=0.0) -> None:
    """Collect until nothing is due and the house has told what it had to tell."""
    for _ in range(rounds):
        money.clock.advance(advance_s)
        if not await money.collector.collect():
            with contextlib.suppress(TimeoutError):  # it tries again what nobody acknowledges
                async with asyncio.timeout(10):
                    while money.house._tasks:
                        await asyncio.sleep(0.01)
            if not await money.collector.collect():
                return


async def left(money, minute=0, plate="浙A00001", lot="market"):
    """A stay of 61 minutes whose turn-back time is over."""
    await money.parts.enter(minute, plate, lot=lot)
    answer = await money.parts.leave(minute + 61, plate, lot=lot)
    late_s = (money.parts.at(minute + 61) - money.clock.now()).total_seconds() + 120
    money.clock.advance(max(0.0, late_s))
    return answer


async def until(condition, within_s=30.0):
    async with asyncio.timeout(within_s):
        while not await condition():
            await asyncio.sleep(0.02)
