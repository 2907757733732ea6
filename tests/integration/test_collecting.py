"""From a car that left to money that arrived, over real HTTP and on both databases."""

import aiohttp
import msgspec
import pytest
from settlement_money import POLITE, books, collected, left, rows, states, trading, until

from service.settlement import tables
from service.settlement.policy import Policy
from service.settlement.providers.protocol import Outcome, Word
from service.settlement.recent import recent, totals


@pytest.fixture(params=["sqlite", "postgres"])
def url(request):
    return request.getfixturevalue(f"{request.param}_url")


async def test_a_car_that_left_is_charged_and_paid(url, tmp_path, catalog, clock):
    async with trading(url, tmp_path, catalog, clock) as money:
        went = await left(money)
        await money.collector.collect()

        async def paid():
            return await states(money) == ["paid"]

        await until(paid)
        fen = went.amount_fen
        assert await books(money) == {"provider:sandbox": fen, "revenue:market": -fen}
        assert [one.taken for one in money.house.orders.values()] == [1]
        assert await rows(money, tables.charges, "state", "attempt") == [("paid", 1)]


async def test_nothing_is_owed_while_a_car_may_turn_back(sqlite_url, tmp_path, catalog, clock):
    async with trading(sqlite_url, tmp_path, catalog, clock) as money:
        clock.advance(61 * 60)
        await money.parts.enter(0)
        await money.parts.leave(61)
        await money.collector.collect()
        assert (await states(money), await books(money)) == (["priced"], {})


async def test_a_free_stay_is_nobodys_debt(sqlite_url, tmp_path, catalog, clock):
    async with trading(sqlite_url, tmp_path, catalog, clock) as money:
        await money.parts.enter(0)
        await money.parts.leave(1)
        clock.advance(600)
        await collected(money)
        assert (await states(money), await books(money)) == (["free"], {})


async def test_a_lost_reply_is_asked_about_and_never_charged_again(url, tmp_path, catalog, clock):
    """Case 18: the house took the money, its reply and its notice never came."""
    manners = msgspec.structs.replace(POLITE, lost_reply_share=1.0, forgotten_share=1.0)
    async with trading(url, tmp_path, catalog, clock, manners=manners) as money:
        await left(money)
        await money.collector.collect()
        assert await states(money) == ["charging"]
        assert await rows(money, tables.charges, "state", "asked") == [("sent", 1)]
        await collected(money, advance_s=30)
        assert await states(money) == ["paid"]
        assert [one.taken for one in money.house.orders.values()] == [1]


async def test_a_request_that_never_arrived_is_sent_again_under_its_number(
    sqlite_url, tmp_path, catalog, clock
):
    async with trading(sqlite_url, tmp_path, catalog, clock) as money:
        await left(money)
        address = (tmp_path / "sandbox" / "address").read_text()
        (tmp_path / "sandbox" / "address").write_text("http://127.0.0.1:1")
        for _ in range(3):
            await money.collector.collect()
            clock.advance(3600)
        assert not money.collector.healthy
        assert (await states(money), len(money.house.orders)) == (["charging"], 0)
        (tmp_path / "sandbox" / "address").write_text(address)
        await collected(money, advance_s=3600)
        assert await states(money) == ["paid"]
        assert len(await rows(money, tables.charges, "order_no")) == 1
        assert money.collector.healthy


async def test_a_declined_charge_is_tried_again_under_a_new_number(
    sqlite_url, tmp_path, catalog, clock
):
    manners = msgspec.structs.replace(POLITE, declined_share=1.0)
    async with trading(sqlite_url, tmp_path, catalog, clock, manners=manners) as money:
        await left(money)
        await money.collector.collect()

        async def declined():
            return await states(money) == ["retry"]

        await until(declined)
        await collected(money)
        assert await states(money) == ["retry"]  # not before its time
        clock.advance(601)
        await money.collector.collect()

        async def paid():
            return await states(money) == ["paid"]

        await until(paid)
        assert await rows(money, tables.charges, "attempt", "state") == [(1, "failed"), (2, "paid")]


async def test_the_unenrolled_go_to_arrears_and_pay_by_their_link(url, tmp_path, catalog, clock):
    manners = msgspec.structs.replace(POLITE, enrolled_share=0.0)
    async with trading(url, tmp_path, catalog, clock, manners=manners) as money:
        went = await left(money)
        await collected(money)
        assert await states(money) == ["arrears"]
        assert list(money.gate.book.arrears_fen.values()) == [went.amount_fen]
        token = went.bill.removeprefix("/b/")
        view = await money.desk.bill(token)
        assert (view.status, view.can_pay, view.bill.amount_fen) == ("due", True, went.amount_fen)
        await _pay(money, token)
        assert await states(money) == ["recovered"]
        assert (await money.desk.bill(token)).status == "paid"

        async def forgiven():  # the gate hears of it after SQL has it
            return not money.gate.book.arrears_fen

        await until(forgiven)
        fen = went.amount_fen
        assert await books(money) == {"provider:sandbox": fen, "revenue:market": -fen}


async def _pay(money, token) -> None:
    url = await money.desk.pay(token, "http://127.0.0.1:1/back")
    async with (
        aiohttp.ClientSession() as driver,
        driver.post(url, data={"do": "pay"}, allow_redirects=False) as response,
    ):
        assert (response.status, response.headers["Location"]) == (303, "http://127.0.0.1:1/back")

    async def paid():
        return (await money.desk.bill(token)).status == "paid"

    await until(paid)


async def _given_up(money) -> None:
    async def arrears():
        return await states(money) == ["arrears"]

    await until(arrears)


async def test_a_held_car_pays_at_the_gate_and_is_let_out(sqlite_url, tmp_path, catalog, clock):
    manners = msgspec.structs.replace(POLITE, enrolled_share=0.0)
    async with trading(sqlite_url, tmp_path, catalog, clock, manners=manners) as money:
        freed = []
        money.gate.freed = lambda *told: freed.append(told)
        await money.parts.enter(0, lot="clinic-yard")
        await money.collector.collect()
        held = await money.parts.leave(61, lot="clinic-yard")
        assert (held.open, held.reason) == (False, "pay_first")
        await _pay(money, held.bill.removeprefix("/b/"))

        async def told():  # the gate hears of it after SQL has it
            return freed

        await until(told)
        assert [(lot, lane, said.open, said.reason) for lot, lane, said in freed] == [
            ("clinic-yard", "out", True, "paid")
        ]
        went = await money.parts.leave(62, lot="clinic-yard")
        assert (went.open, went.reason) == (True, "paid")
        assert await states(money) == ["paid"]
        assert (await books(money))["provider:sandbox"] == held.amount_fen


async def test_the_enrolled_leave_first_also_where_one_pays_at_exit(
    sqlite_url, tmp_path, catalog, clock
):
    async with trading(sqlite_url, tmp_path, catalog, clock) as money:
        await money.parts.enter(0, lot="clinic-yard")
        await money.collector.collect()
        went = await money.parts.leave(61, lot="clinic-yard")
        assert (went.open, went.reason) == (True, "leave_first")


async def test_nobody_is_held_while_the_provider_is_away(sqlite_url, tmp_path, catalog, clock):
    async with trading(sqlite_url, tmp_path, catalog, clock) as money:
        await money.house.close()
        for n in range(3):
            await money.parts.enter(n, f"浙A0000{n}", lot="clinic-yard")
        clock.advance(300)
        await money.collector.collect()
        went = await money.parts.leave(61, lot="clinic-yard", plate="浙A00000")
        assert (went.open, went.reason) == (True, "leave_first")


async def test_a_held_car_that_never_came_back_owes(sqlite_url, tmp_path, catalog, clock):
    manners = msgspec.structs.replace(POLITE, enrolled_share=0.0)
    async with trading(sqlite_url, tmp_path, catalog, clock, manners=manners) as money:
        await money.parts.enter(0, lot="clinic-yard")
        await money.collector.collect()
        held = await money.parts.leave(61, lot="clinic-yard")
        assert held.reason == "pay_first"
        clock.advance(61 * 60 + 7201)
        await collected(money, advance_s=1)
        assert await states(money) == ["arrears"]


async def test_a_stay_that_could_not_be_priced_is_priced_later(
    sqlite_url, tmp_path, catalog, clock
):
    async with trading(sqlite_url, tmp_path, catalog, clock) as money:
        await money.parts.enter(0)
        versions = dict(money.gate.book.tariffs)
        money.gate.book.tariffs.clear()
        went = await money.parts.leave(61)
        assert (went.open, went.reason, went.bill) == (True, "unpriced", None)
        money.gate.book.tariffs.update(versions)
        clock.advance(62 * 60)
        await collected(money)

        async def paid():
            return await states(money) == ["paid"]

        await until(paid)


async def test_a_payment_after_giving_up_still_counts(sqlite_url, tmp_path, catalog, clock):
    """Success after decline: the order is the same, so is the debt."""
    policy = Policy(retry_after_s=())
    async with trading(sqlite_url, tmp_path, catalog, clock, policy=policy) as money:
        went = await left(money)
        money.house.manners = msgspec.structs.replace(POLITE, declined_share=1.0)
        await collected(money, advance_s=30)
        await _given_up(money)
        [(order_no,)] = await rows(money, tables.charges, "order_no")
        outcome = Outcome(order_no, Word.PAID, went.amount_fen)
        assert await money.till.heard(outcome, clock.now())
        assert await states(money) == ["recovered"]


async def test_money_that_comes_twice_is_owed_back(sqlite_url, tmp_path, catalog, clock):
    """Paid on the page while an earlier charge comes through after all."""
    policy = Policy(retry_after_s=())
    manners = msgspec.structs.replace(POLITE, declined_share=1.0)
    async with trading(
        sqlite_url, tmp_path, catalog, clock, policy=policy, manners=manners
    ) as money:
        went = await left(money)
        await collected(money, advance_s=30)
        await _given_up(money)
        await _pay(money, went.bill.removeprefix("/b/"))
        outcome = Outcome(
            (await rows(money, tables.charges, "order_no"))[0][0], Word.PAID, went.amount_fen
        )
        await money.till.heard(outcome, clock.now())
        fen = went.amount_fen
        assert await books(money) == {
            "provider:sandbox": 2 * fen, "revenue:market": -fen, "overpaid": -fen,
        }  # fmt: skip
        assert await rows(money, tables.exceptions, "kind") == [("overpaid",)]


async def test_while_the_driver_pays_nobody_charges_him(sqlite_url, tmp_path, catalog, clock):
    manners = msgspec.structs.replace(POLITE, declined_share=1.0)
    async with trading(sqlite_url, tmp_path, catalog, clock, manners=manners) as money:
        went = await left(money)
        await collected(money, advance_s=5)

        async def declined():
            return await states(money) == ["retry"]

        await until(declined)
        token = went.bill.removeprefix("/b/")
        first = await money.desk.pay(token, "http://127.0.0.1:1/")
        assert await money.desk.pay(token, "http://127.0.0.1:1/") == first  # one order, one cashier
        clock.advance(601)
        await money.collector.collect()
        assert await states(money) == ["retry"]
        clock.advance(2000)  # he went away: the order is closed, the charge goes on
        await collected(money, advance_s=1000, rounds=6)

        async def paid():
            return await states(money) == ["paid"]

        await until(paid)
        taken = {name[-1]: one.taken for name, one in money.house.orders.items()}
        assert taken == {"1": 0, "2": 0, "3": 1}


async def test_a_wrong_link_is_nobodys_bill(sqlite_url, tmp_path, catalog, clock):
    async with trading(sqlite_url, tmp_path, catalog, clock) as money:
        assert await money.desk.bill("x" * 27) is None
        assert await money.desk.pay("x" * 27, "http://127.0.0.1:1/") is None


async def test_without_a_provider_it_is_owed_and_nobody_is_held(
    sqlite_url, tmp_path, catalog, clock
):
    async with trading(sqlite_url, tmp_path, catalog, clock) as money:
        money.collector.provider = None
        money.desk._provider = None
        await money.parts.enter(0, "浙B00002", lot="clinic-yard")
        assert (await money.parts.leave(61, "浙B00002", lot="clinic-yard")).open
        went = await left(money)
        await collected(money)
        assert await states(money) == ["owed", "owed"]
        view = await money.desk.bill(went.bill.removeprefix("/b/"))
        assert (view.status, view.can_pay) == ("due", False)


async def test_the_ledger_in_short(url, tmp_path, catalog, clock):
    manners = msgspec.structs.replace(POLITE, enrolled_share=0.0)
    async with trading(url, tmp_path, catalog, clock, manners=manners) as money:
        began_at = clock.now()
        first = await left(money)
        await collected(money)
        await left(money, 200, "浙B00002")
        await collected(money)
        await money.parts.leave(300, "浙C00003")
        fen = first.amount_fen
        said = await totals(money.engine, began_at)
        assert (said.arrears, said.arrears_fen, said.owed, said.paid) == (2, 2 * fen, 0, 0)
        assert said.exceptions == {"missing_entry": 1}
        clock.advance(60)
        await _pay(money, first.bill.removeprefix("/b/"))
        said = await totals(money.engine, began_at)
        assert (said.arrears, said.paid, said.paid_fen) == (1, 1, fen)
        newest, older = await recent(money.engine, 10, money.desk.path)
        assert (newest.state, newest.bill, newest.amount_fen) == ("recovered", first.bill, fen)
        assert (older.state, older.plate) == ("arrears", "浙B***02")
        assert {one.bill for one in await recent(money.engine)} == {None}
