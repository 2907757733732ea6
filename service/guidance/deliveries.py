"""What became of the frames: sent, accepted by the broker, shown by the panel, or failed.

Pure: times come in with the events.
"""

from datetime import datetime
from typing import Final

import msgspec

from service.guidance.model import Shown

SILENT_AFTER_S: Final = 30.0


class Delivery(msgspec.Struct, frozen=True):
    """The newest frame of one sign. state: sent | accepted | shown | failed.

    `since` is when it came to that state; `shown_at` when the panel last showed any frame.
    `reason` is a short word where it failed.
    """

    revision: int
    state: str
    since: datetime
    sent_at: datetime
    shown_at: datetime | None = None
    shown_revision: int | None = None
    reason: str | None = None


class Deliveries:
    """One `Delivery` a sign; news of an older frame changes only what was last shown."""

    def __init__(self) -> None:
        self._by_sign: dict[str, Delivery] = {}

    def sent(self, sign: str, revision: int, at: datetime) -> None:
        before = self._by_sign.get(sign)
        self._by_sign[sign] = Delivery(
            revision,
            "sent",
            at,
            at,
            before.shown_at if before else None,
            before.shown_revision if before else None,
        )

    def accepted(self, sign: str, revision: int, at: datetime) -> None:
        known = self._by_sign.get(sign)
        if known is not None and known.revision == revision and known.state == "sent":
            self._by_sign[sign] = msgspec.structs.replace(known, state="accepted", since=at)

    def failed(self, sign: str, revision: int, at: datetime, reason: str) -> None:
        known = self._by_sign.get(sign)
        if known is not None and known.revision == revision:
            self._by_sign[sign] = msgspec.structs.replace(
                known, state="failed", since=at, reason=reason
            )

    def answered(self, sign: str, said: Shown, at: datetime) -> None:
        """The panel spoke."""
        known = self._by_sign.get(sign)
        if known is None or said.revision > known.revision:
            return
        if said.state == "failed":
            self.failed(sign, said.revision, at, said.reason or "panel")
            return
        known = msgspec.structs.replace(known, shown_at=at, shown_revision=said.revision)
        if said.revision == known.revision:
            known = msgspec.structs.replace(known, state="shown", since=at, reason=None)
        self._by_sign[sign] = known

    def of(self, sign: str, at: datetime) -> Delivery | None:
        """How the sign's newest frame stands; a panel that says nothing has failed to show it."""
        known = self._by_sign.get(sign)
        if known is None or known.state not in {"sent", "accepted"}:
            return known
        if (at - known.sent_at).total_seconds() < SILENT_AFTER_S:
            return known
        return msgspec.structs.replace(known, state="failed", reason="silent")
