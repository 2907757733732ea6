"""Pure: whose plate came in and has not gone out; one misread character is forgiven."""

from collections.abc import Iterator


class PlatesInside:
    """Plates with when they came, POSIX seconds, the oldest first."""

    def __init__(self) -> None:
        self._came_s: dict[str, float] = {}
        self._blurred: dict[str, set[str]] = {}

    def __len__(self) -> int:
        return len(self._came_s)

    def __iter__(self) -> Iterator[tuple[str, float]]:
        return iter(self._came_s.items())

    def add(self, plate: str, at_s: float) -> None:
        self._came_s.pop(plate, None)  # it came again, so it had left unseen
        self._came_s[plate] = at_s
        for blurred in _blurs(plate):
            self._blurred.setdefault(blurred, set()).add(plate)

    def take(self, plate: str) -> tuple[str, float] | None:
        """Who left by this plate, under the name he came by, and when he had come."""
        if plate not in self._came_s:
            alike = {one for blurred in _blurs(plate) for one in self._blurred.get(blurred, ())}
            if len(alike) != 1:
                return None
            plate = alike.pop()
        came_s = self._came_s.pop(plate)
        for blurred in _blurs(plate):
            self._blurred[blurred].discard(plate)
            if not self._blurred[blurred]:
                del self._blurred[blurred]
        return plate, came_s


def _blurs(plate: str) -> list[str]:
    """The plate with each character in turn unread."""
    return [f"{plate[:at]}?{plate[at + 1 :]}" for at in range(len(plate))]
