"""Pure: what the operations page calls things; its script takes the whole vocabulary."""

from typing import Final

from service.web import words
from service.web.words import Lang

TITLES: Final[dict[str, tuple[str, str]]] = {
    "parts": ("各部件", "Parts"),
    "ops_lost": (
        "读不到服务，下面停在最后一次收到的时候。",
        "The service does not answer; below is what arrived last.",
    ),
    "ops_no_script": ("这个页面需要脚本；原始数据在", "This page needs a script; the data is at"),
    "all": ("全部", "All"),
    "quality": ("数据状态", "Quality"),
    "find": ("搜索车场、屏、设备…", "Find a lot, sign, device…"),
    "lots_title": ("车场", "Lots"),
    "signs_title": ("诱导屏", "Signs"),
    "unknown_title": ("未知设备", "Unknown devices"),
    "known_title": ("设备", "Devices"),
    "sessions_title": ("停车记录", "Sessions"),
    "refused_title": ("拒收", "Refused"),
}

COLUMNS: Final[dict[str, tuple[str, str]]] = {
    "lot": ("车场", "Lot"),
    "occupancy": ("占用", "Occupied"),
    "free": ("空位", "Free"),
    "capacity": ("总数", "Capacity"),
    "coming": ("在途", "Coming"),
    "quality": ("数据", "Data"),
    "age": ("多久前", "Age"),
    "sign": ("诱导屏", "Sign"),
    "shows": ("正在显示", "Shows"),
    "lease": ("有效期", "Lease"),
    "panel": ("屏体", "Panel"),
    "device": ("设备", "Device"),
    "where": ("位置", "Where"),
    "state": ("状态", "State"),
    "heard": ("最近", "Heard"),
    "first": ("首次", "First"),
    "last": ("最近", "Last"),
    "count": ("次数", "Count"),
    "reason": ("原因", "Reason"),
    "topic": ("主题", "Topic"),
    "plate": ("车牌", "Plate"),
    "entered": ("进场", "In"),
    "left": ("离场", "Out"),
    "amount": ("金额", "Amount"),
    "edge": ("入口", "Edge"),
}

SAYINGS: Final[dict[str, tuple[str, str]]] = {
    # qualities and openness
    "fresh": ("实时", "Live"),
    "stale": ("偏旧", "Stale"),
    "unverified": ("待核实", "Unverified"),
    "unknown": ("未知", "Unknown"),
    "closed": ("关闭", "Closed"),
    "received": ("按收到时间", "by time of receipt"),
    # kinds of zone
    "general": ("普通", "General"),
    "ev": ("充电", "EV charging"),
    "accessible": ("无障碍", "Accessible"),
    "reserved": ("专用", "Reserved"),
    "shared": ("共享", "Shared"),
    # how a zone is fed
    "bays": ("车位探测", "bays"),
    "counter": ("进出计数", "counter"),
    "absolute": ("总数上报", "absolute"),
    "plates": ("车牌", "plates"),
    # what became of a frame
    "none": ("没有画面", "No frame"),
    "sent": ("已发出", "Sent"),
    "accepted": ("已送达", "Delivered"),
    "shown": ("已显示", "Shown"),
    "failed": ("未显示", "Not shown"),
    "silent": ("无声", "Silent"),
    "broker": ("没有送达", "not delivered"),
    "broker_away": ("连不上消息服务器", "broker away"),
    # devices
    "offline": ("离线", "Offline"),
    "healthy": ("正常", "Fine"),
    "never_heard": ("从未收到", "Never heard"),
    "missing": ("缺消息", "Messages missing"),
    "battery_low": ("电量低", "Battery low"),
    "troubled": ("有异常", "in trouble"),
    "fault": ("故障", "Fault"),
    "unknown_device": ("目录里没有这个设备", "not in the catalogue"),
    "unknown_place": ("目录里没有这个位置", "no such place in the catalogue"),
    "other_place": ("目录里它属于别处", "the catalogue has it elsewhere"),
    "add": ("目录里加上：", "Add to the catalogue: "),
    # sessions
    "entered": ("在场", "Inside"),
    "turned_back": ("折返", "Turned back"),
    "missing_exit": ("缺出场", "Missing exit"),
    "held": ("出口待付", "Paying at gate"),
    "prepaid": ("已预付", "Prepaid"),
    "exited": ("已离场", "Left"),
    "priced": ("已计价", "Priced"),
    "free": ("免费", "Free"),
    "owed": ("待扣款", "Owed"),
    "charging": ("扣款中", "Charging"),
    "retry": ("重试中", "Retrying"),
    "paid": ("已付", "Paid"),
    "arrears": ("欠费", "Arrears"),
    "recovered": ("已追缴", "Recovered"),
    "written_off": ("已核销", "Written off"),
    # tiles
    "tile_free": ("空位", "Free spaces"),
    "tile_lots": ("车场数据", "Lot data"),
    "tile_signs": ("诱导屏已显示", "Signs shown"),
    "tile_devices": ("设备", "Devices"),
    "tile_inside": ("场内车辆", "Cars inside"),
    "tile_open": ("未收账单", "Bills open"),
    "tile_refused": ("拒收 / 分钟", "Refused / min"),
    "of": ("共", "of"),
    "listed_unknown": ("未知", "unknown"),
    "in_arrears": ("欠费", "in arrears"),
    "since_start": ("启动以来", "since start"),
    "times": ("倍速", "× speed"),
    "nothing": ("没有", "none"),
    "away": ("暂时读不到", "cannot be read right now"),
    "public_not": ("不对外", "not public"),
    "ready": ("正常", "ready"),
    "not_ready": ("异常", "not ready"),
}


def titles(lang: Lang) -> dict[str, str]:
    """Words for the page's template."""
    return _side(TITLES, lang)


def vocabulary(lang: Lang) -> dict[str, dict[str, str]]:
    """Words for the page's script: columns, sayings, and why a number is not trusted."""
    return {
        "columns": _side(COLUMNS, lang),
        "say": _side(SAYINGS, lang),
        "why": _side(words.WHY, lang),
    }


def _side(pairs: dict[str, tuple[str, str]], lang: Lang) -> dict[str, str]:
    return {key: pair[0 if lang == "zh" else 1] for key, pair in pairs.items()}
