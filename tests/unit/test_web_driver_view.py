"""The driver's cards: what is not surely free is never free, and no claim outruns its facts."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from service.catalog import Name, Point
from service.guidance.model import Choice, Ranking
from service.occupancy.model import LotState, Openness, Quality
from service.web import driver_view
from service.web.driver_view import Asked

AT = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
LOT = Choice(
    lot="one",
    name=Name("甲场", "Lot A"),
    position=Point(30.0, 120.0),
    score_s=400,
    drive_s=240,
    walk_s=180,
    distance_m=1200,
    price_fen=1000,
    free=40,
    capacity=100,
    expected=36.4,
    on_the_way=4,
    openness=Openness.OPEN,
    quality=Quality.FRESH,
    as_of=AT - timedelta(seconds=11),
    received=False,
    why=Name("", ""),
)


def choice(**changes):
    return msgspec.structs.replace(LOT, **changes)


def state(**changes):
    known = LotState(
        lot="one", capacity=100, free=40, openness=Openness.OPEN, quality=Quality.FRESH, why="ok",
        as_of=LOT.as_of, received=False, band=3, zones=(), version=1,
    )  # fmt: skip
    return msgspec.structs.replace(known, **changes)


def page(*choices, lang="zh", states=None, asked=Asked(120)):  # noqa: B008 - frozen
    return driver_view.page(lang, Ranking(1, AT, choices), {}, states or {}, asked)


@pytest.mark.parametrize(
    ("changes", "tone", "value"),
    [
        ({}, "free", "40"),
        ({"free": 4, "expected": 4.0}, "few", "4"),
        ({"free": 40, "expected": 2.0}, "few", "40"),
        ({"free": 0}, "full", "已满"),
        ({"free": None}, "unknown", "--"),
        ({"quality": Quality.UNKNOWN}, "unknown", "--"),
        ({"openness": Openness.CLOSED}, "closed", "已关闭"),
        ({"openness": Openness.CLOSED, "free": 9}, "closed", "已关闭"),
    ],
)
def test_a_lot_is_free_only_when_it_is_open_known_and_has_spaces(changes, tone, value):
    shown = page(choice(**changes))
    (card,) = [one for one in (shown.best, *shown.rest) if one]
    assert (card.tone, card.value) == (tone, value)
    assert card.advised == (tone in {"free", "few"})
    assert (shown.best is not None) == card.advised


def test_doubts_are_said_in_words():
    sure = page(LOT, states={"one": state()}).best.doubts
    assert sure == ("误差约 ±3 个", "4 辆正在前往", "到达时估计至少剩 36 个")
    (none,) = page(
        choice(free=4, expected=0.2, on_the_way=0), states={"one": state(band=0)}
    ).best.doubts
    assert none == "到达时可能没有空位"
    old = page(choice(quality=Quality.STALE), states={"one": state(band=0)}).best.doubts
    assert old[0] == "数据偏旧，按保守估计"
    gap = state(why="gap", quality=Quality.UNVERIFIED)
    odd = page(choice(quality=Quality.UNVERIFIED), states={"one": gap}).best.doubts
    assert odd[0] == "待核实：消息有缺失"
    silent = state(why="silent", quality=Quality.UNKNOWN, free=None)
    (mute,) = page(choice(free=None, quality=Quality.UNKNOWN), states={"one": silent}).rest
    assert mute.doubts == ("传感器没有声音",)


def test_the_reason_names_what_the_first_has_over_the_next():
    slower = choice(lot="two", name=Name("乙场", "Lot B"), drive_s=480)
    dearer = choice(lot="two", name=Name("乙场", "Lot B"), price_fen=1250)
    fewer = choice(lot="two", name=Name("乙场", "Lot B"), free=3, expected=2.0)
    assert page(LOT).best.why == "约 7 分钟到门口"
    assert page(LOT, slower).best.why == "约 7 分钟到门口，比乙场快 4 分钟"
    assert page(LOT, dearer).best.why == "约 7 分钟到门口，比乙场便宜 ¥2.5"
    assert page(LOT, fewer).best.why == "约 7 分钟到门口，比乙场更有把握"
    assert (
        page(LOT, slower, lang="en").best.why == "About 7 min to the door, 4 min sooner than Lot B"
    )


def test_only_the_fastest_is_called_fastest():
    faster = choice(lot="two", drive_s=60, price_fen=9000)
    assert page(LOT, choice(lot="two", drive_s=500)).flag == "best"
    assert page(LOT, faster).flag == "recommended"


def test_where_nobody_knows_the_driver_no_drive_is_promised():
    asked = Asked(120, placed=False, door=False)
    big = choice(lot="big", free=300)
    shown = page(LOT, big, asked=asked)
    assert shown.best.lot == "big"
    assert (shown.best.drive_min, shown.best.walk_min, shown.best.why) == (None, None, "")
    assert shown.flag == "roomiest"


def test_lots_of_another_town_are_left_out():
    assert page(choice(distance_m=150_000)) == driver_view.Page(None, (), ())


def test_nobody_is_sent_an_hour_on_foot_while_a_nearer_lot_has_room():
    across_town = choice(lot="two", walk_s=2900)
    full = choice(lot="three", free=0)
    shown = page(LOT, across_town, full)
    assert [one.lot for one in (shown.best, *shown.good, *shown.rest)] == ["one", "three"]
    # Where everything in walking distance is full, far is better than nothing.
    shown = page(across_town, full)
    assert (shown.best.lot, [one.lot for one in shown.rest]) == ("two", ["three"])
    # Without a door nobody walks anywhere.
    assert page(LOT, across_town, asked=Asked(120, door=False)).good


def test_a_page_shows_eight_lots_at_most():
    shown = page(*(choice(lot=f"lot-{at}") for at in range(24)))
    assert len([shown.best, *shown.good, *shown.rest]) == 8


def test_prices_and_distances_read_well():
    free = page(choice(price_fen=0)).best
    assert (free.price, free.stay, free.distance) == ("免费", "2 小时", "1.2 km")
    assert page(choice(distance_m=148)).best.distance == "150 m"
    assert page(LOT, asked=Asked(30)).best.stay == "30 分钟"
