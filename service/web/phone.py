"""Pure: which map app a phone is likely to want, from the browser it shows the page in."""

from typing import Final

NAMES: Final = {
    "amap": ("高德", "Amap"),
    "baidu": ("百度", "Baidu"),
    "tencent": ("腾讯", "Tencent"),
    "apple": ("苹果", "Apple"),
    "google": ("谷歌", "Google"),
    "geo": ("其他", "Other"),
}
_MAINLAND: Final = ("amap", "baidu", "tencent", "apple", "google")
_ABROAD: Final = ("google", "apple")
MAINLAND_TIMEZONES: Final = frozenset({"Asia/Shanghai", "Asia/Urumqi"})


def in_wechat(user_agent: str) -> bool:
    return "MicroMessenger" in user_agent


def _in_other_app(user_agent: str) -> bool:
    return "AlipayClient" in user_agent or "baiduboxapp" in user_agent


def preferred(user_agent: str, *, mainland: bool, remembered: str | None = None) -> str:
    """The app for the big button: the one chosen last, else the browser's own neighbour.

    WeChat opens Tencent's pages without a warning, Alipay those of Amap, Baidu its own; on the
    open web in mainland China an iPhone has Apple's for certain and an Android phone mostly Amap.
    """
    if remembered in NAMES and remembered in apps(user_agent, mainland=mainland):
        return remembered
    if not mainland:
        return "apple" if _apple(user_agent) else "google"
    if in_wechat(user_agent):
        return "tencent"
    if "baiduboxapp" in user_agent:
        return "baidu"
    if "AlipayClient" in user_agent:
        return "amap"
    return "apple" if _apple(user_agent) else "amap"


def _apple(user_agent: str) -> bool:
    return any(word in user_agent for word in ("iPhone", "iPad", "Macintosh"))


def apps(user_agent: str, *, mainland: bool) -> tuple[str, ...]:
    """The apps worth offering; `geo:` only where a browser follows it, on Android's open web."""
    offered = _MAINLAND if mainland else _ABROAD
    in_app = in_wechat(user_agent) or _in_other_app(user_agent)
    return (*offered, "geo") if "Android" in user_agent and not in_app else offered
