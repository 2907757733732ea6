"""A visit is one car on one trip: minted here, believed for an hour, forged by nobody."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.web import phone, visit

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
KEY = b"a key for tests, of no use elsewhere"
RANDOM = b"123456789"


def test_a_visit_runs_for_an_hour():
    minted = visit.mint(NOW, RANDOM)
    assert visit.running(minted, NOW)
    assert visit.running(minted, NOW + timedelta(minutes=60))
    assert not visit.running(minted, NOW + timedelta(minutes=62))
    assert not visit.running(minted, NOW - timedelta(minutes=5))


def test_a_link_is_bound_to_its_lot_sign_visit_and_key():
    minted = visit.mint(NOW, RANDOM)
    token = visit.link_token(KEY, "market", "avenue", minted)
    assert visit.link_genuine(KEY, "market", "avenue", minted, token)
    assert not visit.link_genuine(KEY, "hotel", "avenue", minted, token)
    assert not visit.link_genuine(KEY, "market", "crossing", minted, token)
    assert not visit.link_genuine(KEY, "market", "avenue", visit.mint(NOW, b"987654321"), token)
    assert not visit.link_genuine(b"other", "market", "avenue", minted, token)


def test_parts_cannot_be_shifted_into_each_other():
    one = visit.link_token(KEY, "ab", "c", "v")
    assert one != visit.link_token(KEY, "a", "bc", "v")


def test_the_cookie_is_ours_or_nothing():
    minted = visit.mint(NOW, RANDOM)
    kept = visit.cookie(KEY, minted)
    assert visit.from_cookie(KEY, kept, NOW) == minted
    assert visit.from_cookie(KEY, kept, NOW + timedelta(hours=2)) is None
    assert visit.from_cookie(b"other", kept, NOW) is None
    assert visit.from_cookie(KEY, kept[:-1] + "!", NOW) is None


@given(st.text(), st.text())
def test_any_text_is_refused_and_nothing_breaks(one, other):
    assert not visit.running(one, NOW)
    assert visit.from_cookie(KEY, one, NOW) is None
    assert not visit.link_genuine(KEY, "market", one, other, other)


@pytest.mark.parametrize(
    ("agent", "app"),
    [
        ("Mozilla/5.0 (iPhone)", "apple"),
        ("Mozilla/5.0 (iPhone) MicroMessenger/8", "tencent"),
        ("Mozilla/5.0 (Linux; Android 13)", "amap"),
        ("Mozilla/5.0 (Linux; Android 13) AlipayClient/10", "amap"),
        ("Mozilla/5.0 (Linux; Android 13) baiduboxapp/13", "baidu"),
        ("", "amap"),
    ],
)
def test_the_first_app_is_the_browsers_neighbour(agent, app):
    assert phone.preferred(agent, mainland=True) == app


def test_geo_links_are_offered_only_where_they_are_followed():
    android = "Mozilla/5.0 (Linux; Android 13)"
    assert "geo" in phone.apps(android, mainland=True)
    assert "geo" not in phone.apps(android + " MicroMessenger/8", mainland=True)
    assert "geo" not in phone.apps("Mozilla/5.0 (iPhone)", mainland=True)


def test_abroad_the_chinese_maps_are_not_offered_and_not_remembered():
    assert phone.apps("", mainland=False) == ("google", "apple")
    assert phone.preferred("", mainland=False, remembered="baidu") == "google"
