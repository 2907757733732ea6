"""The sandbox's own server: a payment house that moves no money and behaves as the real ones do.

It verifies every request, signs every answer and notification, takes its time, sends some
notifications twice and some never, loses some replies after it has acted on them, declines some
charges for now and some plates for good. What it does to one order follows from the seed and the
order's number, so a run can be told again. Orders are kept in a file beside its keys.
"""

import asyncio
import contextlib
import json
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import msgspec
import structlog
from aiohttp import web

from devices.reading import Refused
from service.clock import Clock
from service.settlement.providers.cashier import cashier_page
from service.settlement.providers.sandbox import MERCHANT, Said
from service.settlement.providers.signature import kept_key, signed, verify

_log = structlog.get_logger()
_NOTICE_TRIES: Final = 8
_NOTICE_WITHIN_S: Final = 5.0
_BODY_LIMIT_BYTES: Final = 65_536


class Manners(msgspec.Struct, frozen=True):
    """How often it does what real ones do (shares of orders or plates), and how long it takes.

    Delays are in seconds of the service clock.
    """

    enrolled_share: float = 0.85
    declined_share: float = 0.05
    lost_reply_share: float = 0.02
    duplicate_share: float = 0.2
    forgotten_share: float = 0.05
    delay_s: tuple[float, float] = (2.0, 20.0)


class Kept(msgspec.Struct):
    """One order at the house. `taken` counts how often money moved: never more than once."""

    order_no: str
    amount_fen: int
    state: str
    ref: str
    notify_url: str
    return_url: str | None = None
    currency: str = "CNY"
    taken: int = 0


class House:
    """Start it with `start`, stop it with `close`; `folder` holds keys, orders and the address."""

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        *,
        seed: int = 1,
        manners: Manners | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.orders: dict[str, Kept] = {}
        self.manners = manners or Manners()
        self._folder = folder
        self._clock = clock
        self._seed = seed
        self._host, self._port = host, port
        self._tasks: set[asyncio.Task[None]] = set()
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> str:
        """Listen; returns and publishes the address."""
        await asyncio.to_thread(self._open)
        app = web.Application(client_max_size=_BODY_LIMIT_BYTES)
        app.add_routes(
            [
                web.post("/v1/enrolments", self._signed(self._enrolment)),
                web.post("/v1/charges", self._signed(self._charge)),
                web.get("/v1/charges/{order_no}", self._signed(self._query)),
                web.post("/v1/checkouts", self._signed(self._checkout)),
                web.get("/cashier/{ref}", self._cashier),
                web.post("/cashier/{ref}", self._pay),
            ]
        )
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_NOTICE_WITHIN_S))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        self.url = f"http://{self._host}:{self._runner.addresses[0][1]}"
        await asyncio.to_thread((self._folder / "address").write_text, self.url)
        for kept in self.orders.values():
            if kept.state == "ACCEPTED":
                self._later(self._settle(kept))
        return self.url

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._session is not None:
            await self._session.close()
        if self._runner is not None:
            await self._runner.cleanup()

    # -- what a merchant asks

    def _signed(
        self, answer: Callable[[web.Request, Any], Awaitable[tuple[int, Any]]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            body = await request.read()
            now = Clock().now()
            try:
                verify(self._merchant_key, request.headers, body, now,
                       (request.method, request.raw_path))  # fmt: skip
                form = json.loads(body) if body else {}
                status, said = await answer(request, form)
            except Refused as refused:
                status, said = 401, {"code": "SIGN_ERROR", "detail": refused.reason}
            except (KeyError, TypeError, ValueError):
                status, said = 400, {"code": "PARAM_ERROR"}
            reply = msgspec.json.encode(said)
            headers = signed(self._key, Clock().now(), reply)
            return web.Response(
                body=reply, status=status, headers=headers, content_type="application/json"
            )

        return handle

    async def _enrolment(self, _: web.Request, form: Any) -> tuple[int, Any]:
        return 200, {"enrolled": self._is_enrolled(form["plate"])}

    async def _charge(self, request: web.Request, form: Any) -> tuple[int, Any]:
        known = self.orders.get(form["order_no"])
        if known is not None:
            same = known.amount_fen == form["amount_fen"]
            return (200, self._said(known)) if same else (422, {"code": "OTHER_ORDER"})
        if form["plate"] is None or not self._is_enrolled(form["plate"]):
            return 403, {"code": "NOT_ENROLLED"}
        kept = self._take(form, "ACCEPTED")
        self._later(self._settle(kept))
        if self._draw(kept, "lost reply") < self.manners.lost_reply_share:
            assert request.transport is not None
            request.transport.abort()  # it is done, and nobody hears of it
        return 200, self._said(kept)

    async def _query(self, request: web.Request, _: Any) -> tuple[int, Any]:
        kept = self.orders.get(request.match_info["order_no"])
        return (404, {"code": "NOT_FOUND"}) if kept is None else (200, self._said(kept))

    async def _checkout(self, _: web.Request, form: Any) -> tuple[int, Any]:
        kept = self.orders.get(form["order_no"])
        if kept is None:
            kept = self._take(form, "OPEN")
        elif kept.amount_fen != form["amount_fen"]:
            return 422, {"code": "OTHER_ORDER"}
        return 200, {"url": f"{self.url}/cashier/{kept.ref}"}

    # -- what a driver does

    async def _cashier(self, request: web.Request) -> web.Response:
        kept = self._by_ref(request)
        return cashier_page(kept.amount_fen, kept.currency, kept.ref, paid=kept.state == "SUCCESS")

    async def _pay(self, request: web.Request) -> web.Response:
        kept = self._by_ref(request)
        form = await request.post()
        if form.get("do") == "pay" and kept.state == "OPEN":
            self._move(kept, "SUCCESS")
            await self._tell(kept)
        raise web.HTTPSeeOther(kept.return_url or "/")

    def _by_ref(self, request: web.Request) -> Kept:
        ref = request.match_info["ref"]
        kept = next((one for one in self.orders.values() if one.ref == ref), None)
        if kept is None:
            raise web.HTTPNotFound
        return kept

    # -- what becomes of an order

    def _take(self, form: Any, state: str) -> Kept:
        if form["merchant"] != MERCHANT or int(form["amount_fen"]) <= 0:
            raise ValueError("not an order of our merchant")
        if urlsplit(form["notify_url"]).scheme not in ("http", "https"):
            raise ValueError("a notify_url")
        order_no = str(form["order_no"])
        kept = Kept(
            order_no=order_no,
            amount_fen=int(form["amount_fen"]),
            state=state,
            ref=random.Random(f"{self._seed} {order_no}").randbytes(12).hex(),  # noqa: S311
            notify_url=form["notify_url"],
            return_url=form.get("return_url"),
            currency=form["currency"],
        )
        self.orders[order_no] = kept
        self._write(kept)
        return kept

    async def _settle(self, kept: Kept) -> None:
        low, high = self.manners.delay_s
        await self._clock.sleep(low + (high - low) * self._draw(kept, "delay"))
        first_try = kept.order_no.endswith("-1")
        declined = first_try and self._draw(kept, "declined") < self.manners.declined_share
        self._move(kept, "PAY_FAIL" if declined else "SUCCESS")
        await self._tell(kept)

    def _move(self, kept: Kept, state: str) -> None:
        kept.state = state
        kept.taken += state == "SUCCESS"
        self._write(kept)

    async def _tell(self, kept: Kept) -> None:
        if self._draw(kept, "forgotten") < self.manners.forgotten_share:
            return
        self._later(self._notify(kept))
        if self._draw(kept, "duplicate") < self.manners.duplicate_share:
            self._later(self._notify(kept))

    async def _notify(self, kept: Kept) -> None:
        """Until it is acknowledged, or for as long as a real one tries, in clock time."""
        assert self._session is not None
        body = msgspec.json.encode(self._said(kept))
        pause_s = 15.0
        for _ in range(_NOTICE_TRIES):
            headers = signed(self._key, Clock().now(), body)
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                async with self._session.post(
                    kept.notify_url, data=body, headers=headers
                ) as response:
                    if response.status == 200 and b"SUCCESS" in await response.read():
                        return
            await self._clock.sleep(pause_s)
            pause_s *= 2
        _log.info("the sandbox gives up on a notification", order_no=kept.order_no)

    def _said(self, kept: Kept) -> Said:
        notice = f"{kept.ref}-{kept.state.lower()}"
        return Said(MERCHANT, kept.order_no, kept.state, kept.amount_fen, kept.ref, notice)

    def _is_enrolled(self, plate: str) -> bool:
        share: float = random.Random(f"{self._seed} {plate}").random()  # noqa: S311
        return share < self.manners.enrolled_share

    def _draw(self, kept: Kept, what: str) -> float:
        return random.Random(f"{self._seed} {kept.order_no} {what}").random()  # noqa: S311

    def _later(self, work: Any) -> None:
        task = asyncio.create_task(work, name="sandbox")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- its file

    def _open(self) -> None:
        self._key = kept_key(self._folder / "house.pem")
        self._merchant_key = kept_key(self._folder / "merchant.pem").public_key()
        path = self._folder / "orders.jsonl"
        if path.exists():
            for line in path.read_bytes().splitlines():
                with contextlib.suppress(msgspec.MsgspecError):  # a line that a crash tore off
                    kept = msgspec.json.decode(line, type=Kept)
                    self.orders[kept.order_no] = kept

    def _write(self, kept: Kept) -> None:
        with (self._folder / "orders.jsonl").open("ab") as file:
            file.write(msgspec.json.encode(kept) + b"\n")
