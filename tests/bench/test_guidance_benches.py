"""The guidance benchmarks run, check what they measure, and say it as one JSON object."""

import json

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
    changes = schedule(catalog, 40.0, 10.0, 0.3)
    showing = {lot: {s.id for s in catalog.signs.values() if lot in s.lots} for lot in catalog.lots}
    assert all(len(signs) == 3 for signs in showing.values())
    touched_s: dict[str, float] = {}
    last_s: dict[str, float] = {}
    free = dict.fromkeys(catalog.lots, 50)
    for change in changes:
        assert change.at_s - last_s.get(change.lot, -REST_S) >= REST_S
        assert (change.free == 0) != (free[change.lot] == 0), "every change changes the state"
        for sign in showing[change.lot]:
            rested = change.at_s - touched_s.get(sign, -1.0) >= 0.3
            assert (sign in change.quiet) == rested
            touched_s[sign] = change.at_s
        last_s[change.lot], free[change.lot] = change.at_s, change.free
