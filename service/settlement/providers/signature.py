r"""Signed messages between a merchant and a provider: RSA-SHA256 over exact bytes.

A request signs `METHOD\nURL\nTIMESTAMP\nNONCE\nBODY\n`, the URL as sent (percent-encoded); a
response or notification signs `TIMESTAMP\nNONCE\nBODY\n` over its raw bytes. A timestamp more
than five minutes off is refused, whatever its signature says.

Source: WeChat Pay v3, signature rules (PKCS#1 v1.5).
"""

import os
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from devices.reading import Refused

WINDOW_S: Final = 300
_PREFIX: Final = "Bowei-"
TIMESTAMP, NONCE, SIGNATURE = (f"{_PREFIX}{name}" for name in ("Timestamp", "Nonce", "Signature"))


def signed(
    key: rsa.RSAPrivateKey, now: datetime, body: bytes, request: tuple[str, str] | None = None
) -> dict[str, str]:
    """The headers that sign `body`; `request` is (method, URL as sent)."""
    timestamp, nonce = str(int(now.timestamp())), os.urandom(16).hex()
    message = _message(timestamp, nonce, body, request)
    signature = key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    return {TIMESTAMP: timestamp, NONCE: nonce, SIGNATURE: b64encode(signature).decode()}


def verify(
    key: rsa.RSAPublicKey,
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
    request: tuple[str, str] | None = None,
) -> None:
    """Errors: `Refused` with `unsigned`, `too_old` or `forged`."""
    try:
        timestamp, nonce = headers[TIMESTAMP], headers[NONCE]
        signature = b64decode(headers[SIGNATURE], validate=True)
        age_s = abs(now.timestamp() - int(timestamp))
    except (KeyError, ValueError):
        raise Refused("unsigned", "timestamp, nonce and signature") from None
    if age_s > WINDOW_S:
        raise Refused("too_old", f"a timestamp within {WINDOW_S} s")
    try:
        message = _message(timestamp, nonce, body, request)
        key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        raise Refused("forged", "a signature over these bytes") from None


def kept_key(path: Path) -> rsa.RSAPrivateKey:
    """The private key at `path`, made at first use and readable by us only. Blocking."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        draft = path.with_suffix(f".{os.getpid()}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # whoever is first wins; a second process takes that key
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    loaded = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(loaded, rsa.RSAPrivateKey):
        raise TypeError(f"{path.name} is not an RSA key")
    return loaded


def _message(timestamp: str, nonce: str, body: bytes, request: tuple[str, str] | None) -> bytes:
    lines = [*(request or ()), timestamp, nonce]
    return "".join(f"{line}\n" for line in lines).encode() + body + b"\n"
