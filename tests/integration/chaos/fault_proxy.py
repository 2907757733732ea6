"""A TCP proxy that misbehaves on request: it cuts, delays, swallows, or refuses."""

import asyncio
import contextlib
from typing import Self


class FaultProxy:
    """Stands before a server on this machine; `url(…)` is the server's with our port.

    `cut()` ends every connection now. `drop_replies` ends that many connections just before a
    reply would pass. `hole` takes everything and gives nothing, `refuse` hangs up on newcomers,
    `delay_s` holds each reply back.
    """

    def __init__(self, port: int) -> None:
        self.target = port
        self.drop_replies = 0
        self.hole = False
        self.refuse = False
        self.delay_s = 0.0
        self.dropped = 0
        self._lines: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self.cut()
        await self._server.wait_closed()

    def url(self, server_url: str) -> str:
        return server_url.replace(f":{self.target}", f":{self.port}")

    async def cut(self) -> None:
        lines = set(self._lines)
        for line in lines:
            line.cancel()
        if lines:
            await asyncio.wait(lines)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = asyncio.current_task()
        assert line is not None
        self._lines.add(line)
        far: asyncio.StreamWriter | None = None
        try:
            if self.refuse:
                return
            back, far = await asyncio.open_connection("127.0.0.1", self.target)
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._carry(reader, far, replies=False))
                ways.create_task(self._carry(back, writer, replies=True))
        except* (OSError, EOFError):
            pass
        except* asyncio.CancelledError:  # cut; it must not surface as an error of the server
            pass
        finally:
            self._lines.discard(line)
            for one in (writer, far):
                if one is not None:
                    one.close()
                    with contextlib.suppress(OSError, asyncio.CancelledError):
                        await one.wait_closed()

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, replies: bool
    ) -> None:
        while piece := await reader.read(65536):
            while self.hole:
                await asyncio.sleep(0.02)
            if replies and self.drop_replies:
                self.drop_replies -= 1
                self.dropped += 1
                break
            if replies and self.delay_s:
                await asyncio.sleep(self.delay_s)
            writer.write(piece)
            await writer.drain()
        raise EOFError
