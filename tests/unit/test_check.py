"""`bowei check`: a listing and exit 1, or a summary and exit 0."""

import pytest
from click.testing import CliRunner

from service.cli import main
from service.config import REPOSITORY_SITES


def check(*arguments, **environment):
    return CliRunner().invoke(main, ["check", *map(str, arguments)], env=environment)


def test_what_is_right_gets_a_summary(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[redis]\nurl = "rediss://me@cache:7000/1"\n', encoding="utf-8")
    result = check(path, "--site", REPOSITORY_SITES / "hangzhou-east-station")
    assert result.exit_code == 0, result.output
    for words in ("rediss://cache:7000", "4,298", "hangzhou-east-station", "signs", "embedded"):
        assert words in result.output
    assert "me@" not in result.output


def test_the_defaults_are_right():
    result = check()
    assert result.exit_code == 0
    assert "sites         5" in result.output


def test_problems_of_configuration_and_catalogue_come_together(tmp_path):
    site = tmp_path / "town"
    site.mkdir()
    (site / "site.toml").write_text('[site]\ntimezone = "Mars/Olympus"\n', encoding="utf-8")
    path = tmp_path / "mine.toml"
    path.write_text('sites = ["town"]\n[http]\nport = "x"\n', encoding="utf-8")
    result = check(path, BOWEI_SIGNING_KEY="too short")
    assert result.exit_code == 1
    for key in ("http.port", "site.name", "site.city", "site.timezone", "BOWEI_SIGNING_KEY"):
        assert key in result.output
    assert "5 problems in 3 files" in result.output
    assert "too short" not in result.output


@pytest.mark.parametrize("missing", [["nowhere.toml"], ["--site", "nowhere"]])
def test_what_is_not_there_is_said(missing):
    result = check(*missing)
    assert result.exit_code == 1
    assert "nowhere" in result.output


def test_help_teaches_with_an_example():
    result = check("--help")
    assert result.exit_code == 0
    for words in ("public_url", "BOWEI_REDIS_PASSWORD", "--site", "bowei.example.toml"):
        assert words in result.output
