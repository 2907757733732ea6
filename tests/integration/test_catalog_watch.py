"""The catalogue edited under a running service: taken over whole, or not at all and said why."""

import json
import shutil
import urllib.request
from http.client import HTTPException

import pytest
from occupancy_scene import until
from processes import SMALL, Run

WITHIN_S = 90


@pytest.fixture
def site(tmp_path):
    return shutil.copytree(SMALL, tmp_path / "site")


def edit(file, old, new):
    text = file.read_text()
    assert old in text
    whole = file.parent.with_suffix(".part")  # nobody shall look at half of it
    whole.write_text(text.replace(old, new))
    whole.replace(file)


def name(run, lot):
    try:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{run.port}/api/v1/lots/{lot}", timeout=30
        ) as answer:
            return json.load(answer)["lot"]["name"]["en"]
    except (OSError, HTTPException):
        return None  # between the old catalogue and the new one


async def test_an_edited_catalogue_is_taken_over_and_a_broken_one_is_not(tmp_path, site):
    run = Run(tmp_path / "state", site=site)
    try:
        run.wait_until_ready()
        before, log = name(run, "market"), tmp_path / "state" / "bowei.log"
        assert before
        edit(site / "lots.toml", "capacity = 120", "capacity = -120")
        await until(lambda: "catalogue not reloaded" in log.read_text(), WITHIN_S)
        told = next(one for one in log.read_text().splitlines() if "not reloaded" in one)
        assert "capacity" in told
        assert "lots.toml" in told
        assert name(run, "market") == before
        edit(site / "lots.toml", "capacity = -120", "capacity = 120")
        edit(site / "lots.toml", f'en = "{before}"', 'en = "Night Market"')
        await until(lambda: name(run, "market") == "Night Market", WITHIN_S)
        await until(lambda: "catalogue: changed" in run.said(), WITHIN_S)
        assert run.end() == 0
    finally:
        run.destroy()
