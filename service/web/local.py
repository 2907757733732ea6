"""Who sits at this machine: pages without a login are for them alone."""

import ipaddress
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Final

from aiohttp import web

from service import metrics
from service.web.errors import api_error, error_page

_FORWARDED: Final = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")
_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})

_TITLE: Final = ("值班台只在本机打开", "Operations opens on its own machine only")
_MORE: Final = (
    "它还没有登录，只回答 127.0.0.1、localhost 或 [::1]；从别处查看，请用 SSH 转发端口。",
    "It has no login yet and answers loopback alone; from elsewhere, forward the port over SSH.",
)

View = Callable[[web.Request], Awaitable[web.StreamResponse]]


def from_this_machine(request: web.Request) -> bool:
    """A loopback peer that asked a loopback host, by no proxy.

    The Host header counts because a page elsewhere can make a browser here ask us under a name of
    its own (DNS rebinding); forwarding headers count because a proxy on this machine is a loopback
    peer for everybody.
    """
    peer = request.transport.get_extra_info("peername") if request.transport else None
    if not isinstance(peer, tuple) or not _loopback(str(peer[0])):
        return False
    if any(name in request.headers for name in _FORWARDED):
        return False
    hosts = request.headers.getall("Host", [])
    if len(hosts) != 1:
        return False
    host, colon, port = hosts[0].rpartition(":")
    if not colon or hosts[0].endswith("]"):
        host, port = hosts[0], "80"
    return host.lower() in _HOSTS and port.isascii() and port.isdigit()


def _loopback(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback


def local_only(view: View) -> View:
    """Refuse everybody else, with a page that says how to get in."""

    @wraps(view)
    async def guarded(request: web.Request) -> web.StreamResponse:
        if from_this_machine(request):
            return await view(request)
        metrics.refused("ops", "not_local")
        if request.path.endswith(".json"):
            return api_error(403, "not_local", *_TITLE)
        return error_page(request, 403, _TITLE, more=_MORE)

    return guarded
