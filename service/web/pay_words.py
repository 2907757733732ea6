"""Pure: what the bill page says, Chinese first."""

from datetime import datetime, tzinfo
from typing import Final

from service.web.words import Lang

WORDS: Final[dict[str, tuple[str, str]]] = {
    "bill": ("停车账单", "Parking bill"),
    "to_pay": ("应付", "To pay"),
    "paid": ("已支付", "Paid"),
    "under_way": ("正在自动扣款", "Being charged"),
    "nothing": ("无需支付", "Nothing to pay"),
    "confirming": ("正在确认支付结果…", "Confirming your payment…"),
    "paid_note": ("谢谢，一路平安。", "Thank you, and a safe trip."),
    "paid_gate": ("已支付，请驶离，道闸会打开。", "Paid. Drive on, the gate will open."),
    "under_way_note": (
        "签约账户自动扣款中，不用操作。",
        "Your enrolled account is being charged; nothing to do.",
    ),
    "nothing_note": ("本次停车免费。", "This stay was free."),
    "gate_note": ("支付后道闸会打开。", "The gate opens once it is paid."),
    "pay": ("支付", "Pay"),
    "cannot_pay": ("暂时不能在线支付，请稍后再来。", "It cannot be paid online right now."),
    "entered": ("进场", "Entered"),
    "left": ("离场", "Left"),
    "asked": ("到出口", "At the exit"),
    "stayed": ("停了", "Stayed"),
    "plate": ("车牌", "Plate"),
    "lines": ("费用明细", "How it adds up"),
    "total": ("合计", "Total"),
    "keep": ("凭此链接随时查看这张账单。", "This link always shows this bill."),
    "show_code": ("二维码", "QR code"),
    "going": ("正在前往支付…", "Taking you to the payment…"),
    "go_on": ("没有跳转？点这里", "Not moving? Tap here"),
}


def words(lang: Lang) -> dict[str, str]:
    side = 0 if lang == "zh" else 1
    return {key: pair[side] for key, pair in WORDS.items()}


def moment(lang: Lang, at: datetime, tz: tzinfo) -> str:
    """A time as the lot's clocks showed it: 3月2日 08:05, 2 Mar 08:05."""
    local = at.astimezone(tz)
    if lang == "zh":
        return f"{local.month}月{local.day}日 {local:%H:%M}"
    return f"{local.day} {local:%b %H:%M}"


def length(lang: Lang, minutes: int) -> str:
    """A stay's length: 1 小时 5 分钟, 1 h 5 min."""
    hours, rest = divmod(minutes, 60)
    if lang == "zh":
        return f"{hours} 小时 {rest} 分钟" if hours else f"{rest} 分钟"
    return f"{hours} h {rest} min" if hours else f"{rest} min"
