"""The vectors beside the codecs: what each has to take and to mean, and what it has to refuse.

One JSON file beside each module, `{"accepted": [...], "refused": [...]}`. A vector holds one
payload (`hex`, `text` or `json`, `times` times over) with what surrounded it on the wire (`port`,
`topic`, `format`, `content_type`), and what it stands for: `means`, or the refusal's `reason`.
`frame` holds the vendor's own words, as far as the codec reads them.
"""

from pathlib import Path
from typing import Any

import msgspec


class Vector(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    source: str = ""
    port: int | None = None
    topic: str = ""
    format: str = ""
    content_type: str = ""
    hex: str | None = None
    text: str | None = None
    json: Any = None
    times: int = 1
    means: Any = None
    frame: Any = None
    reason: str | None = None

    @property
    def payload(self) -> bytes:
        if self.hex is not None:
            once = bytes.fromhex(self.hex)
        elif self.text is not None:
            once = self.text.encode()
        else:
            once = msgspec.json.encode(self.json)
        return once * self.times


class Vectors(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    accepted: tuple[Vector, ...]
    refused: tuple[Vector, ...]


def load(path: Path) -> Vectors:
    """Read one vectors file. Errors: `msgspec.ValidationError` names the place."""
    return msgspec.json.decode(path.read_bytes(), type=Vectors)


def beside(folder: Path) -> dict[str, Vectors]:
    """Every vectors file of a folder of codecs, by the name of its module."""
    return {path.stem: load(path) for path in sorted(folder.glob("*.json"))}
