"""The composition root: the only place that names concrete adapters and wires the rooms together.

roles  ingest  devices in: occupancy to Redis, plate passages to the gate
       signs   the sign board: frames out
       settle  charges what is owed
       web     pages, API, HTTP cameras, provider callbacks

Every role reads the mirror; `bowei run` has all four in one process. A part that a role does not
need is not built, and its routes answer that it is not here.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, Self

import aiohttp
import msgspec
import structlog
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from devices.mqtt import Link
from service import credentials, readiness, sql
from service.catalog import Catalog
from service.clock import Clock
from service.config import Config
from service.embedded import free_port
from service.exchange.feeds import Feeds
from service.exchange.pushes import Pushes
from service.guidance.arrivals import Arrivals
from service.guidance.frame_mirror import FrameMirror
from service.guidance.guide import Guide
from service.guidance.prices import Prices
from service.guidance.ranking import Weights
from service.guidance.roads import Roads
from service.guidance.sign_board import Board
from service.occupancy.combine import Rules
from service.occupancy.devices import DeviceBook
from service.occupancy.drift_watch import DriftWatch, Witnessed, within_sight
from service.occupancy.history import History
from service.occupancy.ingest import Ingest
from service.occupancy.letters import DeadLetters
from service.occupancy.mirror import Mirror
from service.occupancy.outlook import Outlook
from service.occupancy.passages import PassageSink, tell_lane
from service.occupancy.snapshot import Snapshots
from service.occupancy.store import Store
from service.operations.corrections import Desk as CorrectionDesk
from service.settlement.collect import Collector
from service.settlement.desk import Desk
from service.settlement.gate import Gate
from service.settlement.journal import Journal
from service.settlement.keyring import Keyring
from service.settlement.policy import Policy
from service.settlement.providers import REGISTRY as PROVIDERS
from service.settlement.providers.sandbox_house import House as SandboxHouse
from service.settlement.store import Store as SettlementStore
from service.settlement.till import Till
from service.settlement.writer import Writer as GateWriter
from service.web import keys
from service.web.cameras import PASSED, UNKNOWN
from service.web.feeds import PUSHES
from service.web.keys import Check
from service.web.listening import listening
from service.web.site import make_app
from service.web.webhooks import DESK

ALL_ROLES = frozenset({"web", "ingest", "signs", "settle"})
INGEST_SESSION_S = 24 * 3600  # how long the broker keeps what we have not acknowledged
READY_WITHIN_S = 10.0

CANCELLATIONS = 3
CANCEL_WITHIN_S = 2.0
DAY_S = 86_400.0

log = structlog.get_logger()


class House:
    """What one process runs: its parts, their tasks by name, their checks, what the web sees."""

    def __init__(
        self,
        config: Config,
        catalog: Catalog,
        clock: Clock,
        roles: frozenset[str],
        state: Path,
        instance: str,
    ) -> None:
        self.config = config
        self.catalog = catalog
        self.clock = clock
        self.roles = roles
        self.state = state
        self.signing_key = credentials.signing_key(os.environ, state)
        told = config.occupancy
        self.rules = Rules(told.stale_after, told.unknown_after, told.bays_known_share)
        self.keyring = Keyring(self.signing_key)
        self.name = f"{config.mqtt.client_id}-{'-'.join(sorted(roles))}-{instance}"
        self.tasks: dict[str, Coroutine[Any, Any, None]] = {}
        self.checks: dict[str, Check] = {}
        self.first: list[Callable[[], Coroutine[Any, Any, None]]] = []  # before we say "ready"
        self.parts: dict[web.AppKey[Any], Any] = {
            keys.CATALOG: catalog,
            keys.CLOCK: clock,
            keys.CONFIG: config,
            keys.SIGNING_KEY: self.signing_key,
            keys.PUBLIC_URL: config.http.public_url,
            keys.READINESS: self.checks,
        }
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        for left in self.tasks.values():
            left.close()
        await self._stack.aclose()

    async def open_store(self, url: str) -> tuple[Store, Mirror]:
        """Redis and the picture of it that every role reads."""
        store = Store.open(url, self.config.redis.shards)
        store.letters_most = self.config.occupancy.letters_most
        self._stack.push_async_callback(store.close)
        mirror = Mirror(self.catalog, store, self.clock, self.rules)
        self.parts[keys.BOOK] = DeviceBook(self.catalog, store)
        self.tasks["mirror"] = mirror.run()
        self.first.append(mirror.loaded)
        self.checks["mirror"] = readiness.of_mirror(mirror)
        self.parts[keys.MIRROR] = mirror
        return store, mirror

    async def open_link(self, url: str, purpose: str, **options: Any) -> Link:
        """One connection to the broker; it comes up when the broker does."""
        link = Link(url, f"{self.name}-{purpose}", **options)
        await link.connect(wait_s=0)
        self._stack.push_async_callback(link.close)
        self.checks[f"mqtt {purpose}"] = readiness.of_link(link)
        self.tasks[f"mqtt {purpose}"] = _unbroken(link)
        return link

    def open_sql(self, url: str) -> AsyncEngine:
        engine = sql.open_engine(url)
        self._stack.push_async_callback(engine.dispose)
        self.checks["sql"] = readiness.of_sql(engine)
        return engine

    async def open_gate(self, engine: AsyncEngine) -> Gate:
        """Where passages are answered: in every process that they reach."""
        store = SettlementStore(engine)
        gate = Gate(
            self.catalog,
            store,
            GateWriter(store, Journal(self.state / f"journal-{self.name}")),
            self.keyring,
            self.clock,
            public_url=self.config.http.public_url,
            shared=self.roles != ALL_ROLES,
        )
        await gate.start()
        self.tasks["gate"] = gate.run()
        self.parts |= {keys.GATE: gate, keys.SETTLEMENT: store}
        return gate

    async def open_till(self, engine: AsyncEngine, gate: Gate | None) -> None:
        """What is owed is charged, and a bill can be paid; the sandbox where it is named."""
        name, http = self.config.payments.provider, self.config.http
        if name == "sandbox" and "settle" in self.roles:
            house = SandboxHouse(self.state / "sandbox", self.clock)
            await house.start()
            self._stack.push_async_callback(house.close)
        provider = None
        if name is not None:
            notify = f"{http.public_url or f'http://127.0.0.1:{http.port}'}/webhooks/{name}"
            provider = await asyncio.to_thread(PROVIDERS[name], self.state, notify)
            self._stack.push_async_callback(provider.close)
        till = Till(engine, Policy(), gate.learn if gate else lambda _session, _bill: None)
        self.parts[DESK] = Desk(till, provider, self.keyring, self.clock)
        if "settle" in self.roles:
            collector = Collector(
                till,
                SettlementStore(engine),
                provider,
                self.keyring,
                self.catalog,
                self.clock,
                enrolled=lambda session, word: gate.enrol(session, enrolled=word) if gate else None,
            )
            self.tasks["collector"] = collector.run()
            if gate:
                gate.can_collect = lambda: collector.healthy

    async def open_ingest(
        self, url: str, store: Store, mirror: Mirror, gate: Gate, engine: AsyncEngine
    ) -> Ingest:
        """Devices in; passages on a link of their own, so that a slow Redis holds up no car.

        A process that only answers HTTP takes what comes that way, and subscribes to nothing.
        """
        listens = "ingest" in self.roles
        durable: dict[str, Any] = {"manual_ack": True, "clean": not listens}
        durable["session_expiry_s"] = INGEST_SESSION_S if listens else 0
        counts = await self.open_link(url, "counts", **durable)
        gates = await self.open_link(url, "gates", **durable, receive_maximum=256)
        sink: PassageSink = gate
        if listens:
            seen = within_sight(self.config.mqtt.share, self.roles)
            drift = DriftWatch(self.catalog, mirror, store, engine, self.clock, sees=seen)
            self.tasks["drift"] = drift.run()
            sink = Witnessed(gate, drift)
        ingest = Ingest(
            self.catalog,
            store,
            counts,
            self.clock,
            sink,
            gates=gates,
            share=self.config.mqtt.share,
            snapshots=Snapshots(store, engine, self.clock) if listens else None,
            listens=listens,
        )
        gate.freed = partial(tell_lane, gates)
        self.tasks["ingest"] = ingest.run()
        self.checks["ingest"] = readiness.of_ingest(ingest)
        self.parts |= {
            PASSED: ingest.passed,
            UNKNOWN: ingest.unknown,
            PUSHES: Pushes(
                self.catalog, ingest.take, store.client, self.clock, self.signing_key, os.environ
            ),
        }
        if listens:
            feeds = Feeds(
                self.catalog, ingest.take, self.clock, self.config.exchanges, store.client
            )
            self.tasks["feeds"] = feeds.run()
            self.first.append(ingest.subscribed)
        return ingest

    def open_books(self, store: Store, mirror: Mirror, engine: AsyncEngine) -> None:
        """History, and staff's word laid again over a Redis that lost it."""
        occupancy = self.config.occupancy
        history = History(
            mirror,
            engine,
            self.clock,
            every_s=occupancy.history_every_s,
            keep_s=occupancy.history_keep_days * DAY_S,
        )
        self.tasks["history"] = history.run()
        kept_s = occupancy.letters_keep_days * DAY_S
        self.tasks["dead letters"] = DeadLetters(store).run(self.clock, kept_s)
        desk = CorrectionDesk(self.catalog, engine, store, self.clock, self.rules)
        self.tasks["corrections"] = desk.run()

    async def open_guidance(self, store: Store, mirror: Mirror) -> tuple[Guide, Arrivals]:
        guidance = self.config.guidance
        arrivals = Arrivals(store.client, mirror, self.clock, self.config.redis.shards)
        self.tasks["arrivals"] = arrivals.run()
        roads = None
        if guidance.osrm_url:
            session = aiohttp.ClientSession()
            self._stack.push_async_callback(session.close)
            roads = Roads(guidance.osrm_url, session)
        guide = Guide(
            self.catalog,
            mirror,
            arrivals,
            self.clock,
            roads,
            Prices(self.catalog),
            Weights(
                value_of_time_fen_per_hour=guidance.value_of_time_fen_per_hour,
                min_free=guidance.min_free,
                follow_share=guidance.follow_share,
            ),
        )
        self.parts |= {keys.GUIDE: guide, keys.ARRIVALS: arrivals}
        return guide, arrivals

    async def open_board(
        self, url: str, store: Store, mirror: Mirror, guide: Guide, arrivals: Arrivals
    ) -> Board:
        link = await self.open_link(url, "signs")
        board = Board(
            self.catalog, mirror, guide, arrivals, link, store.client, self.clock, self.config
        )
        self.tasks["board"] = board.run()
        self.parts[keys.BOARD] = board
        return board

    async def open_frames(self, url: str) -> None:
        """What a board elsewhere shows, for pages and API here."""
        frames = FrameMirror(self.catalog, await self.open_link(url, "frames"), self.clock)
        self.tasks["frames"] = frames.run()
        self.parts[keys.BOARD] = frames


async def serve(
    config: Config,
    catalog: Catalog,
    clock: Clock,
    *,
    roles: frozenset[str],
    redis_url: str,
    mqtt_url: str,
    sql_url: str,
    state: Path,
    ready: Callable[[str], None],
    stop: asyncio.Event,
    instance: str = "0",
) -> None:
    """Run `roles` until `stop` is set; `ready` is called with the address once they answer.

    `instance` tells like processes apart, and stays over restarts (see `service.instance`).
    """
    if config.http.port == 0:
        http = msgspec.structs.replace(config.http, port=free_port())
        config = msgspec.structs.replace(config, http=http)
    async with House(config, catalog, clock, roles, state, instance) as house:
        store, mirror = await house.open_store(redis_url)
        engine = house.open_sql(sql_url)
        gate = None
        if roles & {"ingest", "web"}:
            gate = await house.open_gate(engine)
            await house.open_ingest(mqtt_url, store, mirror, gate, engine)
        if "ingest" in roles:
            house.open_books(store, mirror, engine)
        if roles & {"settle", "web"}:
            await house.open_till(engine, gate)
        guide, arrivals = await house.open_guidance(store, mirror)
        outlook = Outlook(catalog, mirror, store, clock, arrivals.parked, keeps="signs" in roles)
        house.parts[keys.OUTLOOK], house.tasks["outlook"] = outlook, outlook.run()
        if "signs" in roles:
            await house.open_board(mqtt_url, store, mirror, guide, arrivals)
        elif "web" in roles:
            await house.open_frames(mqtt_url)
        house.parts[keys.BROKER_URL] = mqtt_url
        await _live(house, ready, stop)


async def _unbroken(link: Link) -> None:
    """Ends with the error of a link that cannot go on: a deaf process must not look alive."""
    await asyncio.shield(link.failed)


async def _live(house: House, ready: Callable[[str], None], stop: asyncio.Event) -> None:
    """Run the tasks until told to stop, or until one of them cannot go on."""
    running = {name: asyncio.create_task(task, name=name) for name, task in house.tasks.items()}
    house.tasks.clear()
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        first = [one() for one in house.first]
        loaded: asyncio.Future[Any] = asyncio.gather(*first, return_exceptions=True)
        await asyncio.wait(
            {loaded, stopping, *running.values()},
            timeout=READY_WITHIN_S,
            return_when=asyncio.FIRST_COMPLETED,
        )
        loaded.cancel()
        async with AsyncExitStack() as front:
            address = "no web in this process"
            if "web" in house.roles:
                http = house.config.http
                app = make_app(house.parts)
                address = await front.enter_async_context(listening(app, http.host, http.port))
            ready(address)
            done, _ = await asyncio.wait(
                {stopping, *running.values()}, return_when=asyncio.FIRST_COMPLETED
            )
        for task in done - {stopping}:
            task.result()
            raise RuntimeError(f"{task.get_name()} ended by itself")
    finally:
        stopping.cancel()
        gate = running.pop("gate", None)
        await _end(set(running.values()))
        if gate is not None:  # last, since the others wait for what it makes durable
            await _end({gate})


async def _end(running: set[asyncio.Task[None]]) -> None:
    """Cancel, and say who does not go; a library that swallows a cancellation is told again."""
    pending = running
    for _ in range(CANCELLATIONS):
        for task in pending:
            task.cancel()
        if not pending:
            return
        _, pending = await asyncio.wait(pending, timeout=CANCEL_WITHIN_S)
        for task in pending:
            log.warning("will not end", task=task.get_name(), at=str(task.get_stack(limit=1)))
