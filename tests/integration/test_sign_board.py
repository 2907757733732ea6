"""What panels receive: on change, repeated before the lease ends, never more than they can take."""

import asyncio
from itertools import pairwise

import msgspec
import pytest
from board_scene import LOTS, STALE, UNKNOWN, board_scene
from guidance_parts import START
from occupancy_scene import background, open_store, until

from devices.mqtt import Link, Message
from service.bench.query_world import StillMirror
from service.clock import clock_from
from service.config import Config
from service.guidance.arrivals import Arrivals
from service.guidance.guide import Guide
from service.guidance.model import Frame
from service.guidance.prices import Prices
from service.guidance.ranking import Weights
from service.guidance.sign_board import Board
from service.occupancy.model import Openness


@pytest.fixture
async def scene(catalog, redis_url, broker_url, clock):
    async with board_scene(catalog, redis_url, broker_url, clock, pace_s=0.05) as scene:
        yield scene


async def test_at_the_start_every_sign_is_told(scene):
    assert scene.street.shows("crossing") == ["4", "30", "4", "30"]
    assert scene.street.shows("market-gate") == ["30"]
    frame = scene.street.of("avenue")[-1]
    assert [line.lot for line in frame.lines] == ["clinic-yard", "market", "hotel"]
    assert [line.arrow for line in frame.lines] == ["straight", "left", "right"]
    assert frame.level == 1
    assert frame.lease_s == 120


async def test_a_panel_that_wakes_late_finds_its_frame_with_an_expiry(scene, broker_url):
    found: list[Message] = []
    async with Link(broker_url, "late panel") as panel:
        await panel.subscribe("bowei/signs/crossing/frame", found.append)
        await until(lambda: found)
    assert found[0].retain
    held = msgspec.json.decode(found[0].payload, type=Frame)
    assert held == scene.board.frames["crossing"]


async def test_an_expired_frame_is_gone_from_the_broker(catalog, redis_url, broker_url):
    """The clock runs fast, so that a lease of 120 s takes 1.2 s on the wall."""
    clock = clock_from(START, 100)
    async with board_scene(catalog, redis_url, broker_url, clock):
        pass
    async with asyncio.timeout(20):  # the board is gone, nobody renews
        while await retained(broker_url):
            await asyncio.sleep(0.2)


async def retained(broker_url) -> list[Message]:
    """The frames that a panel finds."""
    found: list[Message] = []
    async with Link(broker_url, "late panel") as panel:
        await panel.subscribe("bowei/signs/+/frame", found.append)
        await panel.subscribe("probe", found.append)  # agreed to after those came
    return found


async def test_only_the_signs_that_show_a_lot_hear_of_it(scene):
    before = len(scene.street.frames)
    scene.put("garden", 0)
    await scene.shown("crossing", "4", "30", "满", "30")
    await asyncio.sleep(0.2)
    assert len(scene.street.frames) == before + 1


async def test_unknown_closed_and_full_are_shown_at_once(scene):
    scene.put("market", None, quality=UNKNOWN)
    await scene.shown("market-gate", "--")
    await scene.shown("station-road", "30", "--")
    scene.put("market", 30, openness=Openness.CLOSED)
    await scene.shown("market-gate", "关闭")
    scene.put("market", 0)
    await scene.shown("market-gate", "满")
    scene.put("market", 2)
    scene.put("market", 3)
    await scene.shown("market-gate", "3")


async def test_a_shown_number_stands_its_hold_in_clock_seconds(scene):
    scene.put("market", 27)
    await asyncio.sleep(0.3)
    assert scene.street.shows("market-gate") == ["30"]
    scene.clock.advance(60)
    scene.put("market", 26)
    await scene.shown("market-gate", "26")


async def test_a_number_whose_hold_ends_changes_by_itself(catalog, redis_url, broker_url):
    clock = clock_from(START, 100)
    async with board_scene(catalog, redis_url, broker_url, clock) as scene:
        scene.put("market", 27)
        await scene.shown("market-gate", "27")


async def test_frames_are_repeated_before_their_lease_ends(catalog, redis_url, broker_url):
    """Leases of 120 and 60 s take 6 and 3 s on the wall, and are renewed half-way."""
    clock = clock_from(START, 20)
    async with board_scene(catalog, redis_url, broker_url, clock) as scene:
        started_s = clock.now_s()
        for _ in range(80):
            for lot in LOTS:
                scene.put(lot, scene.mirror.states[lot].free)
            await asyncio.sleep(0.1)
        lasted_s = clock.now_s() - started_s
        for sign in ("crossing", "market-gate"):
            frames = scene.street.of(sign)
            for one, following in pairwise(frames):
                assert following.composed_at < one.lease_until
                assert following.lease_until > one.lease_until
                assert following.revision == one.revision, "nothing changed"
        for sign, lease_s in {"crossing": 120, "market-gate": 60}.items():
            leases = lasted_s / lease_s
            assert leases <= len(scene.street.of(sign)) <= 3 * leases + 2


async def test_an_old_number_lapses_when_nothing_new_is_heard(scene):
    scene.put("square", 30, quality=STALE)
    await asyncio.sleep(0.2)
    assert scene.street.shows("station-road") == ["30", "30"]
    scene.clock.advance(120)
    scene.board.renew()
    await scene.shown("station-road", "--", "30")


async def test_revisions_grow_with_changes_and_over_restarts(catalog, redis_url, broker_url, clock):
    highest = {}
    for _ in range(3):
        async with board_scene(catalog, redis_url, broker_url, clock, pace_s=0.01) as scene:
            for free in (0, 30, 0, 30):
                scene.put("market", free)
                await scene.shown("market-gate", "满" if free == 0 else "30")
            revisions = [frame.revision for frame in scene.street.of("market-gate")]
            mine = [one for one in revisions if one > highest.get("market-gate", 0)]
            assert mine == sorted(set(mine))
            assert len(mine) >= 4, "a restart goes on above what was shown"
            highest["market-gate"] = max(revisions)


async def test_a_storm_of_counts_is_one_frame_a_pace(catalog, redis_url, broker_url, clock):
    async with board_scene(catalog, redis_url, broker_url, clock, pace_s=0.2, hold_s=0.0) as scene:
        await asyncio.sleep(0.3)
        before = len(scene.street.of("market-gate"))
        started_s = asyncio.get_running_loop().time()
        for at in range(400):
            scene.put("market", 20 + at % 90)
            await asyncio.sleep(0.0025)
        await scene.shown("market-gate", "59")
        lasted_s = asyncio.get_running_loop().time() - started_s
        frames = len(scene.street.of("market-gate")) - before
        assert 2 <= frames <= lasted_s / 0.2 + 3, "one in 0.2 s for as long as the storm lasts"


async def test_the_first_change_after_a_quiet_while_does_not_wait(
    catalog, redis_url, broker_url, clock
):
    async with board_scene(catalog, redis_url, broker_url, clock, pace_s=60.0) as scene:
        for sign in scene.board._spoke_s:  # a pace goes by, longer than anybody here waits
            scene.board._spoke_s[sign] -= 60.0
        scene.put("market", 0)
        await scene.shown("market-gate", "满")


async def test_what_became_of_a_frame_is_known(scene):
    def delivery():
        return scene.board.deliveries.of("market-gate", scene.clock.now())

    await until(lambda: delivery().state == "accepted")
    revision = scene.board.frames["market-gate"].revision
    await scene.street.answer("market-gate", revision=revision)
    await until(lambda: delivery().state == "shown")
    assert delivery().shown_at == scene.clock.now()
    scene.put("market", 0)
    await until(lambda: delivery().revision == revision + 1)
    await scene.street.answer("market-gate", revision=revision)
    await scene.street.answer("market-gate", revision=revision + 1, state="failed", reason="dark")
    await until(lambda: delivery().state == "failed")
    assert (delivery().reason, delivery().shown_revision) == ("dark", revision)


async def test_a_panel_that_says_nothing_has_not_shown_it(scene):
    await until(lambda: scene.board.deliveries.of("avenue", scene.clock.now()).state == "accepted")
    scene.clock.advance(31)
    found = scene.board.deliveries.of("avenue", scene.clock.now())
    assert (found.state, found.reason) == ("failed", "silent")


@pytest.mark.parametrize(
    "payload", [b"", b"{}", b"\xff", b"[]", b'{"revision":"x"}', b'{"revision":1e99}', b"null"]
)
async def test_nonsense_from_a_panel_costs_nothing(scene, payload):
    await scene.street.link.publish("bowei/signs/avenue/shown", payload)
    await scene.street.link.publish("bowei/signs/no-such-sign/shown", b'{"revision":1}')
    revision = scene.board.frames["avenue"].revision
    await scene.street.answer("avenue", revision=revision)
    await until(lambda: scene.board.deliveries.of("avenue", scene.clock.now()).state == "shown")


async def test_a_broker_that_comes_back_is_told_everything_new(
    catalog, redis_url, start_broker, clock
):
    broker = start_broker()
    port = int(broker.url.rpartition(":")[2])
    async with board_scene(catalog, redis_url, broker.url, clock) as scene:
        broker.child.kill()
        await until(lambda: not scene.board._link.connected)
        scene.put("market", 0)
        await until(lambda: scene.board.frames["market-gate"].lines[0].value == "满")
        assert scene.board.frame_bytes("market-gate") is not None, "pages go on"
        delivery = scene.board.deliveries.of("market-gate", scene.clock.now())
        assert (delivery.state, delivery.reason) == ("failed", "broker_away")
        scene.street.frames.clear()
        start_broker(name="again", port=port)
        await until(lambda: set(catalog.signs) == {one.sign for one in scene.street.frames}, 30)
        await scene.shown("market-gate", "满")


async def test_bytes_and_tag_stand_until_the_frame_changes(scene):
    body, etag, _ = scene.board.frame_bytes("market-gate")
    scene.put("market", 31)
    await asyncio.sleep(0.1)
    assert scene.board.frame_bytes("market-gate")[:2] == (body, etag)
    scene.put("market", 0)
    await scene.shown("market-gate", "满")
    changed, tag, _ = scene.board.frame_bytes("market-gate")
    assert tag != etag
    assert msgspec.json.decode(changed, type=Frame).lines[0].value == "满"


async def test_watchers_hear_which_signs_were_sent_something(scene):
    heard = []
    unwatch = scene.board.watch(heard.append)
    scene.put("market", 0)
    await until(
        lambda: frozenset().union(*heard) == {"avenue", "crossing", "market-gate", "station-road"}
    )
    unwatch()
    before = len(heard)
    scene.put("market", 30)
    await scene.shown("market-gate", "30")
    assert len(heard) == before


async def test_nothing_is_sent_before_the_lots_are_known(catalog, redis_url, broker_url, clock):
    class Slow(StillMirror):
        def __init__(self) -> None:
            super().__init__(catalog)
            self.first = asyncio.Event()

        async def loaded(self) -> None:
            await self.first.wait()

    mirror = Slow()
    async with open_store(redis_url) as store, Link(broker_url, "signs") as link:
        arrivals = Arrivals(store.client, mirror, clock)
        guide = Guide(catalog, mirror, arrivals, clock, None, Prices(catalog), Weights())
        board = Board(catalog, mirror, guide, arrivals, link, store.client, clock, Config())
        async with background(board):
            await asyncio.sleep(0.2)
            assert board.frames == {}, "-- would be a lie: we only have not looked yet"
            mirror.first.set()
            await until(lambda: set(board.frames) == set(catalog.signs))
