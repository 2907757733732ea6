"""Our connections to Redis: commands packed in C, and no cancellation lost while one is sent.

redis-py sends through `asyncio.wait_for`, which before Python 3.12 may end normally although the
task was cancelled meanwhile: a process that is told to stop would then go on.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

import hiredis
import redis.asyncio as redis
import redis.exceptions as failures


class _Sending(redis.connection.AbstractConnection):
    def pack_command(self, *arguments: Any) -> list[bytes]:
        """A batch has thousands of arguments."""
        command, *rest = arguments
        return [hiredis.pack_command((*command.split(), *rest))]  # `SCRIPT LOAD` is two words

    async def send_packed_command(
        self, command: bytes | str | Iterable[bytes], check_health: bool = True
    ) -> None:
        """Errors: redis-py's TimeoutError and ConnectionError, the connection being closed then."""
        if not self.is_connected:
            await self.connect_check_health(check_health=False)
        if check_health:
            await self.check_health()  # type: ignore[no-untyped-call]
        if isinstance(command, str):
            command = command.encode()
        pieces = [command] if isinstance(command, bytes) else command
        try:
            async with asyncio.timeout(self.socket_timeout):
                await self._send_packed_command(pieces)
        except TimeoutError:
            await self.disconnect(nowait=True)
            raise failures.TimeoutError("Timeout writing to socket") from None
        except OSError as error:
            await self.disconnect(nowait=True)
            raise failures.ConnectionError(f"{error} while writing to socket") from error
        except BaseException:
            # Part of a command may be on its way: nothing else can follow it.
            await self.disconnect(nowait=True)
            raise


class Connection(_Sending, redis.Connection):
    """To `redis://`."""


class SecureConnection(_Sending, redis.SSLConnection):
    """To `rediss://`."""
