"""`bowei keys` shows what the service will believe, and the catalogue's guide is right."""

import os
import re
import shutil
import tomllib
from pathlib import Path

from click.testing import CliRunner

from service.catalog_file import load_catalog
from service.cli import main
from service.clock import Clock
from service.config import REPOSITORY_SITES
from service.credentials import derived_key
from service.lifecycle import InstanceLock
from service.running import Running, announce

SMALL = Path(__file__).parents[1] / "catalogs" / "small"
SIGNING = "k" * 40
LOT = """
[[lots]]
id = "north-garage"
name = { zh = "北库", en = "North garage" }
kind = "public"
position = { lat = 30.1, lng = 120.1 }
tariff = "plain"
zones = [{ id = "general", kind = "general", capacity = 80, fed_by = "absolute" }]
"""


def keys(folder, *arguments, **environment):
    (folder / "bowei.toml").write_text('sites = ["small"]\n', encoding="utf-8")
    arguments = ["keys", str(folder / "bowei.toml"), *arguments]
    return CliRunner().invoke(main, arguments, env=environment)


def with_pushes(folder):
    shutil.copytree(SMALL, folder / "small")
    (folder / "small" / "pushes.toml").write_text(
        '[[pushes]]\nlot = "hotel"\n[[pushes]]\nlot = "garden"\nkey_env = "BOWEI_GARDEN"\n',
        encoding="utf-8",
    )


def test_keys_are_those_that_the_service_derives(tmp_path):
    with_pushes(tmp_path)
    result = keys(tmp_path, BOWEI_SIGNING_KEY=SIGNING, BOWEI_GARDEN="its own")
    assert result.exit_code == 0, result.output
    rows = [line.split(maxsplit=3) for line in result.output.splitlines()]
    assert ["push", "hotel", "http://127.0.0.1:8080/api/v1/feeds/hotel",
            derived_key(SIGNING.encode(), "feed", "hotel")] in rows  # fmt: skip
    assert ["push", "garden", "http://127.0.0.1:8080/api/v1/feeds/garden", "its own"] in rows
    assert ["camera", "cy-cam-out", "http://127.0.0.1:8080/cameras/cy-cam-out/vzenith",
            derived_key(SIGNING.encode(), "camera", "cy-cam-out")] in rows  # fmt: skip
    assert not any("cy-cam-in" in row for row in rows)  # it speaks MQTT


def test_one_lot(tmp_path):
    with_pushes(tmp_path)
    result = keys(tmp_path, "--lot", "hotel", BOWEI_SIGNING_KEY=SIGNING)
    assert [line.split()[:2] for line in result.output.splitlines()] == [["push", "hotel"]]


def test_a_lot_that_is_not_there_or_has_nothing_is_said(tmp_path):
    with_pushes(tmp_path)
    result = keys(tmp_path, "--lot", "hotle", BOWEI_SIGNING_KEY=SIGNING)
    assert (result.exit_code, result.output) == (1, "Error: no lot 'hotle'\n")
    result = keys(tmp_path, "--lot", "square", BOWEI_SIGNING_KEY=SIGNING)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no camera here speaks HTTP" in result.output


def test_a_run_is_spoken_to_where_it_answers(tmp_path, monkeypatch):
    """From any folder, wherever the run itself was started and its site was named from."""
    state = tmp_path / "state"
    monkeypatch.chdir(SMALL.parent)
    with InstanceLock(state):
        (state / "signing.key").write_text(SIGNING)
        run = Running(
            pid=os.getpid(), http_url="http://127.0.0.1:18085", mqtt_url="", redis_url="",
            sql_url="", own_broker=True, clock=Clock(), sites=(SMALL.name,), seed=1,
        )  # fmt: skip
        announce(state, run)
        monkeypatch.chdir(tmp_path)
        result = CliRunner().invoke(main, ["keys", "--state", str(state)])
    assert "http://127.0.0.1:18085/cameras/cy-cam-out/vzenith" in result.output


def test_no_key_is_made_in_passing(tmp_path):
    with_pushes(tmp_path)
    result = keys(tmp_path, "--state", str(tmp_path / "state"))
    assert result.exit_code == 1
    assert "BOWEI_SIGNING_KEY" in result.output
    assert not (tmp_path / "state").exists()


def test_the_guide_shows_a_feed_that_loads(tmp_path):
    """The example of deploy/sites/README.md, beside a lot that it names."""
    guide = (REPOSITORY_SITES / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    assert tomllib.loads(example)
    shutil.copytree(SMALL.parent / "each", tmp_path / "small")
    (tmp_path / "small" / "feeds.toml").write_text(example, encoding="utf-8")
    (tmp_path / "small" / "garage.toml").write_text(LOT, encoding="utf-8")
    catalog = load_catalog([tmp_path / "small"])
    assert catalog.feeds["city-list"].zones == {"P17": ("north-garage", "general")}
    assert catalog.sensors["feed:city-list:north-garage:general"].model == "feed"
    assert not catalog.lots["north-garage"].simulated
