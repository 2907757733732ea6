"""What every answer bears, whoever asked for what."""

from typing import Final

from aiohttp import hdrs
from multidict import istr

EVERY: Final = ((hdrs.SERVER, "bowei"), (istr("X-Content-Type-Options"), "nosniff"))
