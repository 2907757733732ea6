"""The guidance benchmarks run, check what they measure, and say it as one JSON object."""

import json
import math
from itertools import pairwise

from click.testing import CliRunner

from service.bench.path import path
from service.bench.path_world import REST_S, schedule, street
from service.bench.query import query


def test_query_tells_ratios_to_a_hello_of_the_same_run(monkeypatch) -> None:
    monkeypatch.setattr("service.bench.query.REQUESTS", 200)
    monkeypatch.setattr("service.bench.query.CHECKED", 20)
    options = ["--lots", "200", "--seconds", "0.5", "--rounds", "1", "--json"]
    ran = CliRunner().invoke(query, options, catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout)
    assert told["bench"] == "query"
    assert {"rank_vs_hello", "frame_vs_hello"} <= set(told["ratios"])
    rows = {row["answer"]: row for row in told["rows"]}
    assert set(rows) == {"hello", "rank", "rank to a door", "frame"}
    assert rows["rank"]["body_bytes"] > 2000
    assert rows["frame"]["body_bytes"] > 400
    for row in rows.values():
        assert row["requests_per_s"] > 0
        assert row["server_cpu_us"] > 0


def test_path_tells_how_long_a_change_takes_to_a_sign() -> None:
    options = ["--signs", "12", "--per-s", "30", "--seconds", "2", "--json"]
    ran = CliRunner().invoke(path, options, catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout)
    assert told["ratios"]["sensor_to_sign_p99_ms"] > 0
    quiet, paced = told["rows"]
    assert quiet["count"] + paced["count"] == 60 * 3


def test_the_schedule_is_what_the_bar_speaks_of() -> None:
    catalog = street(60)
    pace_s, margin_s = 0.2, 0.1
    changes = schedule(catalog, 40.0, 10.0, pace_s, margin_s)
    showing = {lot: {s.id for s in catalog.signs.values() if lot in s.lots} for lot in catalog.lots}
    assert all(len(signs) == 3 for signs in showing.values())
    last_s: dict[str, float] = {}
    free = dict.fromkeys(catalog.lots, 50)
    spoke_s: dict[str, list[float]] = {sign: [-math.inf] for sign in catalog.signs}
    waits: set[str] = set()
    for change in changes:
        assert change.at_s - last_s.get(change.lot, -REST_S) >= REST_S
        assert (change.free == 0) != (free[change.lot] == 0), "every change changes the state"
        for sign in waits.copy():  # whose turn came meanwhile
            if spoke_s[sign][-1] + pace_s <= change.at_s:
                spoke_s[sign].append(spoke_s[sign][-1] + pace_s)
                waits.discard(sign)
        for sign in showing[change.lot]:
            since_s = change.at_s - spoke_s[sign][-1]
            assert (sign in change.quiet) == (sign not in waits and since_s >= pace_s + margin_s)
            if sign not in waits and since_s >= pace_s:
                spoke_s[sign].append(change.at_s)
            else:
                waits.add(sign)
        last_s[change.lot], free[change.lot] = change.at_s, change.free
    assert all(
        after - before >= pace_s - 1e-9
        for turns in spoke_s.values()
        for before, after in pairwise(turns)
    )
    assert any(change.quiet for change in changes)
    assert any(change.quiet != showing[change.lot] for change in changes)
