"""What pages say: ages never younger than true, money without noise, names without tricks."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.catalog import Name
from service.web import ops_words, words
from service.web.errors import saying

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "zh", "en"),
    [
        (0, "0 秒前", "0 s ago"),
        (59.2, "1 分钟前", "1 min ago"),
        (12.0, "12 秒前", "12 s ago"),
        (12.1, "13 秒前", "13 s ago"),
        (3599, "59 分钟前", "59 min ago"),
        (3600, "1 小时前", "1 h ago"),
        (3 * 86400, "3 天前", "3 days ago"),
    ],
)
def test_ages_read_as_people_say_them(seconds, zh, en):
    age_s = words.age_s(NOW, NOW - timedelta(seconds=seconds))
    assert words.age("zh", age_s) == zh
    assert words.age("en", age_s) == en


def test_an_age_that_nobody_knows_is_not_zero():
    assert words.age_s(NOW, None) is None
    assert words.age("zh", None) == "从未收到"


@given(st.floats(0, 1e7))
def test_a_shown_age_is_never_younger_than_the_true_one(seconds):
    shown = words.age_s(NOW, NOW - timedelta(seconds=seconds))
    true = (NOW - (NOW - timedelta(seconds=seconds))).total_seconds()
    assert true <= shown < true + 1


@pytest.mark.parametrize(
    ("fen", "text"), [(0, "0"), (500, "5"), (1050, "10.5"), (1205, "12.05"), (100000, "1000")]
)
def test_money_has_no_needless_zeros(fen, text):
    assert words.yuan(fen) == text


@given(st.text())
def test_a_name_on_a_page_turns_no_text_and_ends_no_line(text):
    shown = words.named("zh", Name(text, text))
    assert not set(shown) & set(
        "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200f\n\r\0"
    )
    assert len(shown) <= len(text)


def test_both_languages_say_everything():
    for table in (
        words.WORDS, words.WHY, ops_words.TITLES, ops_words.COLUMNS, ops_words.SAYINGS,
        ops_words.EDGES, ops_words.REFUSALS, ops_words.PARTS,
    ):  # fmt: skip
        for key, (zh, en) in table.items():
            assert zh, key
            assert en, key


def test_every_refusal_and_every_part_has_words():
    code = "".join(
        file.read_text() for top in ("service", "devices") for file in (ROOT / top).rglob("*.py")
    )
    reasons = set(re.findall(r'Refused\(\s*"(\w+)"', code))
    edges = set()
    for edge, reason in re.findall(r'metrics\.refused\(\s*"(\w+)"(?:,\s*"(\w+)")?', code):
        edges.add(edge)
        reasons.add(reason or "missing")
    assert len(reasons) > 30
    known = {*ops_words.REFUSALS, *ops_words.SAYINGS, *words.WHY}
    assert {one for one in reasons - known if not one.startswith("bad_")} == set()
    assert edges - ops_words.EDGES.keys() == set()
    readiness = (ROOT / "service" / "readiness.py").read_text()
    details = set(re.findall(r'detail="([^"]+)"|else "(\w[^"]+ [^"]+)"', readiness))
    assert {one or other for one, other in details} - ops_words.PARTS.keys() == set()


def test_a_camera_without_its_key_is_told_where_it_is():
    _, zh, en = saying(401)
    assert "bowei keys" in zh
    assert "bowei keys" in en
    assert zh != en
