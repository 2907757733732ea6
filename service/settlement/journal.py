"""The gate's own log for when SQL is away: append-only, checked line by line, on this disk.

One file holds one outage: `journal-<name>.log`. Each line is the CRC-32 of its JSON, a space, the
JSON of one record, a newline. A line counts when it ends and its sum is right; what a crash tore
off at the end is cut before the next line is written. `end` and positions are byte offsets. SQL
remembers how far the file of a name has been replayed, in the transaction that replayed it.
"""

import os
import secrets
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import structlog

from service.settlement.model import Record

_log = structlog.get_logger()
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Record).decode
_SUM_BYTES = 9  # eight hex digits and a space


class Journal:
    """Blocking file work: call it off the loop, one call at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = ""
        self.end = 0
        self._file: int | None = None

    def open(self) -> bool:
        """Take up the file of an outage that a crash interrupted; returns whether there is one."""
        found = sorted(self.folder.glob("journal-*.log"))
        if not found:
            return False
        path = found[0]
        self.name = path.stem.removeprefix("journal-")
        self.end = _good_length(path)
        return True

    def append(self, records: Sequence[Record]) -> None:
        """Write and force to disk; when this returns, the records survive. Raises OSError."""
        file = self._opened()
        lines = b"".join(_line(record) for record in records)
        try:
            _write_all(file, lines, self.end)
            os.fdatasync(file)
        except OSError:
            # What reached the file must not be taken for a record later.
            os.close(file)
            self._file = None
            raise
        self.end += len(lines)

    def read(self, position: int, limit: int) -> tuple[list[Record], int]:
        """Up to `limit` records from `position` on, and the position after them."""
        records: list[Record] = []
        if self.name and position < self.end:
            for record, after in _lines(self._path(), position, self.end):
                position = after
                if record is not None:
                    records.append(record)
                if len(records) == limit:
                    break
        return records, position

    def remove(self) -> None:
        """Everything has been replayed: begin a new file with the next outage."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if self.name:
            self._path().unlink(missing_ok=True)
            self._sync_folder()
        self.name, self.end = "", 0

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def set_aside(self, record: Record) -> None:
        """Keep what SQL refuses for good, for a person to look at. Raises OSError."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder / "refused.log"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(file, _line(record))
            os.fdatasync(file)
        finally:
            os.close(file)

    def _path(self) -> Path:
        return self.folder / f"journal-{self.name}.log"

    def _opened(self) -> int:
        if self._file is None:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = not self.name
            if new:
                self.name = secrets.token_hex(8)
            self._file = os.open(self._path(), os.O_RDWR | os.O_CREAT, 0o600)
            os.ftruncate(self._file, self.end)
            if new:
                self._sync_folder()
        return self._file

    def _sync_folder(self) -> None:
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _line(record: Record) -> bytes:
    body = _encode(record)
    return b"%08x %b\n" % (zlib.crc32(body), body)


def _write_all(file: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, at)
        view, at = view[written:], at + written


def _lines(path: Path, position: int, end: int) -> Iterator[tuple[Record | None, int]]:
    """(record, position after it); None for a whole line that is damaged."""
    with path.open("rb") as file:
        file.seek(position)
        while position < end:
            line = file.readline()
            if not line.endswith(b"\n"):
                return
            position += len(line)
            yield _record(line, path, position), position


def _record(line: bytes, path: Path, position: int) -> Record | None:
    body = line[_SUM_BYTES:-1]
    try:
        if int(line[: _SUM_BYTES - 1], 16) == zlib.crc32(body):
            return _decode(body)
    except (ValueError, msgspec.MsgspecError):
        pass
    _log.error("journal line damaged", file=path.name, before=position)
    return None


def _good_length(path: Path) -> int:
    """Where the last whole and undamaged line ends."""
    good = 0
    for record, after in _lines(path, 0, path.stat().st_size):
        if record is not None:
            good = after
    return good
