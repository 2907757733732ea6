"""Pure: what a stay costs, and why, line by line.

The order is fixed: minutes that are free come off the beginning of the stay, what is left is
metered band by band, then each day is capped. Seconds never cost: a stay counts its whole elapsed
minutes, measured in absolute time, so that a change to summer time neither adds nor hides an hour;
windows open and close by the local clock.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo

import msgspec

from service.tariff.model import Band, Line, Quote, Tariff
from service.tariff.money import shown

_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)
Span = tuple[datetime, datetime]


class _Tally(msgspec.Struct):
    """What one band costs so far: `minutes` metered, `windows` touched, and the amounts."""

    minutes: int = 0
    windows: int = 0
    first_fen: int = 0
    unit_fen: int = 0
    visit_fen: int = 0
    first_minutes: int = 0
    units: int = 0


def price(
    tariff: Tariff,
    entered_at: datetime,
    left_at: datetime,
    tz: tzinfo,
    *,
    new_energy: bool = False,
    large: bool = False,
) -> Quote:
    """Price the stay from `entered_at` to `left_at` (aware) at a lot whose clocks show `tz`.

    Raises ValueError for a time without a zone, or an exit before its entry.
    """
    if entered_at.tzinfo is None or left_at.tzinfo is None:
        raise ValueError("a stay needs aware times")
    if left_at < entered_at:
        raise ValueError("a stay cannot end before it begins")
    if large:
        tariff = _scaled(tariff)
    start = entered_at.astimezone(UTC).replace(second=0, microsecond=0)
    minutes = (left_at - entered_at) // _MINUTE
    free, lines = _free(tariff, minutes, new_energy=new_energy)
    if free < minutes:
        end = start + minutes * _MINUTE
        cuts = _cuts(tariff, (start, end), tz)
        lines += _charged(tariff, (start + free * _MINUTE, end), cuts, tz)
    total = sum(line.amount_fen for line in lines)
    return Quote(tariff.id, tariff.version, minutes, total, tuple(lines), tariff.currency)


def _scaled(tariff: Tariff) -> Tariff:
    def scale(fen: int | None) -> int | None:
        return None if fen is None else (fen * tariff.large_factor_percent + 50) // 100

    bands = tuple(
        msgspec.structs.replace(
            band,
            first_fee_fen=scale(band.first_fee_fen),
            unit_fee_fen=scale(band.unit_fee_fen),
            visit_fee_fen=scale(band.visit_fee_fen),
        )
        for band in tariff.bands
    )
    return msgspec.structs.replace(
        tariff,
        bands=bands,
        day_cap_fen=scale(tariff.day_cap_fen),
        rolling_cap_fen=scale(tariff.rolling_cap_fen),
    )


def _free(tariff: Tariff, minutes: int, *, new_energy: bool) -> tuple[int, list[Line]]:
    """The minutes at the beginning that cost nothing, and the lines that say so."""
    if minutes <= tariff.free_minutes:
        if not minutes:
            return 0, []
        zh, en = (f"{tariff.free_minutes} 分钟内免费", f"Free up to {tariff.free_minutes} min")
        return minutes, [Line(zh, en, minutes, 0)]
    free, lines = 0, []
    if new_energy and tariff.new_energy_free_minutes:
        free = min(minutes, tariff.new_energy_free_minutes)
        zh, en = (f"新能源车免费 {free} 分钟", f"New-energy vehicle, {free} min free")
        lines.append(Line(zh, en, free, 0))
    if tariff.free_deducted and tariff.free_minutes and free < minutes:
        grace = min(minutes - free, tariff.free_minutes)
        lines.append(Line(f"免费 {grace} 分钟", f"{grace} min free", grace, 0))
        free += grace
    return free, lines


def _charged(tariff: Tariff, span: Span, cuts: list[datetime], tz: tzinfo) -> list[Line]:
    cap_fen = tariff.day_cap_fen if tariff.rolling_cap_fen is None else tariff.rolling_cap_fen
    tallies = [_Tally() for _ in tariff.bands]
    by_day = [0] * (len(cuts) + 1)
    for band, tally in zip(tariff.bands, tallies, strict=True):
        for window in _windows(band, span, tz):
            _meter(band, tally, window, cuts, by_day)
    lines = [
        line
        for band, tally in zip(tariff.bands, tallies, strict=True)
        for line in _band_lines(band, tally, tariff.currency)
    ]
    if cap_fen is not None:
        over = [fen - cap_fen for fen in by_day if fen > cap_fen]
        if over:
            lines.append(_cap_line(tariff, cap_fen, over))
    return lines


def _cuts(tariff: Tariff, span: Span, tz: tzinfo) -> list[datetime]:
    """Where one capped day of the stay `span` ends and the next begins; none without a cap."""
    start, end = span
    if tariff.rolling_cap_fen is not None:
        return [start + n * _DAY for n in range(1, (end - start) // _DAY + 1)]
    if tariff.day_cap_fen is None:
        return []
    first, last = start.astimezone(tz).date(), end.astimezone(tz).date()
    return [_instant(first + n * _DAY, time(0), tz) for n in range(1, (last - first).days + 1)]


def _instant(day: date, local: time, tz: tzinfo) -> datetime:
    return datetime.combine(day, local, tz).astimezone(UTC)


def _windows(band: Band, span: Span, tz: tzinfo) -> list[Span]:
    """The parts of `span` in which `band` holds, in order.

    Metered windows that touch (those of a band of the whole day) are one: a unit that runs over
    midnight is one unit.
    """
    windows: list[Span] = []
    for opens, closes in _opened(band, span, tz):
        if windows and band.visit_fee_fen is None and windows[-1][1] == opens:
            windows[-1] = (windows[-1][0], closes)
        else:
            windows.append((opens, closes))
    return windows


def _opened(band: Band, span: Span, tz: tzinfo) -> Iterator[Span]:
    start, end = span
    day = start.astimezone(tz).date() - _DAY
    last = end.astimezone(tz).date()
    until_next_day = band.until <= band.from_
    while day <= last:
        if day.isoweekday() in band.days:
            opens = _instant(day, band.from_, tz)
            closes = _instant(day + _DAY if until_next_day else day, band.until, tz)
            if opens < end and closes > start and opens < closes:
                yield max(opens, start), min(closes, end)
        day += _DAY


def _meter(
    band: Band, tally: _Tally, window: Span, cuts: list[datetime], by_day: list[int]
) -> None:
    """Add one window to `tally`, and its cost to the days in which its units began."""
    start, end = window
    tally.windows += 1
    day = sum(1 for cut in cuts if cut <= start)
    if band.visit_fee_fen is not None:
        tally.visit_fen += band.visit_fee_fen
        by_day[day] += band.visit_fee_fen
        return
    begun = 0 if band.restarts else tally.minutes
    minutes = (end - start) // _MINUTE
    before = _cost(band, begun)
    after = _cost(band, begun + minutes)
    tally.minutes += minutes
    tally.first_minutes += after[3] - before[3]
    tally.units += after[2] - before[2]
    tally.first_fen += after[0] - before[0]
    tally.unit_fen += after[1] - before[1]
    spent = before[0] + before[1]
    for at in [*(cut for cut in cuts if start < cut < end), end]:
        cost = _cost(band, begun + (at - start) // _MINUTE)
        by_day[day] += cost[0] + cost[1] - spent
        spent = cost[0] + cost[1]
        day += 1


def _cost(band: Band, minutes: int) -> tuple[int, int, int, int]:
    """First fee, unit fees, units and first minutes of `minutes` metered without a break."""
    if not minutes:
        return 0, 0, 0, 0
    first = min(minutes, band.first_minutes)
    if first and band.rounding == "down" and first < band.first_minutes:
        return 0, 0, 0, first
    first_fen = band.first_fee_fen if band.first_minutes else 0
    if first and band.rounding == "exact":
        first_fen = (2 * first * first_fen + band.first_minutes) // (2 * band.first_minutes)
    rest = minutes - first
    if band.rounding == "exact":
        fen = (2 * rest * band.unit_fee_fen + band.unit_minutes) // (2 * band.unit_minutes)
        return first_fen, fen, rest, first
    units = rest // band.unit_minutes if band.rounding == "down" else -(-rest // band.unit_minutes)
    return first_fen, units * band.unit_fee_fen, units, first


def _band_lines(band: Band, tally: _Tally, currency: str) -> list[Line]:
    if not tally.windows:
        return []
    whole_day = band.from_ == band.until
    zh = "全天" if whole_day else f"{band.from_:%H:%M}–{band.until:%H:%M}"
    en = "All day" if whole_day else zh
    lines = []
    if band.visit_fee_fen is not None:
        times = f" × {tally.windows}" if tally.windows > 1 else ""
        each = shown(band.visit_fee_fen, currency)
        zh, en = f"{zh} 按次 {each}{times}", f"{en}, per visit {each}{times}"
        return [Line(zh, en, 0, tally.visit_fen)]
    if tally.first_minutes:
        n = f"{band.first_minutes} "
        text = f"{zh} 前 {n}分钟", f"{en}, first {n}min"
        lines.append(Line(*text, tally.first_minutes, tally.first_fen))
    rest = tally.minutes - tally.first_minutes
    if rest:
        each = shown(band.unit_fee_fen, currency)
        if band.rounding == "exact":
            amount = f"{rest} 分钟", f"{rest} min"
        else:
            amount = (
                f"{tally.units} × {band.unit_minutes} 分钟",
                f"{tally.units} × {band.unit_minutes} min",
            )
        zh = f"{zh} {amount[0]}（每 {band.unit_minutes} 分钟 {each}）"
        en = f"{en}, {amount[1]} ({each} per {band.unit_minutes} min)"
        lines.append(Line(zh, en, rest, tally.unit_fen))
    return lines


def _cap_line(tariff: Tariff, cap_fen: int, over: list[int]) -> Line:
    cap = shown(cap_fen, tariff.currency)
    times = f" × {len(over)}" if len(over) > 1 else ""
    if tariff.rolling_cap_fen is None:
        zh, en = f"每日封顶 {cap}{times}", f"Daily cap {cap}{times}"
    else:
        zh, en = f"24 小时封顶 {cap}{times}", f"24-hour cap {cap}{times}"
    return Line(zh, en, 0, -sum(over))
