"""Published counts are read from their mapping alone; a bad record costs one record."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.reading import Count, Refused
from service.catalog import Feed, FeedFields
from service.catalog_file import load_catalog
from service.exchange.feed_records import MOST_RECORDS, read_feed

CITIES = Path(__file__).parents[1] / "catalogs" / "cities"
DATA = Path(__file__).parents[3] / "shared" / "data" / "feeds"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ZONES = {"p1": ("north", "general"), "p2": ("south", "general")}
CSV = Feed(
    "c", "s", "https://example.org", "csv",
    FeedFields("code", occupied="used", capacity="size", time="at", status="state"),
    ZONES, delimiter=";", time_format="%d.%m.%Y %H:%M", timezone="Europe/Berlin",
    statuses={"open": "open", "shut": "closed", "?": "unknown"},
)  # fmt: skip
JSON = Feed("j", "s", "https://example.org", "json", FeedFields("lot.id", free="free"), ZONES)


def changed(feed, **changes):
    return msgspec.structs.replace(feed, **changes)


def real(name):
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{path} is not here: real feeds are not part of the project")
    return path.read_bytes()


@pytest.fixture(scope="module")
def feeds():
    return load_catalog([CITIES]).feeds


def told(news):
    return {one.lot: (one.count.free, one.count.capacity, one.measured_at) for one in news.reports}


def errors(news):
    return {one.id: one.reason for one in news.errors}


def test_basel_works_from_its_mapping(feeds):
    news = read_feed(feeds["basel"], real("basel.json"), NOW)
    at = datetime(2024, 7, 28, 12, 6, tzinfo=UTC)
    assert told(news) == {
        "basel-a": (286, 750, at), "basel-b": (805, 1114, at), "basel-c": (167, 162, at),
    }  # fmt: skip
    assert [(one.index, one.reason) for one in news.errors] == [(7, "no_id")]
    assert news.ignored == 13


def test_bielefeld_works_from_its_mapping(feeds):
    """Local times with dots, most rows without counts, a closed garage."""
    news = read_feed(feeds["bielefeld"], real("bielefeld.csv"), NOW)
    at = datetime(2026, 2, 6, 7, 35, tzinfo=UTC)
    assert told(news) == {
        "bielefeld-a": (203, 383, at), "bielefeld-b": (703, 850, at), "bielefeld-c": (0, 456, at),
    }  # fmt: skip
    assert errors(news) == {"620-1": "bad_time"}
    assert news.ignored == 849


def test_ellwangen_works_from_its_mapping_and_has_no_time(feeds):
    news = read_feed(feeds["ellwangen"], real("ellwangen_sensit.json"), NOW)
    assert told(news) == {"ellwangen-a": (2, 45, None)}
    assert not news.errors


def test_karlsruhe_works_from_its_mapping(feeds):
    news = read_feed(feeds["karlsruhe"], real("karlsruhe.json"), NOW)
    at = datetime(2024, 11, 27, 18, 39, tzinfo=UTC)
    assert told(news) == {
        "karlsruhe-a": (16, 59, at), "karlsruhe-b": (245, 320, at), "karlsruhe-c": (0, 250, at),
    }  # fmt: skip  # the third says it is closed: none of its 226 free spaces can be had
    assert errors(news) == {"parkhaeuser.4": "bad_time"}
    assert news.ignored == 86


def test_the_mapping_of_the_four_cities_is_right_without_their_data(feeds):
    assert {feed.format for feed in feeds.values()} == {"csv", "json", "geojson"}
    assert feeds["karlsruhe"].records == "features"


def test_good_records_and_errors_come_back_together():
    body = (
        b"code;used;size;at;state\n"
        b"p1;12;80;01.03.2026 12:59;open\n"
        b"p9;1;1;01.03.2026 12:59;open\n"
        b";1;1;01.03.2026 12:59;open\n"
        b"p1;13;80;01.03.2026 13:00;open\n"
    )
    news = read_feed(CSV, body, NOW)
    (report,) = news.reports
    assert (report.lot, report.zone) == ("north", "general")
    assert report.count == Count(occupied=12, capacity=80)
    assert report.measured_at == datetime(2026, 3, 1, 11, 59, tzinfo=UTC)
    assert [(one.index, one.id, one.reason) for one in news.errors] == [
        (2, None, "no_id"), (3, "p1", "twice"), (None, "p2", "absent"),
    ]  # fmt: skip
    assert news.ignored == 1


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("p1;;80;01.03.2026 12:59;open", "no_count"),
        ("p1;-1;80;01.03.2026 12:59;open", "bad_occupied"),
        ("p1;3.5;80;01.03.2026 12:59;open", "bad_occupied"),
        ("p1;many;80;01.03.2026 12:59;open", "bad_occupied"),
        ("p1;1e99;80;01.03.2026 12:59;open", "bad_occupied"),
        ("p1;nan;80;01.03.2026 12:59;open", "bad_occupied"),
        ("p1;1;x;01.03.2026 12:59;open", "bad_capacity"),
        ("p1;1;80;yesterday;open", "bad_time"),
        ("p1;1;80;;open", "bad_time"),
        ("p1;1;80;01.03.2026 12:59;?", "source_unsure"),
        ("p1;1;80;01.03.2026 12:59;odd", "unknown_status"),
        ("p1;1;80;01.03.2026 12:59;", "unknown_status"),
        ("p1;1", "bad_time"),
    ],
)
def test_a_bad_record_is_refused_with_its_reason(row, reason):
    news = read_feed(
        CSV, f"code;used;size;at;state\n{row}\np2;1;2;01.03.2026 12:59;open".encode(), NOW
    )
    assert errors(news) == {"p1": reason}
    assert [one.lot for one in news.reports] == ["south"]


def test_closed_has_nothing_free_whatever_else_is_said():
    body = b"code;used;size;at;state\np1;3;80;01.03.2026 12:59;shut"
    (report,) = read_feed(CSV, body, NOW).reports
    assert report.count == Count(free=0, capacity=80, closed=True)


@pytest.mark.parametrize(
    ("time_format", "value", "at"),
    [
        ("iso", "2026-03-01T08:00:00Z", NOW - timedelta(hours=4)),
        ("iso", "2026-03-01T09:00:00", NOW - timedelta(hours=4)),
        ("unix_s", "1772352000", NOW - timedelta(hours=4)),
        ("unix_ms", "1772352000000", NOW - timedelta(hours=4)),
    ],
)
def test_times_come_in_many_forms(time_format, value, at):
    feed = changed(CSV, time_format=time_format)
    (report,) = read_feed(
        feed, f"code;used;size;at;state\np1;3;80;{value};open".encode(), NOW
    ).reports
    assert report.measured_at == at


def test_an_hour_that_comes_twice_is_the_later_that_has_been():
    """02:30 on the night summer time ends is 00:30 or 01:30 UTC: what is not ahead of us counts."""
    body = b"code;used;size;at;state\np1;3;80;25.10.2026 02:30;open"
    for received, at in ((0, 30), (1, 30)):
        now = datetime(2026, 10, 25, received, 32, tzinfo=UTC)
        (report,) = read_feed(CSV, body, now).reports
        assert report.measured_at == datetime(2026, 10, 25, received, at, tzinfo=UTC)


def test_numbers_and_dotted_paths_in_json():
    body = b'\xef\xbb\xbf[{"lot": {"id": "p1"}, "free": 7}, {"lot": {"id": 2}}, 5, {"lot": "p2"}]'
    news = read_feed(changed(JSON, zones=ZONES | {"2": ("west", "general")}), body, NOW)
    assert told(news) == {"north": (7, None, None)}
    assert errors(news) == {"2": "no_count", None: "no_id", "p2": "absent"}


@pytest.mark.parametrize(
    ("feed", "body", "reason"),
    [
        (JSON, b"{", "not_json"),
        (JSON, b"[" * 100_000, "not_json"),
        (JSON, b"\xff", "not_text"),
        (JSON, b"{}", "no_records"),
        (changed(JSON, records="data.lots"), b'{"data": {"lots": 5}}', "no_records"),
        (CSV, b"", "no_records"),
        (CSV, b"name;used\np1;1", "no_records"),
        (CSV, b'code;used\n"p1"x;1', "not_csv"),
        (CSV, b"code;used\n" + b"x;1\n" * (MOST_RECORDS + 1), "too_many"),
    ],
)
def test_a_document_that_cannot_be_read_is_refused_whole(feed, body, reason):
    with pytest.raises(Refused) as caught:
        read_feed(feed, body, NOW)
    assert caught.value.reason == reason


@given(st.binary(max_size=300), st.sampled_from([CSV, JSON, changed(JSON, format="geojson")]))
def test_any_bytes_are_read_or_refused(body, feed):
    try:
        news = read_feed(feed, body, NOW)
    except Refused:
        return
    assert len(news.reports) + len(news.errors) >= len(feed.zones)


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["id", "free", "at", "state", "lot", "x"]), inner, max_size=4
    ),
    max_leaves=12,
)  # fmt: skip


@given(st.lists(_ANY, max_size=5))
def test_any_json_gives_reports_and_errors_that_add_up(records):
    """Every place we map ends in exactly one of taken or not taken."""
    feed = changed(
        JSON, fields=FeedFields("id", free="free", time="at", status="state"),
        statuses={"x": "open"}, zones={"": ZONES["p1"], "1": ZONES["p2"]},
    )  # fmt: skip
    news = read_feed(feed, msgspec.json.encode(records), NOW)
    for report in news.reports:
        assert report.count.free is not None
        assert report.count.free >= 0
    assert len(news.reports) + news.ignored + sum(
        one.index is not None for one in news.errors
    ) == len(records)
