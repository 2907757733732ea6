"""Hikvision plate cameras (ISAPI event push): XML, bare or as `anpr.xml` in multipart/form-data.

`EventNotificationAlert` comes in either of two namespaces, prefixed by a recorder, or in none; only
local names are looked at. The push is sent once and is answered with an empty 200: no reply of
this protocol opens a gate. `isDataRetransmission` marks what was kept through an outage.

    licensePlate       `unknown`: a vehicle passed and was not read
    plateCharBelieve   confidence of each character, in percent
    direction          forward or reverse as the camera sees it; the lane's own direction counts
    event id           from UUID, dateTime, channel, line and the vehicle's index

Source: ISAPI, EventNotificationAlert with ANPR; two production fixtures (plates replaced).
"""

import hashlib
import re
from datetime import UTC, datetime
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from devices.reading import GateEvent, Heartbeat, Passage, PlateColor, Refused, Reply
from devices.wire import name_text, oversize, plate_text

LIMIT_BYTES = 16 * 1024 * 1024
XML_LIMIT_BYTES = 65_536
PARTS = 16

NO_PLATE = frozenset({"unknown", "noplate", "no plate", "无车牌", "车牌", ""})
HEADINGS = frozenset({"forward", "reverse"})
COLORS = {
    "blue": PlateColor.BLUE,
    "yellow": PlateColor.YELLOW,
    "white": PlateColor.WHITE,
    "black": PlateColor.BLACK,
    "green": PlateColor.GREEN,
    "newenergygreen": PlateColor.GREEN,
    "newenergyyellowgreen": PlateColor.YELLOW_GREEN,
}
VEHICLES = {
    "suvmpv": "small",
    "vehicle": "small",
    "smallcar": "small",
    "minicar": "small",
    "van": "small",
    "largebus": "large",
    "truck": "large",
    "coach": "large",
    "twowheelvehicle": "motorcycle",
}

_BOUNDARY = re.compile(r'boundary="?([^";,\s]{1,70})"?', re.IGNORECASE)
_XML_PART = re.compile(rb"\.xml\b|content-type:\s*(?:application|text)/xml", re.IGNORECASE)


def decode(body: bytes, content_type: str) -> GateEvent:
    """What the camera says. Errors: `Refused`; a DTD, entity or reference is `xml_dtd`."""
    if len(body) > LIMIT_BYTES:
        raise oversize(LIMIT_BYTES)
    said = _parsed(_xml_of(body, content_type))
    if _local(said) != "EventNotificationAlert":
        raise Refused("message", "`EventNotificationAlert`")
    kind = _text(said, "eventType").casefold()
    if kind == "heartbeat" or (kind == "videoloss" and _text(said, "eventState") == "inactive"):
        return Heartbeat(_device(said))
    anpr = _child(said, "ANPR")
    if kind != "anpr" or anpr is None:
        raise Refused("message", "an event of type ANPR")
    return _passage(said, anpr)


def reply(opened: bool, about: GateEvent | None = None) -> Reply:  # noqa: ARG001
    """An empty 200 for everything: the barrier has a call of its own, no reply opens it."""
    return Reply(b"", "text/plain")


def _passage(said: Element, anpr: Element) -> Passage:
    plate = _text(anpr, "licensePlate") or _text(anpr, "originalLicensePlate")
    passed_at = _moment(_text(said, "dateTime"))
    buffered = _flag(said, "isDataRetransmission")
    if buffered and passed_at is None:
        raise Refused("missing", "`dateTime`: a passage sent late says when it was, with offset")
    heading = _text(anpr, "direction").casefold()
    read = plate_text(plate, NO_PLATE)
    return Passage(
        event_id=_event_id(said, anpr),
        plate=read,
        passed_at=passed_at,
        plate_color=COLORS.get(_text(anpr, "plateColor").casefold(), PlateColor.UNKNOWN),
        confidence=_share(_text(anpr, "confidenceLevel")),
        char_confidence=None if read is None else _shares(_text(anpr, "plateCharBelieve"), read),
        vehicle=VEHICLES.get(_text(anpr, "vehicleType").casefold(), "unknown"),
        buffered=buffered,
        heading=heading if heading in HEADINGS else None,
        device=_device(said),
    )


def _event_id(said: Element, anpr: Element) -> str:
    """The same on every re-send; empty where neither an id nor a time is given."""
    uuid, moment = _text(said, "UUID"), _text(said, "dateTime")
    if not (uuid or moment):
        return ""
    info = _child(anpr, "vehicleInfo")
    index = "" if info is None else _text(info, "index")
    parts = (uuid, moment, _text(said, "channelID"), _text(anpr, "line"), index)
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()


def _device(said: Element) -> str | None:
    text = _text(said, "deviceID") or _text(said, "macAddress")
    return name_text(text, "macAddress") if text else None


def _moment(text: str) -> datetime | None:
    """None without an offset: a local time alone could be hours off."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return None if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Refused("bad_dateTime", "`dateTime`: an ISO 8601 time") from None


def _flag(element: Element, name: str) -> bool:
    return _text(element, name).casefold() in {"true", "1"}


def _share(text: str) -> float | None:
    """Percent to 0..1; None where it is not a percentage."""
    if not (text.isascii() and text.isdigit() and len(text) <= 3):
        return None
    percent = int(text)
    return percent / 100 if percent <= 100 else None


def _shares(text: str, plate: str) -> tuple[float, ...] | None:
    """One a character, or None: a list of another length cannot be laid beside the plate."""
    shares = tuple(_share(part.strip()) for part in text.split(","))
    known = tuple(share for share in shares if share is not None)
    return known if len(known) == len(shares) == len(plate) else None


def _parsed(xml: bytes) -> Element:
    if len(xml) > XML_LIMIT_BYTES:
        raise oversize(XML_LIMIT_BYTES)
    try:
        root: Element = fromstring(xml, forbid_dtd=True)
    except DefusedXmlException:
        raise Refused("xml_dtd", "no DTD, entity or external reference") from None
    except (ParseError, ValueError, LookupError):  # the latter two: an encoding it cannot read
        raise Refused("not_xml", "well-formed XML") from None
    return root


def _local(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _child(element: Element, name: str) -> Element | None:
    return next((child for child in element if _local(child) == name), None)


def _text(element: Element, name: str) -> str:
    child = _child(element, name)
    return "" if child is None else (child.text or "").strip()


def _xml_of(body: bytes, content_type: str) -> bytes:
    """The XML itself, or the XML part of a form."""
    if not content_type.casefold().startswith("multipart/"):
        return body
    named = _BOUNDARY.search(content_type)
    if named is None:
        raise Refused("multipart", "a boundary")
    parts = body.split(b"--" + named[1].encode(), PARTS + 1)
    if len(parts) > PARTS + 1:
        raise Refused("multipart", f"at most {PARTS} parts")
    for part in parts[1:]:
        head, _, content = part.lstrip(b"\r\n").partition(b"\r\n\r\n")
        if content and _XML_PART.search(head):
            return content.strip()
    raise Refused("multipart", "a part with XML")
