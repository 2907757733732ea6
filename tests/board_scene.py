"""A sign board on a real broker and a real Redis, before lots that a test sets by hand."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from guidance_parts import lot_state
from occupancy_scene import background, open_store, until

from devices.mqtt import Link, Message
from service.bench.query_world import StillMirror
from service.catalog import Catalog
from service.clock import Clock
from service.config import Board as BoardConfig
from service.config import Config
from service.guidance.arrivals import Arrivals
from service.guidance.guide import Guide
from service.guidance.model import Frame
from service.guidance.prices import Prices
from service.guidance.ranking import Weights
from service.guidance.sign_board import Board
from service.occupancy.model import Quality

LOTS = ("clinic-yard", "market", "hotel", "garden", "square")


class Street:
    """What the panels of all signs have received: every frame, in order."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.messages: list[Message] = []
        self.frames: list[Frame] = []

    async def listen(self) -> None:
        await self.link.subscribe("bowei/signs/+/frame", self._take)

    def _take(self, message: Message) -> None:
        self.messages.append(message)
        self.frames.append(msgspec.json.decode(message.payload, type=Frame))

    def of(self, sign: str) -> list[Frame]:
        return [frame for frame in self.frames if frame.sign == sign]

    def shows(self, sign: str) -> list[str]:
        frames = self.of(sign)
        return [line.value for line in frames[-1].lines] if frames else []

    async def answer(self, sign: str, **said: object) -> None:
        await self.link.publish(f"bowei/signs/{sign}/shown", msgspec.json.encode(said))


class Scene:
    def __init__(self, catalog: Catalog, clock: Clock, board: Board, street: Street) -> None:
        self.catalog, self.clock, self.board, self.street = catalog, clock, board, street
        self.mirror: StillMirror

    def put(self, lot: str, free: int | None, **options: object) -> None:
        options.setdefault("as_of", self.clock.now())
        options.setdefault("capacity", self.catalog.lots[lot].public_capacity)
        self.mirror.put(lot_state(lot, free, **options))

    async def shown(self, sign: str, *values: str) -> None:
        """Wait until the panel stands like this."""
        await until(lambda: self.street.shows(sign) == list(values))


@asynccontextmanager
async def board_scene(
    catalog: Catalog, redis_url: str, broker_url: str, clock: Clock, **options: float
) -> AsyncIterator[Scene]:
    """Every lot begins with 30 spaces (or a third of a small lot), fresh."""
    mirror = StillMirror(catalog)
    config = Config(board=BoardConfig(**options))
    async with (
        open_store(redis_url) as store,
        Link(broker_url, "signs") as link,
        Link(broker_url, "panels") as panels,
    ):
        arrivals = Arrivals(store.client, mirror, clock)
        guide = Guide(catalog, mirror, arrivals, clock, None, Prices(catalog), Weights())
        board = Board(catalog, mirror, guide, arrivals, link, store.client, clock, config)
        scene = Scene(catalog, clock, board, Street(panels))
        scene.mirror = mirror
        for lot in LOTS:
            scene.put(lot, 30 if catalog.lots[lot].public_capacity > 30 else 4)
        await scene.street.listen()
        async with background(board, arrivals):
            await until(lambda: set(catalog.signs) == {one.sign for one in scene.street.frames})
            yield scene


UNKNOWN = Quality.UNKNOWN
STALE = Quality.STALE
