"""What became of a frame is told by the newest news of the newest frame."""

from guidance_parts import START, later

from service.guidance.deliveries import Deliveries
from service.guidance.model import Shown


def test_sent_accepted_shown() -> None:
    log = Deliveries()
    assert log.of("s", START) is None
    log.sent("s", 7, START)
    assert log.of("s", START).state == "sent"
    log.accepted("s", 7, later(1))
    assert (log.of("s", later(1)).state, log.of("s", later(1)).since) == ("accepted", later(1))
    log.answered("s", Shown(7), later(2))
    found = log.of("s", later(2))
    assert (found.state, found.since, found.shown_at) == ("shown", later(2), later(2))
    assert found.sent_at == START


def test_old_news_does_not_speak_of_the_new_frame() -> None:
    log = Deliveries()
    log.sent("s", 7, START)
    log.sent("s", 8, later(1))
    log.accepted("s", 7, later(2))
    log.failed("s", 7, later(2), "broker")
    log.answered("s", Shown(7), later(3))
    found = log.of("s", later(3))
    assert (found.revision, found.state) == (8, "sent")
    assert (found.shown_revision, found.shown_at) == (7, later(3))


def test_a_panel_cannot_have_shown_what_was_never_sent() -> None:
    log = Deliveries()
    log.answered("s", Shown(1), START)
    assert log.of("s", START) is None
    log.sent("s", 7, START)
    log.answered("s", Shown(9), later(1))
    assert log.of("s", later(1)).state == "sent"


def test_a_failure_says_why_and_a_later_success_forgets_it() -> None:
    log = Deliveries()
    log.sent("s", 7, START)
    log.answered("s", Shown(7, "failed", "dark"), later(1))
    assert (log.of("s", later(1)).state, log.of("s", later(1)).reason) == ("failed", "dark")
    log.answered("s", Shown(7), later(2))
    assert (log.of("s", later(2)).state, log.of("s", later(2)).reason) == ("shown", None)


def test_an_acknowledgement_after_the_panel_spoke_changes_nothing() -> None:
    log = Deliveries()
    log.sent("s", 7, START)
    log.answered("s", Shown(7), later(1))
    log.accepted("s", 7, later(2))
    assert log.of("s", later(2)).state == "shown"


def test_silence_is_a_failure_after_a_while_and_not_before() -> None:
    log = Deliveries()
    log.sent("s", 7, START)
    log.accepted("s", 7, START)
    assert log.of("s", later(29)).state == "accepted"
    assert (log.of("s", later(30)).state, log.of("s", later(30)).reason) == ("failed", "silent")
    log.answered("s", Shown(7), later(40))
    assert log.of("s", later(99)).state == "shown"
