"""The code beside a sign: an id and a short signature, never a count, drawn once."""

import hashlib
import hmac
import io
from base64 import urlsafe_b64encode
from functools import lru_cache
from typing import Final
from urllib.parse import quote

import qrcode
from qrcode.constants import ERROR_CORRECT_M
from qrcode.image.pil import PilImage
from qrcode.image.svg import SvgPathFillImage

SIGNATURE_BYTES: Final = 9  # 72 bits, 12 characters
QUIET_MODULES: Final = 4


def sign_token(key: bytes, sign: str) -> str:
    """The signature of a sign's id: 12 characters that stand in an address as they are."""
    whole = hmac.digest(key, b"sign\0" + sign.encode(errors="replace"), hashlib.sha256)
    return urlsafe_b64encode(whole[:SIGNATURE_BYTES]).decode()


def check(key: bytes, sign: str, token: str) -> bool:
    """Whether `token` is ours, in the same time whichever character is wrong."""
    return hmac.compare_digest(sign_token(key, sign).encode(), token.encode(errors="surrogatepass"))


def address(public_url: str, key: bytes, sign: str) -> str:
    """What the code says."""
    return f"{public_url}/s/{quote(sign, safe='')}?t={sign_token(key, sign)}"


@lru_cache(maxsize=1024)
def svg(url: str) -> bytes:
    """The code as one SVG path on white."""
    return _drawn(url, SvgPathFillImage, box_size=10)


@lru_cache(maxsize=256)
def png(url: str, module_px: int = 10) -> bytes:
    """The code as a PNG, `module_px` pixels a module."""
    return _drawn(url, PilImage, box_size=module_px)


def _drawn(url: str, factory: type, box_size: int) -> bytes:
    # Level M: a street corner's dirt costs a code up to 15 % of itself before it is unreadable,
    # and stays coarse enough to be read from a car's window.
    code = qrcode.QRCode(
        error_correction=ERROR_CORRECT_M,
        border=QUIET_MODULES,
        box_size=box_size,
        image_factory=factory,
    )
    code.add_data(url)
    code.make(fit=True)
    drawn = io.BytesIO()
    code.make_image().save(drawn)
    return drawn.getvalue()
