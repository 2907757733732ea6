"""Keys of settlement, all derived from the service's one signing key."""

import hashlib
import hmac
import os
from base64 import urlsafe_b64encode
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES: Final = 12
_TOKEN_BYTES: Final = 20  # 160 bits


class Keyring:
    """Hashes and seals plates, makes bill links. A new signing key makes older ones unreadable."""

    def __init__(self, signing_key: bytes) -> None:
        self.plates: Final = _derived(signing_key, "plate hash")
        self._seal: Final = AESGCM(_derived(signing_key, "plate seal"))
        self._links: Final = _derived(signing_key, "bill link")

    def seal(self, text: str) -> bytes:
        """A plate at rest that only this service can read back."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._seal.encrypt(nonce, text.encode(), None)

    def unseal(self, sealed: bytes | None) -> str | None:
        """The plate, or None where it was purged or sealed under another key."""
        if sealed is None:
            return None
        try:
            plain = self._seal.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None)
        except InvalidTag:
            return None
        return plain.decode()

    def bill_token(self, nonce: bytes) -> str:
        """The unguessable word in a bill's link: as good as random without the key."""
        digest = hmac.new(self._links, nonce, hashlib.sha256).digest()
        return urlsafe_b64encode(digest[:_TOKEN_BYTES]).decode().rstrip("=")


def token_hash(token: str) -> str:
    """What is kept of a link."""
    return hashlib.sha256(token.encode()).hexdigest()


def _derived(key: bytes, purpose: str) -> bytes:
    return hmac.new(key, f"settlement {purpose}".encode(), hashlib.sha256).digest()
