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
    "oversize": ("消息太大，被断开", "sent a message too large, and was cut off"),
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
    "tile_free": ("空位（开放中）", "Free, open now"),
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


# Where something was refused, and why; `bad_<field>` is told with its field.
EDGES: Final[dict[str, tuple[str, str]]] = {
    "mqtt": ("设备消息", "device messages"),
    "shown": ("屏体回报", "panels' answers"),
    "frame": ("屏幕画面", "sign frames"),
    "http": ("网络请求", "HTTP"),
    "ops": ("值班台", "operations page"),
    "go": ("导航链接", "navigation links"),
    "pay": ("账单页", "bill pages"),
    "push": ("数据推送", "pushed counts"),
    "feed": ("数据源", "feeds"),
    "camera": ("摄像机", "cameras"),
    "webhook": ("支付通知", "payment notices"),
    "provider": ("支付方", "payment provider"),
    "gate": ("道闸", "gates"),
    "roads": ("路网服务", "road service"),
    "arrivals": ("在途车辆", "cars on the way"),
}

REFUSALS: Final[dict[str, tuple[str, str]]] = {
    "bad": ("字段不对：", "wrong field: "),
    "missing": ("缺少字段", "a field is missing"),
    "no_count": ("没有车辆数", "no count"),
    "no_payload": ("没有数据", "no payload"),
    "no_records": ("没有记录", "no records"),
    "half_counter": ("进出计数缺一半", "half a counter"),
    "not_json": ("不是 JSON", "not JSON"),
    "not_object": ("不是 JSON 对象", "not a JSON object"),
    "not_utf8": ("不是 UTF-8", "not UTF-8"),
    "not_text": ("不是文本", "not text"),
    "not_xml": ("不是 XML", "not XML"),
    "not_csv": ("不是 CSV", "not CSV"),
    "too_deep": ("嵌套太深", "nested too deep"),
    "oversize": ("太大", "too large"),
    "too_large": ("太大", "too large"),
    "too_many": ("太多", "too many"),
    "too_old": ("太旧", "too old"),
    "outside_window": ("时间不在窗口内", "outside the time window"),
    "replayed": ("重放", "replayed"),
    "unsigned": ("没有签名", "unsigned"),
    "forged": ("伪造", "forged"),
    "other_device": ("不是这个设备", "another device"),
    "other_vendor": ("不是这个厂家", "another vendor"),
    "other_sign": ("不是这块屏", "another sign"),
    "unknown_sign": ("没有这块屏", "no such sign"),
    "unknown_lot": ("没有这个车场", "no such lot"),
    "unknown_zone": ("没有这个分区", "no such zone"),
    "unknown_camera": ("没有这台摄像机", "no such camera"),
    "unknown_bill": ("没有这张账单", "no such bill"),
    "unknown_order": ("没有这笔订单", "no such order"),
    "unknown_provider": ("没有这个支付方", "no such provider"),
    "visit_over": ("扫码已过时", "the scan is too old"),
    "not_counted": ("没有计上", "not counted"),
    "not_local": ("不是本机", "not from this machine"),
    "unreadable": ("无法识别的请求", "not a request"),
    "bad_body": ("正文解不开", "a body that cannot be unpacked"),
    "body_cut_off": ("正文中断", "a body that was cut off"),
    "idle": ("连接闲置", "idle connection"),
    "away": ("暂时不可用", "away for now"),
    "redis_away": ("Redis 不在", "Redis was away"),
    "no_answer": ("没有应答", "no answer"),
    "amount": ("金额不符", "another amount"),
    "merchant": ("商户不符", "another merchant"),
    "form": ("格式不对", "malformed"),
    "frame": ("报文不对", "malformed frame"),
    "length": ("长度不对", "wrong length"),
    "message": ("消息类型不对", "another kind of message"),
    "multipart": ("分段格式不对", "malformed multipart"),
    "port": ("端口不对", "another port"),
    "record": ("记录不对", "malformed record"),
    "topic": ("主题不对", "another topic"),
    "source_unsure": ("来源自称不准", "its source is not sure"),
    "unknown_status": ("状态不明", "unknown status"),
    "unseparated_bit": ("含义不明的位", "a bit nobody has named"),
    "xml_dtd": ("XML 带 DTD", "XML with a DTD"),
}

PARTS: Final[dict[str, tuple[str, str]]] = {
    "mirror": ("实时数据", "mirror"),
    "sql": ("数据库", "SQL"),
    "ingest": ("数据写入", "ingest"),
    "mqtt counts": ("传感器消息", "MQTT counts"),
    "mqtt gates": ("道闸消息", "MQTT gates"),
    "mqtt signs": ("诱导屏消息", "MQTT signs"),
    "no connection to the broker": ("连不上消息服务器", "no connection to the broker"),
    "another client uses our client id": (
        "另一个客户端占用了我们的标识",
        "another client uses our client id",
    ),
    "messages do not reach Redis: the broker keeps them": (
        "消息写不进 Redis，由消息服务器保管",
        "messages do not reach Redis: the broker keeps them",
    ),
    "Redis has not been heard yet": ("还没有连上 Redis", "Redis has not been heard yet"),
    "Redis is away: numbers are shown with their true age": (
        "Redis 不在，数字按真实时间显示",
        "Redis is away: numbers are shown with their true age",
    ),
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
        "edges": _side(EDGES, lang),
        "refusals": _side(REFUSALS, lang),
        "parts": _side(PARTS, lang),
    }


def _side(pairs: dict[str, tuple[str, str]], lang: Lang) -> dict[str, str]:
    return {key: pair[0 if lang == "zh" else 1] for key, pair in pairs.items()}
