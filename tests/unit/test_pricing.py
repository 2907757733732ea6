"""What a stay costs. Amounts marked *published* were published; the others are our arithmetic."""

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import msgspec
import pytest

from service.tariff.model import Band, Tariff
from service.tariff.money import shown
from service.tariff.pricing import price

SHANGHAI = ZoneInfo("Asia/Shanghai")
LONDON = ZoneInfo("Europe/London")
SINGAPORE = ZoneInfo("Asia/Singapore")


def tariff(*bands: Band, **settings) -> Tariff:
    return Tariff("t", "1", bands, **settings)


def fen(rule: Tariff, entered: str, left: str, tz: ZoneInfo = SHANGHAI, **who) -> int:
    """Price a stay given in local times."""
    at = [datetime.fromisoformat(one).replace(tzinfo=tz) for one in (entered, left)]
    quote = price(rule, *at, tz, **who)
    assert sum(line.amount_fen for line in quote.lines) == quote.total_fen
    return quote.total_fen


DAY_MINUTES = {"first_minutes": 60, "first_fee_fen": 195, "unit_minutes": 15, "unit_fee_fen": 55}
PLAZA = tariff(
    Band(from_=time(0), until=time(18), **DAY_MINUTES),
    Band(from_=time(18), until=time(0), visit_fee_fen=325),
    currency="SGD",
)
PLAZA_LONG = tariff(Band(first_minutes=120, first_fee_fen=500, unit_minutes=15, unit_fee_fen=55))
UK_SHORT = tariff(Band(time(8), time(18), unit_fee_fen=110, rounding="exact", days=(1, 2, 3, 4, 5)))
UK_LONG = tariff(Band(visit_fee_fen=750))
# Hangzhou kerb, zone 1: the first hour counts whole, then half-hours at half price.
KERB = tariff(
    Band(time(8), time(20), 60, 600, 30, 300),
    Band(time(20), time(8), visit_fee_fen=400),
)


@pytest.mark.parametrize(
    ("rule", "entered", "left", "tz", "published"),
    [
        (PLAZA, "2017-09-07 12:00", "2017-09-07 19:00", SINGAPORE, 1620),
        (PLAZA_LONG, "2017-09-07 12:00", "2017-09-07 15:07", SINGAPORE, 775),
        (UK_SHORT, "2017-09-07 16:50", "2017-09-09 19:15", LONDON, 1228),
        (UK_LONG, "2017-09-07 07:50", "2017-09-09 05:20", LONDON, 2250),
    ],
)
def test_published_amounts(rule, entered, left, tz, published):
    assert fen(rule, entered, left, tz) == published


@pytest.mark.parametrize(
    ("entered", "left", "amount_fen"),
    [
        ("2026-03-02 09:00", "2026-03-02 09:01", 600),
        ("2026-03-02 09:00", "2026-03-02 10:00", 600),
        ("2026-03-02 09:00", "2026-03-02 10:01", 900),
        ("2026-03-02 09:00", "2026-03-02 11:31", 1800),
        ("2026-03-02 19:30", "2026-03-02 21:00", 600 + 400),  # the first hour ends with the day
        ("2026-03-02 22:00", "2026-03-03 07:59", 400),  # past midnight, one night
        ("2026-03-02 22:00", "2026-03-03 08:30", 400 + 600),
        ("2026-03-02 22:00", "2026-03-04 07:00", 400 + 600 + 22 * 300 + 400),
        ("2026-03-02 02:00", "2026-03-02 03:00", 400),  # the night that began yesterday
        ("2026-03-02 20:00", "2026-03-02 20:00", 0),
    ],
)
def test_kerb_of_hangzhou(entered, left, amount_fen):
    assert fen(KERB, entered, left) == amount_fen


def test_seconds_never_cost():
    assert fen(KERB, "2026-03-02 09:00:30", "2026-03-02 10:01:29") == 600
    assert fen(KERB, "2026-03-02 09:00:30", "2026-03-02 10:01:30") == 900
    assert fen(KERB, "2026-03-02 09:00:00", "2026-03-02 09:00:59") == 0


@pytest.mark.parametrize(
    ("deducted", "minutes", "amount_fen"),
    [(False, 30, 0), (False, 31, 500), (True, 30, 0), (True, 31, 500), (True, 90, 500),
     (True, 91, 1000), (False, 61, 1000)],
)  # fmt: skip
def test_grace_is_inclusive_and_deducted_only_where_the_tariff_says(deducted, minutes, amount_fen):
    rule = tariff(Band(unit_minutes=60, unit_fee_fen=500), free_minutes=30, free_deducted=deducted)
    left = f"2026-03-02 {9 + minutes // 60:02d}:{minutes % 60:02d}"
    assert fen(rule, "2026-03-02 09:00", left) == amount_fen


@pytest.mark.parametrize(
    ("rounding", "minutes", "amount_fen"),
    [("up", 16, 400), ("down", 16, 200), ("down", 14, 0), ("exact", 16, 213), ("up", 15, 200)],
)
def test_rounding_of_a_begun_unit(rounding, minutes, amount_fen):
    rule = tariff(Band(unit_minutes=15, unit_fee_fen=200, rounding=rounding))
    assert fen(rule, "2026-03-02 09:00", f"2026-03-02 09:{minutes}") == amount_fen


def test_a_band_may_go_on_where_its_last_window_stopped():
    night_and_day = {"first_minutes": 60, "first_fee_fen": 600, "unit_minutes": 60}
    again = tariff(Band(time(8), time(20), **night_and_day, unit_fee_fen=100))
    on = tariff(Band(time(8), time(20), **night_and_day, unit_fee_fen=100, restarts=False))
    stay = ("2026-03-02 19:00", "2026-03-03 10:00")
    assert fen(again, *stay) == 600 + 600 + 100
    assert fen(on, *stay) == 600 + 200


def test_a_cap_holds_for_each_calendar_day():
    rule = tariff(Band(unit_minutes=60, unit_fee_fen=500), day_cap_fen=2000)
    assert fen(rule, "2026-03-02 20:00", "2026-03-03 02:00") == 2000 + 1000
    assert fen(rule, "2026-03-02 23:30", "2026-03-03 00:30") == 500  # begun on the first day
    assert fen(rule, "2026-03-02 00:00", "2026-03-05 00:00") == 3 * 2000


def test_a_rolling_cap_counts_from_entry():
    # Eight hours of every 24 count: 4 units of 2 h at 5 yuan.
    rule = tariff(Band(unit_minutes=120, unit_fee_fen=500), rolling_cap_fen=2000, free_minutes=30)
    assert fen(rule, "2026-03-02 20:00", "2026-03-03 19:59") == 2000
    assert fen(rule, "2026-03-02 20:00", "2026-03-03 20:01") == 2500


def test_discounts_take_time_first_and_never_pay_out():
    rule = tariff(
        Band(unit_minutes=60, unit_fee_fen=500), free_minutes=30, new_energy_free_minutes=60
    )
    assert fen(rule, "2026-03-02 09:00", "2026-03-02 10:00", new_energy=True) == 0
    assert fen(rule, "2026-03-02 09:00", "2026-03-02 10:01", new_energy=True) == 500
    assert fen(rule, "2026-03-02 09:00", "2026-03-02 10:01") == 1000


def test_large_vehicles_pay_the_factor_on_fees_and_caps():
    rule = tariff(
        Band(unit_minutes=60, unit_fee_fen=500), large_factor_percent=200, day_cap_fen=1500
    )
    assert fen(rule, "2026-03-02 09:00", "2026-03-02 11:00", large=True) == 2000
    assert fen(rule, "2026-03-02 09:00", "2026-03-02 19:00", large=True) == 3000


@pytest.mark.parametrize(
    ("entered", "left", "amount_fen"),
    [
        ("2026-03-28 23:00", "2026-03-29 04:00", 4 * 100),  # the night has no 02:00–03:00
        ("2026-10-24 23:00", "2026-10-25 04:00", 6 * 100),  # the night has 02:00–03:00 twice
    ],
)
def test_summer_time_neither_adds_nor_hides_an_hour(entered, left, amount_fen):
    berlin = ZoneInfo("Europe/Berlin")
    rule = tariff(Band(unit_minutes=60, unit_fee_fen=100))
    at = [datetime.fromisoformat(one).replace(tzinfo=berlin) for one in (entered, left)]
    quote = price(rule, at[0].astimezone(UTC), at[1].astimezone(UTC), berlin)
    assert quote.total_fen == amount_fen


def test_lines_can_be_read_in_both_languages():
    at = [datetime(2026, 3, 2, h, 5, tzinfo=SHANGHAI) for h in (18, 23)]
    quote = price(KERB, *at, SHANGHAI)
    assert [(line.zh, line.en, line.minutes, line.amount_fen) for line in quote.lines] == [
        ("08:00–20:00 前 60 分钟", "08:00–20:00, first 60 min", 60, 600),
        (
            "08:00–20:00 2 × 30 分钟（每 30 分钟 ¥3.00）",
            "08:00–20:00, 2 × 30 min (¥3.00 per 30 min)",
            55,
            600,
        ),
        ("20:00–08:00 按次 ¥4.00", "20:00–08:00, per visit ¥4.00", 0, 400),
    ]


def test_what_cannot_be_priced_raises():
    at = datetime(2026, 3, 2, 9, tzinfo=UTC)
    with pytest.raises(ValueError, match="before it begins"):
        price(KERB, at, at.replace(hour=8), SHANGHAI)
    with pytest.raises(ValueError, match="aware"):
        price(KERB, at.replace(tzinfo=None), at, SHANGHAI)


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"t","version":"1","bands":[{"rounding":"sideways"}]}',
        b'{"id":"t","version":"1","bands":[{"unit_minutes":0}]}',
        b'{"id":"t","version":"1","bands":[{"unit_fee_fen":-1}]}',
        b'{"id":"t","version":"1","bands":[{"days":[0]}]}',
        b'{"id":"t","version":"1","bands":[],"day_cap_fen":1,"rolling_cap_fen":1}',
    ],
)
def test_a_tariff_that_means_nothing_is_refused_when_read(body):
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=Tariff)


def test_money_is_written_as_people_write_it():
    assert [shown(n) for n in (0, 5, 1234, -250)] == ["¥0.00", "¥0.05", "¥12.34", "-¥2.50"]
    assert shown(1620, "SGD") == "SGD 16.20"
