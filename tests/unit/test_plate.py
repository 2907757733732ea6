"""Plates: one way of writing, the right kind, nothing of them at rest."""

import pytest

from devices.reading import PlateColor
from service.settlement.plate import (
    Kind,
    distance,
    keyed,
    kind_of,
    masked,
    normalise,
    proposal,
    read,
)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("浙A00001", "浙A00001"),
        (" 浙a·00001 ", "浙A00001"),
        ("浙Ａ０000１", "浙A00001"),
        ("WX-1234 A", "WX1234A"),
        ("使014001", "使014001"),
        ("", None),
        ("_无_", None),
        ("无牌车", None),
        ("unknown", None),
        ("浙A", None),
        ("浙A0000\x001", None),
        ("浙A<script>", None),
        ("A" * 13, None),
        ("A" * 10_000, None),
    ],
)
def test_one_way_of_writing(raw, text):
    assert normalise(raw) == text


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("浙A00001", Kind.ORDINARY),
        ("浙A0000学", Kind.ORDINARY),
        ("粤Z0001港", Kind.ORDINARY),
        ("浙O00001", Kind.OFFICE),
        ("浙AD12345", Kind.NEW_ENERGY_SMALL),
        ("浙AF00001", Kind.NEW_ENERGY_SMALL),
        ("浙AK12345", Kind.NEW_ENERGY_SMALL),  # a pattern of D and F only would refuse it
        ("浙A12345D", Kind.NEW_ENERGY_LARGE),
        ("浙A12345K", Kind.NEW_ENERGY_LARGE),
        ("浙A12345L", Kind.FOREIGN),
        ("014001使", Kind.EMBASSY),
        ("WJ浙00001", Kind.ARMED_POLICE),
        ("浙X0001应急", Kind.EMERGENCY),
        ("WA99999", Kind.MILITARY),
        ("WX1234A", Kind.FOREIGN),
        ("浙AI0001", Kind.FOREIGN),
    ],
)
def test_kinds(text, kind):
    assert kind_of(text) is kind


def test_new_energy_by_form_or_by_color():
    assert read("浙AD00001").new_energy
    assert read("浙A0000D", PlateColor.GREEN).new_energy  # its last character was dropped
    assert not read("浙A00001", PlateColor.BLUE).new_energy


def test_on_duty():
    assert read("浙X0001应急").on_duty
    assert not read("浙A00001").on_duty
    assert read("KA00001", PlateColor.WHITE).on_duty
    assert not read("KA00001", PlateColor.YELLOW).on_duty


def test_what_others_see_and_what_is_stored_name_nobody():
    assert masked("浙A00001") == "浙A***01"
    assert masked("浙AD00001") == "浙A****01"
    assert masked("AB12") == "A***"
    assert keyed(b"k" * 32, "浙A00001") != keyed(b"j" * 32, "浙A00001")
    assert keyed(b"k" * 32, "浙A00001") == keyed(b"k" * 32, "浙A00001")
    assert "A0" not in keyed(b"k" * 32, "浙A00001").upper()[:2]


@pytest.mark.parametrize(
    ("seen", "known", "cost"),
    [
        ("浙A00001", "浙A00001", 0),
        ("浙AD0001", "浙A00001", 0.5),
        ("鄂A00001", "粤A00001", 0.5),
        ("浙AD0000", "浙AD00001", 1),
        ("浙A00002", "浙A00001", 1),
        ("鄂F01188", "苏BFD1188", 2),
    ],
)
def test_misreads_that_were_seen(seen, known, cost):
    assert distance(seen, known) == distance(known, seen) == cost


def test_a_proposal_is_made_only_where_it_is_clear():
    assert proposal("浙A0000I", [("one", "浙A00001"), ("two", "浙B55555")]) == "one"
    assert proposal("浙A00003", [("one", "浙A00001"), ("two", "浙A00002")]) is None
    assert proposal("浙A00003", [("one", "沪C77777")]) is None
    assert proposal("浙A00003", []) is None
