"""`bowei bench query`: rankings and sign frames by HTTP, against a bare aiohttp hello.

The server is one process on one core, the load comes from another; rounds are interleaved, so that
a busy machine slows all of them alike. Every answer has a body and status 200, and a sample of the
rankings is held against looking at every lot.
"""

import random
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection

import click
import msgspec

from service.bench.process import cpu_s
from service.bench.query_load import Load, Loaded
from service.bench.query_reference import brute_force
from service.bench.query_server import MOMENT, Ports
from service.bench.query_world import StillMirror, city, random_point
from service.bench.report import Cell, Report, publish
from service.catalog import Catalog, Point
from service.guidance.model import Ranking, Request
from service.guidance.ranking import Weights

SIGNS = 200
REQUESTS = 6000
CHECKED = 150


class Round(msgspec.Struct):
    """One load of one kind: answers a second, and what they cost the server."""

    kind: str
    per_s: float
    cpu_us: float | None
    busy: float | None
    body_bytes: float


@click.command()
@click.option("--lots", default=5000, show_default=True, help="Lots around Hangzhou.")
@click.option("--seconds", default=0.5, show_default=True, help="Length of one round.")
@click.option("--rounds", default=7, show_default=True, help="Rounds of each kind.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def query(lots: int, seconds: float, rounds: int, as_json: bool) -> None:
    """Rankings and sign frames by HTTP, against a bare hello."""
    catalog = city(lots, SIGNS)
    loads = _loads(catalog)
    with _child("query_server", str(lots), str(SIGNS)) as server, _child("query_load") as loader:
        assert server.stdout is not None
        ports = msgspec.json.decode(server.stdout.readline(), type=Ports)
        checked = check(catalog, ports.api)

        def measured(kind: str, duration_s: float | None) -> Round:
            port = ports.hello if kind == "hello" else ports.api
            return _round(server.pid, loader, kind, Load(port, loads[kind], seconds=duration_s))

        for kind in loads:  # caches fill and code warms up unmeasured
            measured(kind, None if len(loads[kind]) > 1 else seconds)
        done = [measured(kind, seconds) for _ in range(rounds) for kind in loads]
    publish(_report(done, lots, checked), as_json=as_json)


@contextmanager
def _child(module: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of this package that ends when its standard input closes."""
    command = [sys.executable, "-m", f"service.bench.{module}", *arguments]
    with subprocess.Popen(  # noqa: S603 - ourselves
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            assert process.stdin is not None
            process.stdin.close()


def _request(path: str, *headers: str) -> str:
    return "\r\n".join((f"GET {path} HTTP/1.1", "Host: bench", *headers, "", ""))


def _path(origin: Point, destination: str | None = None) -> str:
    door = f"&destination={destination}" if destination else ""
    return f"/api/v1/guidance?lat={origin.lat}&lng={origin.lng}{door}"


def _loads(catalog: Catalog) -> dict[str, list[str]]:
    draw = random.Random(5)
    doors = sorted(catalog.destinations)
    return {
        "hello": [_request("/")],
        "rank": [_request(_path(random_point(draw))) for _ in range(REQUESTS)],
        "rank to a door": [
            _request(_path(random_point(draw), draw.choice(doors))) for _ in range(REQUESTS)
        ],
        "frame": [_request(f"/api/v1/signs/{sign}/frame") for sign in sorted(catalog.signs)],
    }


def _round(server: int, loader: subprocess.Popen[bytes], kind: str, load: Load) -> Round:
    assert loader.stdin is not None
    assert loader.stdout is not None
    before_s = cpu_s(server)
    loader.stdin.write(msgspec.json.encode(load) + b"\n")
    loader.stdin.flush()
    loaded = msgspec.json.decode(loader.stdout.readline(), type=Loaded)
    after_s = cpu_s(server)
    if loaded.refused or not loaded.answers:
        raise click.ClickException(f"{kind}: {loaded.refused} answers were not 200")
    used_s = None if before_s is None or after_s is None else after_s - before_s
    return Round(
        kind=kind,
        per_s=loaded.answers / loaded.seconds,
        cpu_us=None if used_s is None else used_s / loaded.answers * 1e6,
        busy=None if used_s is None else used_s / loaded.seconds,
        body_bytes=loaded.body_bytes / loaded.answers,
    )


def check(catalog: Catalog, port: int) -> int:
    """Hold answers against brute force; how many there were. Raises where one differs."""
    draw = random.Random(9)
    mirror, doors = StillMirror(catalog), sorted(catalog.destinations)
    connection = HTTPConnection("127.0.0.1", port)
    for at in range(CHECKED):
        origin = random_point(draw)
        door = draw.choice(doors) if at % 2 else None
        connection.request("GET", _path(origin, door))
        answer = connection.getresponse()
        ranking = msgspec.json.decode(answer.read(), type=Ranking)
        asked = Request(origin, catalog.destinations[door].position if door else None)
        expected = brute_force(
            catalog, mirror.states, lambda _: 0.0, asked, MOMENT.timestamp(), Weights()
        )
        got = [(one.lot, one.score_s, one.price_fen) for one in ranking.choices]
        if got != [(one.lot, float(int(one.score_s + 0.5)), one.price_fen) for one in expected]:
            raise click.ClickException(f"a ranking differs from brute force at {origin}")
    connection.close()
    return CHECKED


def _report(done: list[Round], lots: int, checked: int) -> Report:
    kinds = list(dict.fromkeys(one.kind for one in done))
    by_kind = {kind: [one for one in done if one.kind == kind] for kind in kinds}
    per_s = {kind: statistics.median(one.per_s for one in by_kind[kind]) for kind in kinds}
    vs_hello = {
        kind: statistics.median(
            one.per_s / hello.per_s
            for one, hello in zip(by_kind[kind], by_kind["hello"], strict=True)
        )
        for kind in kinds
    }
    rows: list[dict[str, Cell]] = [
        {
            "answer": kind,
            "requests_per_s": round(per_s[kind]),
            "vs_hello": vs_hello[kind],
            "server_cpu_us": _median([one.cpu_us for one in by_kind[kind]]),
            "server_busy": _median([one.busy for one in by_kind[kind]]),
            "body_bytes": round(by_kind[kind][0].body_bytes),
        }
        for kind in kinds
    ]
    return Report(
        bench="query",
        rows=rows,
        ratios={
            "rank_vs_hello": vs_hello["rank"],
            "rank_to_a_door_vs_hello": vs_hello["rank to a door"],
            "frame_vs_hello": vs_hello["frame"],
        },
        notes=[
            f"{lots} lots; {checked} rankings equal brute force over all lots",
            "hello is a bare aiohttp handler in the same process, on the same uvloop",
        ],
    )


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
