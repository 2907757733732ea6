"""A code carries a sign's id and a signature that nobody else can make, and can be read."""

import io

import pytest
import zxingcpp
from PIL import Image

from service.guidance import qr

KEY, OTHER = b"k" * 32, b"o" * 32


def test_our_token_is_genuine_and_no_other_is() -> None:
    token = qr.sign_token(KEY, "s-1")
    assert len(token) >= 10
    assert qr.check(KEY, "s-1", token)
    assert not qr.check(OTHER, "s-1", token)
    assert not qr.check(KEY, "s-2", token)
    flipped = ("B" if token[0] == "A" else "A") + token[1:]
    for forged in ("", "x", token[:-1], token + "A", flipped, "é" * 12, "\ud800"):
        assert not qr.check(KEY, "s-1", forged), forged


def test_tokens_stand_in_an_address_as_they_are() -> None:
    for at in range(200):
        token = qr.sign_token(KEY, f"sign-{at}")
        assert token.isascii()
        assert token.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize("sign", ["hz-shiyi-1", "a sign/with?odd&id", "屏一"])
def test_the_drawn_code_says_the_address(sign: str) -> None:
    url = qr.address("https://parking.example.cn", KEY, sign)
    assert url.startswith("https://parking.example.cn/s/")
    image = Image.open(io.BytesIO(qr.png(url)))
    read = zxingcpp.read_barcode(image)
    assert read is not None
    assert read.text == url
    assert read.ec_level in {"M", "Q", "H"}


def test_the_svg_is_one_small_picture_drawn_once() -> None:
    url = qr.address("https://parking.example.cn", KEY, "s-1")
    drawn = qr.svg(url)
    assert b"<svg" in drawn
    assert b"<path" in drawn
    assert len(drawn) < 12_000
    assert qr.svg(url) is drawn
