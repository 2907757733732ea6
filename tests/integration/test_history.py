"""Occupancy is kept every few minutes, once each, in both databases, and forgotten in time."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from devices.reading import Count
from service.occupancy import report
from service.occupancy.history import History, occupancy_history
from service.occupancy.mirror import Mirror
from service.occupancy.store import Store
from service.sql import open_engine, reading


@pytest.fixture(params=["sqlite_url", "postgres_url"])
def database(request):
    return request.getfixturevalue(request.param)


async def test_history_is_kept_once_and_forgotten(database, catalog, redis_url, clock):
    engine, store = open_engine(database), Store.open(redis_url)
    mirror = Mirror(catalog, store, clock)
    at_ms = int(clock.now_s() * 1000)
    told = report.told_count(Count(occupied=70), at_ms, at_ms, 0)
    picture = mirror._picture
    dirty = picture.put([("z/market/all/market-counter", report.value(1, 1, told))])
    picture.settle(dirty, at_ms, 2)
    history = History(mirror, engine, clock, every_s=300, keep_s=3600)
    try:
        at = clock.now()
        assert await history.write(at) == await history.write(at) == 1
        async with reading(engine) as sql:
            rows = (await sql.execute(sa.select(occupancy_history))).mappings().all()
        assert [(row["lot"], row["free"], row["at"]) for row in rows] == [("market", 50, at)]
        await history.forget(at + timedelta(seconds=1))
        async with reading(engine) as sql:
            assert (await sql.execute(sa.select(occupancy_history))).all() == []
    finally:
        await engine.dispose()
        await store.close()
