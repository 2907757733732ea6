"""What a provider tells us: once, signed, of the right amount, or refused; on both databases."""

import asyncio
import json
from datetime import timedelta

import aiohttp
import msgspec
import pytest
from settlement_money import POLITE, collected, left, rows, states, trading

from devices.reading import Refused
from service.clock import Clock
from service.settlement import tables
from service.settlement.providers.protocol import Notice, Outcome, Word
from service.settlement.providers.signature import kept_key, signed


@pytest.fixture(params=["sqlite", "postgres"])
def url(request):
    return request.getfixturevalue(f"{request.param}_url")


async def test_two_hundred_duplicate_notices_are_one_payment(url, tmp_path, catalog, clock):
    """Case 17: all at once; one posting, one effect."""
    manners = msgspec.structs.replace(POLITE, forgotten_share=1.0)
    async with trading(url, tmp_path, catalog, clock, manners=manners) as money:
        went = await left(money)
        await money.collector.collect()
        [(order_no,)] = await rows(money, tables.charges, "order_no")
        outcome = Outcome(order_no, Word.PAID, went.amount_fen, provider_ref="r")
        changed = await asyncio.gather(
            *(
                money.till.heard(outcome, clock.now(), Notice(f"n{n % 2}", outcome))
                for n in range(200)
            )
        )
        assert changed.count(True) == 1
        assert await states(money) == ["paid"]
        assert len(await rows(money, tables.postings, "id")) == 2


async def test_the_same_order_with_another_amount_is_refused(sqlite_url, tmp_path, catalog, clock):
    """Case 17: same key, another body."""
    async with trading(sqlite_url, tmp_path, catalog, clock) as money:
        await left(money)
        await collected(money)
        [(order_no,)] = await rows(money, tables.charges, "order_no")
        kept = money.house.orders[order_no]
        form = {**msgspec.to_builtins(kept), "merchant": "bowei-sandbox", "amount_fen": 1,
                "plate": "浙A00001"}  # fmt: skip
        status, said = await _call(tmp_path, money, "POST", "/v1/charges", form)
        assert (status, said["code"]) == (422, "OTHER_ORDER")
        assert kept.taken == 1


async def _call(folder, money, method, path, form, key="merchant.pem"):
    body = json.dumps(form).encode()
    headers = signed(kept_key(folder / "sandbox" / key), Clock().now(), body, (method, path))
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, money.house.url + path, data=body, headers=headers) as response,
    ):
        return response.status, await response.json()


async def test_the_house_refuses_who_does_not_sign(sqlite_url, tmp_path, catalog, clock):
    async with trading(sqlite_url, tmp_path, catalog, clock) as money:
        status, said = await _call(tmp_path, money, "POST", "/v1/enrolments", {"plate": "浙A00001"},
                                   key="house.pem")  # fmt: skip
        assert (status, said["code"]) == (401, "SIGN_ERROR")


def _notice(folder, key="house.pem", *, age_s=0, **changes):
    """A notice as the house would sign it, or not quite."""
    said = {"merchant": "bowei-sandbox", "order_no": "s-1", "state": "SUCCESS", "amount_fen": 500,
            "ref": "r", "id": "n"} | changes  # fmt: skip
    body = msgspec.json.encode(said)
    when = Clock().now() - timedelta(seconds=age_s)
    return signed(kept_key(folder / "sandbox" / key), when, body), body


async def test_forged_old_foreign_and_wrong_notices_are_refused(
    sqlite_url, tmp_path, catalog, clock
):
    """Case 19."""
    manners = msgspec.structs.replace(POLITE, forgotten_share=1.0, delay_s=(100.0, 100.0))
    async with trading(sqlite_url, tmp_path, catalog, clock, manners=manners) as money:
        went = await left(money)
        await money.collector.collect()
        [(order_no,)] = await rows(money, tables.charges, "order_no")
        good = {"order_no": order_no, "amount_fen": went.amount_fen}
        headers, body = _notice(tmp_path, **good)
        cases = [
            ("forged", *_notice(tmp_path, "merchant.pem", **good)),
            ("forged", headers, body.replace(b"SUCCESS", b"success")),
            ("forged", {**headers, "Bowei-Nonce": "other"}, body),
            ("too_old", *_notice(tmp_path, age_s=400, **good)),
            ("too_old", *_notice(tmp_path, age_s=-400, **good)),
            ("unsigned", {}, body),
            ("unsigned", {**headers, "Bowei-Signature": "not base64"}, body),
            ("merchant", *_notice(tmp_path, merchant="another", **good)),
            ("amount", *_notice(tmp_path, order_no=order_no, amount_fen=went.amount_fen - 1)),
            ("unknown_order", *_notice(tmp_path, order_no="nobody-1", amount_fen=1)),
            ("form", *_notice(tmp_path, id=None, **good)),
            ("form", *_notice(tmp_path, state="HAPPY", **good)),
            ("oversize", headers, b" " * 20_000),
        ]
        for reason, headers_, body_ in cases:
            with pytest.raises(Refused) as refused:
                await money.desk.notified("sandbox", headers_, body_, Clock().now())
            assert refused.value.reason == reason
        with pytest.raises(Refused):
            await money.desk.notified("other", headers, body, Clock().now())
        assert await states(money) == ["charging"]
        # The true one, late and twice, before our own query: once is enough.
        for _ in range(2):
            await money.desk.notified("sandbox", headers, body, Clock().now())
        assert await states(money) == ["paid"]
        assert len(await rows(money, tables.postings, "id")) == 2
