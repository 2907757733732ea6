"""Recordings in three layouts, with every defect counted and none of them stopping the reading."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.replay.layouts import Unreadable
from service.replay.recording import read

DATA = Path(__file__).parents[3] / "shared" / "data"


def real(name):
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{path} is not here: real recordings are not part of the project")
    return path


def write(folder, text, name="recording.csv", encoding="utf-8"):
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


WIDE = """timestamp,city-parking-North,city-parking-South
2025-09-01 00:00:00+00:00,10,20
2025-09-01 00:15:00+00:00,,21
2025-09-01 00:30:00+00:00,12,
"""

LONG = """North,100,40,2016-10-04 08:00:00
North,100,45,2016-10-04 08:30:00\t
South,50,20,2016-10-04 08:00:10
South,50,25,2016-10-04 08:30:10
"""

SINGLE = """mvalidtime,free,occupied\r
2025-03-01 00:00:00.000+0000,576,194\r
2025-03-01 00:05:00.000+0000,570,200\r
"""


def test_wide_with_blanks_as_no_change(tmp_path):
    recording = read(write(tmp_path, WIDE))
    assert (recording.layout, recording.counts, recording.rows) == ("wide", "free", 3)
    assert recording.lots == ("city-parking-North", "city-parking-South")
    assert recording.series("city-parking-North") == [
        (at("2025-09-01 00:00:00"), 10),
        (at("2025-09-01 00:30:00"), 12),
    ]
    said = [(one.lot[-5:], one.value, one.carried) for one in recording.samples()]
    assert sorted(said) == sorted(
        [
            ("North", 10, False),
            ("South", 20, False),
            ("North", 10, True),
            ("South", 21, False),
            ("North", 12, False),
            ("South", 21, True),
        ]
    )
    assert not any(one.carried for one in recording.samples(carried=False))
    assert recording.defects.total == 0
    assert recording.usual_gap_s("city-parking-North") == 900


def test_a_blank_is_not_carried_for_ever(tmp_path):
    rows = "".join(f"2025-09-01 {hour:02}:00:00+00:00,,5\n" for hour in range(1, 9))
    text = "time,a,b\n2025-09-01 00:00:00+00:00,7,5\n" + rows
    recording = read(write(tmp_path, text), carry_s=2 * 3600)
    assert sum(one.lot == "a" for one in recording.samples()) == 3
    assert not any(one.carried for one in read(write(tmp_path, text), carry_s=0).samples())


def test_long_without_a_header_and_with_a_stray_tab(tmp_path):
    recording = read(write(tmp_path, LONG), timezone="Europe/London")
    assert (recording.layout, recording.counts) == ("long", "occupied")
    assert recording.capacities == {"North": 100, "South": 50}
    first = next(recording.samples())
    assert first.at_s == at("2016-10-04 07:00:00"), "London was an hour ahead of UTC"
    assert recording.series("North")[1][1] == 45
    assert recording.defects.total == 0


def test_long_with_a_header(tmp_path):
    text = "SystemCodeNumber;Capacity;Occupancy;LastUpdated\n" + LONG.replace(",", ";")
    recording = read(write(tmp_path, text))
    assert recording.layout == "long"
    assert recording.series("South") == read(write(tmp_path, LONG)).series("South")


def test_a_single_lot_takes_its_capacity_from_both_counts(tmp_path):
    recording = read(write(tmp_path, SINGLE, "square.csv"))
    assert (recording.layout, recording.counts, recording.lots) == ("single", "free", ("square",))
    assert recording.capacities == {"square": 770}
    assert [value for _, value in recording.series("square")] == [576, 570]
    taken = read(write(tmp_path, SINGLE, "square.csv"), counts="occupied")
    assert [value for _, value in taken.series("square")] == [194, 200]


@pytest.mark.parametrize(
    ("kind", "line", "text"),
    [
        ("bad_row", 3, LONG.replace("North,100,45", "North,100,many")),
        ("bad_row", 3, LONG.replace("North,100,45,2016", "North,100,45,once 2016")),
        ("bad_row", 3, LONG.replace("North,100,45", "North,100")),
        ("bad_row", 3, LONG.replace("North,100,45,2016", "North,100,45,1970")),
        ("bad_row", 3, LONG.replace("North,100,45", "North,100,nan")),
        ("over_capacity", 3, LONG.replace("North,100,45", "North,100,145")),
        ("negative", 3, LONG.replace("North,100,45", "North,100,-5")),
        ("duplicate", 3, LONG.replace("08:30:00", "08:00:00")),
        ("unordered", 3, LONG.replace("04 08:30:00", "03 08:30:00")),
        ("capacity_changed", 3, LONG.replace("North,100,45", "North,120,45")),
    ],
)
def test_a_defect_is_counted_at_its_line_and_the_rest_still_counts(tmp_path, kind, line, text):
    # A line before, so that the defect never stands where the layout is told from.
    recording = read(write(tmp_path, "North,100,40,2016-10-04 07:30:00\n" + text))
    for lot, capacity in recording.capacities.items():
        recording.check_capacity(lot, capacity)
    assert recording.defects.count(kind) == 1
    assert recording.defects.found[kind].examples[0][0] == line
    assert [value for _, value in recording.series("South")] == [20, 25]
    assert any(f"line {line}: " in said for said in recording.defects.lines())


def test_gaps_and_capacities_below_what_was_seen(tmp_path):
    rows = [f"2025-09-01 00:{minute:02}:00+00:00,5" for minute in range(0, 60, 10)]
    rows += [f"2025-09-01 06:{minute:02}:00+00:00,9" for minute in range(0, 60, 10)]
    recording = read(write(tmp_path, "time,a\n" + "\n".join(rows)))
    assert recording.defects.count("gap") == 1
    recording.check_capacity("a", 8)
    assert recording.defects.count("capacity_below_free") == 1
    assert recording.defects.count("over_capacity") == 6
    assert recording.high_mark("a") == 9


def test_what_is_out_of_order_is_played_in_order(tmp_path):
    lines = LONG.splitlines(keepends=True)
    recording = read(write(tmp_path, "".join(reversed(lines))))
    times = [one.at_s for one in recording.samples()]
    assert times == sorted(times)
    assert recording.defects.count("unordered") == 2


def test_of_two_values_for_one_time_the_later_line_comes_later(tmp_path):
    text = LONG + "South,50,30,2016-10-04 08:30:10\n"
    last = [one.value for one in read(write(tmp_path, text)).samples() if one.lot == "South"]
    assert last == [20, 25, 30]


@pytest.mark.parametrize(
    "text",
    ["", "\n\n", "just one line of words\n", "a,b\nc,d\n", "timestamp\n2025-09-01\n", "time,a,a\n"],
)
def test_a_file_of_no_layout_is_refused(tmp_path, text):
    with pytest.raises(Unreadable):
        read(write(tmp_path, text))


def test_a_layout_that_was_named_must_fit(tmp_path):
    with pytest.raises(Unreadable):
        read(write(tmp_path, LONG), layout="single")
    assert read(write(tmp_path, LONG), layout="long").rows == 4


def test_byte_order_mark_nul_and_foreign_bytes(tmp_path):
    path = tmp_path / "odd.csv"
    path.write_bytes(b"\xef\xbb\xbf" + WIDE.encode() + b"2025-09-01 00:45:00+00:00,\x00\xff,3\n")
    recording = read(path)
    assert recording.defects.count("bad_row") == 1
    assert recording.lots[0] == "city-parking-North"


def test_an_endless_cell_costs_one_row(tmp_path):
    text = WIDE + "2025-09-01 00:45:00+00:00," + "9" * 200_000 + ",3\n"
    text += "2025-09-01 01:00:00+00:00,4,4\n"
    recording = read(write(tmp_path, text))
    assert recording.defects.count("bad_row") == 1
    assert recording.series("city-parking-North")[-1][1] == 4


@given(st.binary(max_size=400))
def test_any_bytes_after_a_good_beginning_are_read_or_counted(tmp_path_factory, tail):
    path = tmp_path_factory.mktemp("any") / "r.csv"
    path.write_bytes(WIDE.encode() + tail)
    recording = read(path)
    assert len(list(recording.samples(carried=False))) >= 1


def test_the_real_ones():
    birmingham = read(real("birmingham.csv"), timezone="Europe/London")
    for lot, capacity in birmingham.capacities.items():
        birmingham.check_capacity(lot, capacity)
    assert (birmingham.layout, birmingham.counts, birmingham.rows) == ("long", "occupied", 35_717)
    assert len(birmingham.lots) == 30
    found = {kind: birmingham.defects.count(kind) for kind in ("over_capacity", "negative")}
    assert found == {"over_capacity": 373, "negative": 12}
    assert birmingham.defects.count("duplicate") == 216
    nuernberg = read(real("nuernberg12_2025.csv"))
    assert (nuernberg.layout, nuernberg.counts, len(nuernberg.lots)) == ("wide", "free", 12)
    tyrol = read(real("southtyrol_770.csv"))
    assert (tyrol.layout, tyrol.capacities) == ("single", {"southtyrol_770": 770})
