"""Pure: a visit is one car on one trip, as its phone scans signs; its id rides in every link.

    visit = <minutes since 1970, base 36>-<12 random characters>
    link  = /go/{lot}?app=…&from={sign}&v={visit}&t=<signature over lot, sign and visit>

The signature keeps a stranger from inventing cars on their way. A visit lasts one hour, over all
signs the phone scans; after that its links still lead to the map, and nothing is counted.
"""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from datetime import datetime

LASTS_MINUTES = 60
_SHAPE = re.compile(r"([0-9a-z]{5,7})-[0-9A-Za-z_-]{12}")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def _base36(number: int) -> str:
    text = ""
    while number:
        number, rest = divmod(number, 36)
        text = _DIGITS[rest] + text
    return text or "0"


def mint(at: datetime, randomness: bytes) -> str:
    """A new visit id from the time and 9 random bytes."""
    return f"{_base36(int(at.timestamp()) // 60)}-{urlsafe_b64encode(randomness[:9]).decode()}"


def running(visit: str, at: datetime) -> bool:
    """Whether this is a visit id by its shape, and not too old (or from the future)."""
    match = _SHAPE.fullmatch(visit)
    if match is None:
        return False
    age_minutes = int(at.timestamp()) // 60 - int(match.group(1), 36)
    return -1 <= age_minutes <= LASTS_MINUTES


def _sign(key: bytes, *parts: str) -> str:
    text = "\0".join(parts).encode(errors="replace")
    return urlsafe_b64encode(hmac.digest(key, text, hashlib.sha256)[:12]).decode()


def _same(ours: str, theirs: str) -> bool:
    return hmac.compare_digest(ours.encode(), theirs.encode(errors="replace"))


def link_token(key: bytes, lot: str, sign: str, visit: str) -> str:
    """16 characters that bind a navigation link to its lot, sign and visit."""
    return _sign(key, "go", lot, sign, visit)


def link_genuine(key: bytes, lot: str, sign: str, visit: str, token: str) -> bool:
    return _same(link_token(key, lot, sign, visit), token)


def cookie(key: bytes, visit: str) -> str:
    """What the phone keeps, so that a reload, or the next sign, stays the same visit."""
    return f"{visit}.{_sign(key, 'visit', visit)}"


def from_cookie(key: bytes, value: str, at: datetime) -> str | None:
    """The visit in a cookie of ours, while it runs."""
    visit, _, token = value.partition(".")
    return visit if _same(_sign(key, "visit", visit), token) and running(visit, at) else None
