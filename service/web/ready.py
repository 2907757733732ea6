"""Answers whose head was written beforehand, for what is asked thousands of times a second.

aiohttp makes every head anew from a table of headers; for a sign's frame that costs more than all
the rest. Only for HTTP/1.1 on a connection that is kept, which whoever makes one has to see to.
"""

from collections.abc import Iterable
from email.utils import formatdate
from time import time  # noqa: TID251 - HTTP's Date is wall time
from typing import Final

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest

UNREAD_MOST: Final = 65_536  # bytes that wait for a slow reader before we do


class Ready(web.StreamResponse):
    """`head` is the status line and the headers (`head_of`, and lines after it), without Date."""

    def __init__(self, status: int, head: bytes, body: bytes = b"") -> None:
        super().__init__(status=status)
        self._head = head
        self._content = body

    @property
    def keep_alive(self) -> bool:
        return True

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter:
        """Send all of it; errors: `ConnectionResetError` where the asker has hung up."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError
        transport.write(b"%b%b%b" % (self._head, _date(), self._content))
        if transport.get_write_buffer_size() > UNREAD_MOST:
            await request.writer.drain()
        return request.writer

    async def write_eof(self, data: bytes = b"") -> None:
        """All of it was sent already."""


def head_of(status_line: bytes, headers: Iterable[tuple[str, str]]) -> bytes:
    """The lines that are the same in every answer of a kind."""
    lines = (f"{name}: {value}\r\n" for name, value in headers)
    return b"HTTP/1.1 %b\r\n%b" % (status_line, "".join(lines).encode())


class _Date:
    """The last line of a head, made once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._line = b""

    def __call__(self) -> bytes:
        second = int(time())
        if second != self._second:
            self._second = second
            self._line = b"Date: %b\r\n\r\n" % formatdate(second, usegmt=True).encode()
        return self._line


_date: Final = _Date()
