"""However a device's messages fall into batches, Redis is told of each that came and of no other.

A count and a status are numbered together, so both make up the runs in which gaps are seen.
"""

import asyncio
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from devices.mqtt import Message
from devices.reading import Count, Uplink
from service.clock import Clock
from service.occupancy.batch import Batch
from service.occupancy.gathering import Gathering
from service.occupancy.senders import Senders
from service.occupancy.shard import Part

DEVICE = "hotel-count"
Said = tuple[int, int, str]

messages = st.lists(
    st.tuples(
        st.integers(1, 2),
        st.integers(0, 9),
        st.sampled_from(("live", "live", "retained", "status")),
    ),
    max_size=12,
)


def fill(gathering: Gathering, senders: Senders, said: list[Said]) -> list[Batch]:
    source = senders.source(DEVICE)
    assert source is not None
    for boot, seq, way in said:
        uplink = Uplink(DEVICE, boot, seq, (Count(occupied=seq),))
        if way == "status":
            gathering.came(source.device, uplink)
        else:
            message = Message(b"", b"", way == "retained", None, False, 0, 0)
            gathering.report(message, source, uplink)
    return [*gathering.closed, gathering.batch]


def told(part: Part) -> list[tuple[int, int, int]]:
    """The runs that a part tells of, each as boot, first and last."""
    solos = [
        (int(value[:20]), int(before[20:]) + 1 if before else 0, int(value[20:40]))
        for value, before in zip(part.solo_values, part.solo_befores, strict=True)
    ]
    marks = [(int(one[:20]), int(one[20:40]), int(one[40:60]) - 1) for one in part.marks]
    return solos + marks


def parts_of(catalog, said: list[Said]) -> list[Part]:
    async def gathered() -> list[Part]:
        senders = Senders(catalog, 8)
        gathering = Gathering(senders, None, Clock(), lambda: None)  # type: ignore[arg-type]
        batches = fill(gathering, senders, said)
        return [part for batch in batches for part in batch.parts(1.0).values()]

    return asyncio.run(gathered())


@given(messages)
def test_every_message_that_came_is_told_of(catalog, said):
    parts = parts_of(catalog, said)
    heard = {(boot, seq) for boot, seq, way in said if way != "retained"}
    runs = [run for part in parts for run in told(part)]
    assert {(boot, seq) for boot, first, last in runs for seq in range(first, last + 1)} == heard


@given(messages)
def test_the_newest_word_of_each_boot_is_kept(catalog, said):
    kept: dict[int, int] = {}
    for part in parts_of(catalog, said):
        for value in (*part.solo_values, *part.reports.values()):
            boot, seq = int(value[:20]), int(value[20:40])
            kept[boot] = max(seq, kept.get(boot, -1))
    spoken: dict[int, int] = {}
    for boot, seq, way in said:
        if way != "status":
            spoken[boot] = max(seq, spoken.get(boot, -1))
    assert kept == spoken


@given(st.integers(0, 5), st.integers(1, 9))
def test_messages_one_after_the_other_are_told_by_the_last_report_alone(catalog, first, many):
    said = [(1, seq, "live") for seq in range(first, first + many)]
    (part,) = parts_of(catalog, said)
    assert told(part) == [(1, first, first + many - 1)]
    assert len(part.solo_values) == 1
    assert not part.marks
    assert not part.reports


def test_a_status_between_two_counts_costs_marks_and_loses_nothing(catalog):
    (part,) = parts_of(catalog, [(1, 4, "live"), (1, 5, "status"), (1, 6, "live")])
    runs = sorted(told(part))
    assert [first - last for (_, _, last), (_, first, _) in pairwise(runs)] == [1, 1]
    assert not part.solo_values
    assert len(part.reports) == 1
