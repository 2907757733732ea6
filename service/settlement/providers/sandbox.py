"""The sandbox's client: it speaks to `sandbox_house` as a real provider's client speaks to his.

It moves no money. The address and the keys stand in the state directory, where the house puts them.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
from cryptography.hazmat.primitives.asymmetric import rsa
from yarl import URL

from devices.reading import Refused
from service.clock import Clock
from service.settlement.providers.protocol import (
    Acknowledgement,
    Notice,
    Order,
    Outcome,
    Unanswered,
    Word,
)
from service.settlement.providers.signature import kept_key, signed, verify

NAME: Final = "sandbox"
MERCHANT: Final = "bowei-sandbox"
WITHIN_S: Final = 5.0  # wall
NOTICE_LIMIT_BYTES: Final = 16_384
_WORDS: Final = {
    "SUCCESS": Word.PAID,
    "ACCEPTED": Word.PENDING,
    "OPEN": Word.PENDING,
    "PAY_FAIL": Word.DECLINED,
    "NOT_ENROLLED": Word.REFUSED,
    "CLOSED": Word.REFUSED,
    "NOT_FOUND": Word.ABSENT,
}


class Said(msgspec.Struct, frozen=True):
    """As the house sends it, in answers and in notifications."""

    merchant: str
    order_no: str
    state: str
    amount_fen: int
    ref: str | None = None
    id: str | None = None


class _Reply(msgspec.Struct, frozen=True):
    """An order's state, or a `code` that says why there is none."""

    code: str | None = None
    merchant: str = ""
    order_no: str = ""
    state: str = ""
    amount_fen: int = 0
    ref: str | None = None


class _Enrolled(msgspec.Struct, frozen=True):
    enrolled: bool


class _Place(msgspec.Struct, frozen=True):
    url: str


class Sandbox:
    """`folder` is where the house keeps its address and both keys; `notify_url` is ours."""

    name = NAME
    acknowledgement = Acknowledgement(b'{"code":"SUCCESS"}', "application/json")

    def __init__(
        self,
        folder: Path,
        notify_url: str,
        keys: tuple[rsa.RSAPrivateKey, rsa.RSAPublicKey],
        within_s: float = WITHIN_S,
    ) -> None:
        self._folder = folder
        self._notify_url = notify_url
        self._key, self._house_key = keys
        self._session: aiohttp.ClientSession | None = None
        self._timeout = aiohttp.ClientTimeout(total=within_s)

    async def enrolled(self, plate: str, plate_color: str) -> bool:
        body = {"plate": plate, "plate_color": plate_color}
        said: _Enrolled = await self._ask("POST", "/v1/enrolments", body, _Enrolled)
        return said.enrolled

    async def charge(self, order: Order) -> Outcome:
        return await self._outcome(order.order_no, "POST", "/v1/charges", self._form(order))

    async def query(self, order_no: str) -> Outcome:
        return await self._outcome(order_no, "GET", f"/v1/charges/{order_no}", None)

    async def checkout(self, order: Order, return_url: str) -> str:
        form = {**self._form(order), "return_url": return_url}
        place: _Place = await self._ask("POST", "/v1/checkouts", form, _Place)
        return place.url

    def notice(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Notice:
        """Errors: `Refused`: oversize, unsigned, too_old, forged, form, merchant."""
        if len(body) > NOTICE_LIMIT_BYTES:
            raise Refused("oversize", f"at most {NOTICE_LIMIT_BYTES} bytes")
        verify(self._house_key, headers, body, now)
        try:
            said = msgspec.json.decode(body, type=Said)
        except msgspec.MsgspecError:
            raise Refused("form", "an order's state") from None
        if said.merchant != MERCHANT:
            raise Refused("merchant", "a notice to us")
        if not said.id or said.state not in _WORDS:
            raise Refused("form", "an id and a known state")
        return Notice(said.id, _read(said))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _form(self, order: Order) -> dict[str, Any]:
        return {
            **msgspec.to_builtins(order),
            "merchant": MERCHANT,
            "notify_url": self._notify_url,
        }

    async def _outcome(self, order_no: str, method: str, path: str, form: Any) -> Outcome:
        said: _Reply = await self._ask(method, path, form, _Reply)
        if said.code is not None:
            word = _WORDS.get(said.code)
            if word is None:
                raise Unanswered(said.code.lower())
            return Outcome(order_no, word, reason=said.code.lower())
        if said.order_no != order_no or said.merchant != MERCHANT or said.state not in _WORDS:
            raise Unanswered("other_order")
        return _read(said)

    async def _ask(self, method: str, path: str, form: Any, reply: Any) -> Any:
        body = b"" if form is None else msgspec.json.encode(form)
        try:
            base = (await asyncio.to_thread((self._folder / "address").read_text)).strip()
            if self._session is None:
                self._session = aiohttp.ClientSession(timeout=self._timeout)
            headers = signed(self._key, Clock().now(), body, (method, path))
            async with self._session.request(
                method, URL(base + path, encoded=True), data=body, headers=headers
            ) as response:
                answer = await response.read()
                verify(self._house_key, response.headers, answer, Clock().now())
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unanswered("unreachable") from error
        except Refused as refused:
            raise Unanswered(refused.reason) from refused
        try:
            return msgspec.json.decode(answer, type=reply)
        except msgspec.MsgspecError as error:
            raise Unanswered("form") from error


def _read(said: Said | _Reply) -> Outcome:
    word = _WORDS[said.state]
    paid_fen = said.amount_fen if word is Word.PAID else None
    reason = None if word is Word.PAID else said.state.lower()
    return Outcome(said.order_no, word, paid_fen, reason, said.ref)


def open_sandbox(state: Path, notify_url: str) -> Sandbox:
    """The client over the keys in the state directory (made where missing). Blocking."""
    folder = state / "sandbox"
    house_key = kept_key(folder / "house.pem").public_key()
    return Sandbox(folder, notify_url, (kept_key(folder / "merchant.pem"), house_key))
