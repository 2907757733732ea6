"""Signs send some cars, most to what they offer first, none to what is not free."""

import pytest

from service.guidance.followers import followers
from service.guidance.ranking import Tier


def test_cars_under_way_are_the_stream_times_the_drive() -> None:
    assert followers(2, [("a", 0, 600.0)]) == {"a": pytest.approx(60 * 0.1 / 3600 * 600)}


def test_most_follow_to_what_is_offered_first() -> None:
    sent = followers(1, [("a", 0, 300.0), ("b", 1, 300.0), ("c", 0, 300.0)])
    assert sent["a"] == pytest.approx(2 * sent["b"], abs=0.02)
    assert sent["b"] == pytest.approx(2 * sent["c"], abs=0.02)
    assert sum(sent.values()) == pytest.approx(120 * 0.1 / 3600 * 300, abs=0.02)


def test_nobody_follows_to_what_is_full_closed_or_unknown() -> None:
    offered = [("a", Tier.UNKNOWN, 1.0), ("b", Tier.FULL, 1.0), ("c", Tier.CLOSED, 1.0)]
    assert followers(1, offered) == {}
    assert set(followers(1, [*offered, ("d", Tier.FEW, 300.0)])) == {"d"}


def test_nobody_follows_a_sign_at_the_entrance_itself() -> None:
    assert followers(3, [("a", 0, 300.0)]) == {}
