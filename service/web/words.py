"""Pure: every sentence the pages say, Chinese first, and how numbers read in both languages."""

from datetime import datetime
from typing import Final, Literal

from service.catalog import Name

Lang = Literal["zh", "en"]

WORDS: dict[str, tuple[str, str]] = {
    "product": ("泊位", "Bowei"),
    "other_language": ("English", "中文"),
    # the driver's page
    "to": ("去", "To"),
    "nearby": ("附近停车", "Parking nearby"),
    "best": ("最快：停这里", "Fastest: park here"),
    "recommended": ("推荐：停这里", "Best choice: park here"),
    "closest": ("离目的地近，有空位", "Close by, with space"),
    "roomiest": ("空位最多", "Most space"),
    "spaces": ("个空位", "free spaces"),
    "spaces_ev": ("个充电空位", "free charging spaces"),
    "spaces_accessible": ("个无障碍空位", "free accessible bays"),
    "spaces_both": ("个合适的空位", "spaces that fit"),
    "spaces_short": ("空位", "free"),
    "drive": ("开车", "Drive"),
    "walk": ("步行", "Walk"),
    "minute": ("分钟", "min"),
    "stay": ("停", "Stay"),
    "free_of_charge": ("免费", "Free"),
    "navigate": ("导航", "Navigate"),
    "other_maps": ("换个地图", "Other maps"),
    "next_best": ("也可以停", "Also good"),
    "not_advised": ("现在不推荐", "Not advised now"),
    "filters": ("筛选", "Filter"),
    "need": ("需要", "Needs"),
    "need_ev": ("充电", "EV charging"),
    "need_accessible": ("无障碍车位", "Accessible bay"),
    "destination": ("去哪里", "Destination"),
    "any_destination": ("不限", "Anywhere"),
    "none_sure": ("附近暂时没有确定的空位", "No confirmed free space nearby"),
    "none_sure_more": (
        "数字会自动更新；下面按路程列出全部停车场，去之前请以现场为准。",
        "The numbers update by themselves. All car parks are listed below; check on site.",
    ),
    "none_match": ("没有符合条件的停车场", "No car park matches"),
    "clear_filters": ("清除条件", "Clear filters"),
    "wechat_note": (
        "微信里会先打开地图网页；想用手机里的地图，点右上角“···”选择在浏览器打开。",
        "WeChat opens the map's web page first; for the app, tap “···” and open in browser.",
    ),
    "guidance_away": (
        "诱导服务正在启动，请过几秒刷新。",
        "Guidance is starting; please reload in a few seconds.",
    ),
    "cut_off": (
        "数据暂时中断：数字停在最后一次收到的时候，请看“多久前”。",
        "Data is interrupted: these are the last numbers that came; mind their age.",
    ),
    "sign_label": ("诱导屏", "Sign"),
    "reload": ("刷新", "Reload"),
    "go": ("去", "Go"),
    "height": ("限高", "Max height"),
    "lost": (
        "网络不通，上面的数字停在最后一次收到的时候。",
        "No connection: the numbers above are the last that arrived.",
    ),
    # trust in a number
    "unknown": ("暂无数据", "No data"),
    "closed": ("已关闭", "Closed"),
    "full": ("已满", "Full"),
    "stale": ("数据偏旧", "Older number"),
    "unverified": ("待核实", "Unverified"),
    "fresh": ("实时", "Live"),
    "few": ("紧张", "Few"),
    "received": ("按收到时间", "time of receipt"),
    "never": ("从未收到", "never heard"),
    # levels, apps
    # the sign wall
    "wall": ("诱导屏墙", "Sign wall"),
    "lit": ("亮着", "lit"),
    "dark": ("无数据", "dark"),
    "not_answered": ("未回报", "not answered"),
    "lease": ("有效期", "Lease"),
    "panel_says": ("屏体", "Panel"),
    "scan": ("扫码看最近的空位", "Scan for the best space"),
    "wall_lost": (
        "连接断开，正在重连；各屏到期后显示 --。",
        "Disconnected, trying again; panels go to -- as their leases end.",
    ),
    "no_signs": ("没有这样的诱导屏", "No such signs"),
    "all_sites": ("全部地点", "All sites"),
    "ops": ("值班台", "Operations"),
    # the front door
    "claim": ("还没开口问，就知道空车位在哪。", "Where the next free space is, before you ask."),
    "claim_more": (
        "离场不停车，账单随后到。",
        "Drive out without stopping; the bill follows.",
    ),
    "free_now": ("个空位 · 现在", "spaces free now"),
    "lots_word": ("个停车场", "car parks"),
    "signs_word": ("块诱导屏", "signs"),
    "of_spaces": ("共", "of"),
    "spaces_word": ("个公共车位", "public spaces"),
    "live_sign": (
        "正在亮着的一块屏。用手机扫旁边的码，就是司机看到的页面。",
        "One sign, live. Scan the code beside it for what its drivers see.",
    ),
    "door_driver": ("司机页", "Driver's page"),
    "door_driver_more": (
        "扫码后看到的：最快的车位和一键导航",
        "After a scan: the best space, one tap to navigate",
    ),
    "door_wall": ("诱导屏墙", "Sign wall"),
    "door_wall_more": ("每一块屏此刻显示什么", "What every sign shows this moment"),
    "door_ops": ("值班台", "Operations"),
    "door_ops_more": (
        "车场、设备、诱导屏、停车记录（仅本机）",
        "Lots, devices, signs, sessions (this machine only)",
    ),
    "door_api": ("接口", "API"),
    "door_api_more": ("余位、排序、诱导屏画面", "Free spaces, rankings, sign frames"),
    "by_site": ("按地点看停车场", "Car parks by site"),
    "try_title": ("自己试试：你来当传感器", "Try it: be the sensor"),
    "try_more": (
        "停车场 try-it 没有模拟车辆，只听你的。发一条消息，看它的屏变。",
        "No simulator touches the lot try-it: it listens to you. Send a message, watch its sign.",
    ),
    "try_count": ("场内 12 辆车", "12 cars in the yard"),
    "try_bay": ("B1 车位停了车", "Bay B1 is taken"),
    "try_in": ("一辆车进场", "A car drives in"),
    "try_out": ("同一辆车离场，账单随后到", "The same car leaves; its bill follows"),
    "try_see": ("看 try-it 的屏", "See the sign of try-it"),
    "schemas": ("消息格式", "Message schemas"),
    "level_1": ("一级 · 主干道", "Level 1 · arterial"),
    "level_2": ("二级 · 路口", "Level 2 · junction"),
    "level_3": ("三级 · 车场入口", "Level 3 · entrance"),
    "app_amap": ("高德地图", "Amap"),
    "app_baidu": ("百度地图", "Baidu Maps"),
    "app_tencent": ("腾讯地图", "Tencent Maps"),
    "app_apple": ("苹果地图", "Apple Maps"),
    "app_google": ("谷歌地图", "Google Maps"),
    "app_geo": ("其他地图", "Other map"),
}

# What the words of a zone's `why` mean to a person.
WHY: dict[str, tuple[str, str]] = {
    "ok": ("正常", "fine"),
    "silent": ("传感器没有声音", "sensor silent"),
    "gap": ("消息有缺失", "messages missing"),
    "over_capacity": ("超过车位总数", "above capacity"),
    "negative": ("出现负数", "below zero"),
    "frozen": ("数字长时间不动", "number stands still"),
    "disagree": ("来源互相矛盾", "sources disagree"),
    "clock_skew": ("设备时钟不准", "device clock is off"),
    "never_heard": ("从未收到数据", "never heard from"),
    "too_few_bays": ("上报的车位太少", "too few bays report"),
    "closed": ("不在开放时段", "outside open hours"),
    "stale": ("数据偏旧", "older number"),
    "old": ("数据偏旧", "older number"),
}


# Marks that turn the direction of the text around them, and other controls: a name from a
# catalogue or a device could use them to make the rest of a page read as something else.
_HARMFUL: Final = {
    code: None
    for span in ((0x00, 0x20), (0x7F, 0xA0), (0x200B, 0x2010), (0x2028, 0x202F), (0x2066, 0x206A))
    for code in range(*span)
} | {0xFEFF: None, 0x061C: None}


def plain(text: str) -> str:
    """Text without controls and direction marks, on one line."""
    return text.translate(_HARMFUL)


def named(lang: Lang, name: Name) -> str:
    """A name in one language, safe to stand among other text."""
    return plain(name.zh if lang == "zh" else name.en)


def words(lang: Lang) -> dict[str, str]:
    """All words of one language, for a template."""
    side = 0 if lang == "zh" else 1
    return {key: pair[side] for key, pair in WORDS.items()}


def why(lang: Lang, word: str) -> str:
    """A zone's reason in words; a reason we have no words for is shown as it is."""
    pair = WHY.get(word)
    return word.replace("_", " ") if pair is None else pair[0 if lang == "zh" else 1]


def age_s(at: datetime, as_of: datetime | None) -> int | None:
    """Whole seconds, rounded up so that a shown age is never younger than the true one."""
    if as_of is None:
        return None
    seconds = (at - as_of).total_seconds()
    return max(0, -int(-seconds // 1))


def age(lang: Lang, seconds: int | None) -> str:
    """An age as people say it: 12 秒前, 3 分钟前; the page's script says the same words."""
    if seconds is None:
        return WORDS["never"][0 if lang == "zh" else 1]
    zh = lang == "zh"
    if seconds < 60:
        return f"{seconds} 秒前" if zh else f"{seconds} s ago"
    if seconds < 3600:
        return f"{seconds // 60} 分钟前" if zh else f"{seconds // 60} min ago"
    if seconds < 48 * 3600:
        return f"{seconds // 3600} 小时前" if zh else f"{seconds // 3600} h ago"
    return f"{seconds // 86400} 天前" if zh else f"{seconds // 86400} days ago"


def minutes(seconds: float) -> int:
    """Travel minutes as people say them: at least one, rounded."""
    return max(1, round(seconds / 60))


def yuan(fen: int) -> str:
    """Integer fen as yuan without needless zeros: 1050 → 10.5."""
    whole, rest = divmod(fen, 100)
    return str(whole) if rest == 0 else f"{whole}.{rest:02d}".rstrip("0")


def stay(lang: Lang, stay_minutes: int) -> str:
    """A length of stay: "2 小时", "30 分钟"."""
    zh = lang == "zh"
    if stay_minutes % 60:
        return f"{stay_minutes} 分钟" if zh else f"{stay_minutes} min"
    return f"{stay_minutes // 60} 小时" if zh else f"{stay_minutes // 60} h"
