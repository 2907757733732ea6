"""Pure: who may leave first, and how patiently a debt is collected: plain data, generous."""

from collections.abc import Mapping

import msgspec


class Policy(msgspec.Struct, frozen=True):
    """Durations in seconds of the service clock, amounts in fen.

    `limits_fen` are plates (hashed) that may leave first at any lot up to an amount: a city's
    enrolment list, for instance. At `leave_first` lots everybody may, until what the plate owes
    from earlier stays, together with this one, is more than `arrears_limit_fen`. At `at_exit` lots
    those may whom the provider enrolled, up to `enrolled_limit_fen`.
    """

    arrears_limit_fen: int = 50_000
    enrolled_limit_fen: int = 50_000
    limits_fen: Mapping[str, int] = {}
    unread_opens: bool = True  # at leave_first lots; elsewhere an unread plate calls the operator
    same_car_within_s: float = 60.0  # a second reading at the same gate is the same passage
    settle_after_s: float = 60.0  # a car may turn back that long after it was let out
    paid_leaves_within_s: float = 900.0
    held_gives_up_after_s: float = 7200.0  # then it must have left by a hand-opened gate
    clock_ahead_s: float = 60.0  # how far a live device's time may stand off ours
    clock_behind_s: float = 600.0
    remember_s: float = 172_800.0  # passages and stays that have ended, in memory
    retry_after_s: tuple[float, ...] = (600.0, 3600.0, 21_600.0)
    keep_plates_s: float = 180 * 86_400.0  # sealed plates of stays that are settled
