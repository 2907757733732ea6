"""One polite GET: conditional, bounded in time and size, and never to another host than was named.

FetchFailed(reason, retry_after_s)   timeout | refused | status | redirect | too_large | broken
"""

import ipaddress
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult

AGENT: Final = "bowei (parking guidance; polite feed reader)"
MOST_REDIRECTS: Final = 3
CHUNK_BYTES: Final = 64 * 1024
LONGEST_WAIT_S: Final = 3600.0
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class FetchFailed(Exception):  # noqa: N818 - it says what came of a fetch
    """Nothing was fetched. `retry_after_s`: how long the server asked us to stay away."""

    def __init__(self, reason: str, detail: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.retry_after_s = retry_after_s


class Fetched(msgspec.Struct, frozen=True):
    """`body` None: not changed since the validators we sent."""

    body: bytes | None
    validators: dict[str, str]


def open_session(timeout_s: float) -> aiohttp.ClientSession:
    """A session without cookies and without proxies of the environment."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=timeout_s),
        connector=aiohttp.TCPConnector(resolver=PublicResolver(), limit_per_host=2),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": AGENT},
    )


async def fetch(
    session: aiohttp.ClientSession, url: str, validators: Mapping[str, str], max_bytes: int
) -> Fetched:
    """GET `url`; `validators` are those of the last answer. Errors: FetchFailed."""
    try:
        for _ in range(MOST_REDIRECTS + 1):
            async with session.get(url, headers=validators, allow_redirects=False) as answer:
                if answer.status in REDIRECTS:
                    url = redirected(url, answer.headers.get("Location", ""))
                    continue
                return await _taken(answer, max_bytes)
    except TimeoutError:
        raise FetchFailed("timeout") from None
    except aiohttp.ClientConnectorError:
        raise FetchFailed("refused", "no connection") from None
    except (aiohttp.ClientError, ValueError) as error:
        raise FetchFailed("broken", type(error).__name__) from None
    raise FetchFailed("redirect", f"more than {MOST_REDIRECTS}")


async def _taken(answer: aiohttp.ClientResponse, max_bytes: int) -> Fetched:
    validators = {
        name: answer.headers[header]
        for name, header in (("If-None-Match", "ETag"), ("If-Modified-Since", "Last-Modified"))
        if header in answer.headers
    }
    if answer.status == 304:
        return Fetched(None, validators)
    if answer.status != 200:
        retry_after_s = _seconds(answer.headers.get("Retry-After"))
        raise FetchFailed("status", str(answer.status), retry_after_s)
    body = bytearray()
    async for chunk in answer.content.iter_chunked(CHUNK_BYTES):  # unpacked: a bomb stops here
        body += chunk
        if len(body) > max_bytes:
            raise FetchFailed("too_large", f"more than {max_bytes} bytes")
    return Fetched(bytes(body), validators)


def redirected(url: str, location: str) -> str:
    """Where a redirect may lead: the same host and port, or from http to https of that host."""
    here, there = urlsplit(url), urlsplit(urljoin(url, location))
    same = (there.scheme, there.hostname, _port(there)) == (here.scheme, here.hostname, _port(here))
    safer = (
        (here.scheme, there.scheme) == ("http", "https")
        and here.hostname == there.hostname
        and (_port(here), _port(there)) == (80, 443)
    )
    if not location or not (same or safer) or there.username:
        raise FetchFailed("redirect", "to another place than the catalogue names")
    return there.geturl()


def _port(parts: Any) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _seconds(text: str | None) -> float | None:
    """Retry-After in seconds; its date form is left to our own pace."""
    if text is None or not text.isdecimal():
        return None
    return min(float(text), LONGEST_WAIT_S)


class PublicResolver(AbstractResolver):
    """Names resolve to places where servers are: never link-local (cloud metadata), multicast."""

    def __init__(self) -> None:
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        usable = [one for one in found if _is_server(one["host"])]
        if not usable:
            raise OSError(None, "an address of no server")
        return usable

    async def close(self) -> None:
        await self._inner.close()


def _is_server(address: str) -> bool:
    at = ipaddress.ip_address(address.partition("%")[0])
    return not (at.is_link_local or at.is_multicast or at.is_unspecified)
