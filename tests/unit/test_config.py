"""One TOML, every problem at once, secrets never in it."""

from pathlib import Path

import msgspec
import pytest

from service.config import Config, load_config, read_config, shipped_sites
from service.credentials import environment_problems, signing_key, with_password
from service.problems import ConfigProblems, listing

EXAMPLE = Path(__file__).parents[2] / "deploy" / "bowei.example.toml"


def written(folder: Path, text: str) -> Path:
    path = folder / "bowei.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problems_of(folder: Path, text: str) -> dict[str, tuple[str, str]]:
    _, problems = read_config(written(folder, text))
    return {one.key: (one.found, one.expected) for one in problems}


def test_an_empty_file_is_the_defaults_with_all_shipped_sites(tmp_path):
    config = load_config(written(tmp_path, ""))
    assert config == msgspec.structs.replace(Config(), sites=shipped_sites())
    assert load_config(None) == config
    assert config.payments.provider is None
    assert len(config.sites) >= 5


def test_the_example_loads_and_shows_the_defaults():
    assert load_config(EXAMPLE) == load_config(None)


def test_the_example_names_every_key():
    text = EXAMPLE.read_text(encoding="utf-8")
    for name, part in msgspec.structs.asdict(Config()).items():
        assert name in text
        if isinstance(part, msgspec.Struct):
            for field in msgspec.structs.fields(part):
                assert f"\n{field.name} = " in text or f"\n# {field.name} = " in text, field.name


def test_the_example_can_be_used_with_everything_switched_on(tmp_path):
    """What is commented out is right as well."""
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    keys = [line.removeprefix("# ") if " = " in line else line for line in lines]
    text = "\n".join(one for one in keys if not one.startswith(("sites", "#")))
    config = load_config(written(tmp_path, text))
    assert config.sql.url == "postgresql+asyncpg://bowei@10.0.0.7/bowei"
    assert config.payments.provider == "sandbox"


def test_every_problem_is_reported_at_once(tmp_path):
    found = problems_of(
        tmp_path,
        """
        sites = ["nowhere", 3]
        [http]
        port = "8080"
        public_url = "ftp://x"
        [redis]
        shards = 0
        [board]
        hold_s = "soon"
        hysterisis = 2
        [occupancy]
        stale_after = 20
        bays_known_share = 1.5
        [payments]
        provider = "paypal"
        [bord]
        pace_s = 1
        """,
    )
    assert found["http.port"] == ('"8080"', "a port from 0 to 65535 (0: any free one)")
    assert found["board.hold_s"] == ('"soon"', "a number of at least 0")
    assert found["board.hysterisis"] == ("a key that does not exist", "`hysteresis`?")
    assert found["bord"][1] == "`board`?"
    assert found["occupancy.unknown_after"][1] == "more than occupancy.stale_after (20)"
    assert found["sites[0]"][1] == "a folder with a site.toml in it"
    assert set(found) == {
        "sites[0]", "sites[1]", "http.port", "http.public_url", "redis.shards", "board.hold_s",
        "board.hysterisis", "occupancy.bays_known_share", "occupancy.unknown_after",
        "payments.provider", "bord",
    }  # fmt: skip


@pytest.mark.parametrize("number", ["nan", "inf", "-1.0", "true", '"3"'])
def test_a_duration_is_a_finite_number(tmp_path, number):
    assert "board.hold_s" in problems_of(tmp_path, f"[board]\nhold_s = {number}")


def test_secrets_are_refused_with_the_variable_to_use(tmp_path):
    found = problems_of(
        tmp_path,
        """
        signing_key = "hunter2hunter2"
        [redis]
        password = "hunter2"
        [sql]
        url = "postgresql://bowei:hunter2@db/bowei"
        [mqtt]
        url = "mqtts://me:hunter2@broker"
        """,
    )
    assert "BOWEI_SIGNING_KEY" in found["signing_key"][1]
    assert "BOWEI_REDIS_PASSWORD" in found["redis.password"][1]
    assert "BOWEI_SQL_PASSWORD" in found["sql.url"][1]
    assert "BOWEI_MQTT_PASSWORD" in found["mqtt.url"][1]
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    ("key", "url", "taken"),
    [
        ("redis", "redis://10.0.0.5:6379/0", "redis://10.0.0.5:6379/0"),
        ("redis", "rediss://cache", "rediss://cache"),
        ("redis", "http://cache", None),
        ("redis", "redis:///0", None),
        ("mqtt", "mqtts://broker:8883", "mqtts://broker:8883"),
        ("mqtt", "mqtt://broker:none", None),
        ("mqtt", "tcp://broker", None),
        ("sql", "postgresql://u@db/x", "postgresql+asyncpg://u@db/x"),
        ("sql", "postgres://u@db/x", "postgresql+asyncpg://u@db/x"),
        ("sql", "postgresql+asyncpg://u@db/x", "postgresql+asyncpg://u@db/x"),
        ("sql", "sqlite:////var/lib/b.db", "sqlite+aiosqlite:////var/lib/b.db"),
        ("sql", "sqlite://", None),
        ("sql", "mysql://db/x", None),
        ("sql", "postgresql://[::1/x", None),
    ],
)
def test_addresses_are_checked_and_brought_into_one_form(tmp_path, key, url, taken):
    path = written(tmp_path, f'[{key}]\nurl = "{url}"')
    config, problems = read_config(path)
    assert bool(problems) is (taken is None)
    if taken:
        assert getattr(config, key).url == taken


def test_a_public_url_loses_its_last_slash_and_takes_no_query(tmp_path):
    config = load_config(written(tmp_path, '[http]\npublic_url = "https://p.example.cn/"'))
    assert config.http.public_url == "https://p.example.cn"
    assert problems_of(tmp_path, '[http]\npublic_url = "https://p.example.cn/?a=1"')


def test_paths_are_taken_from_the_file_that_names_them(tmp_path):
    (tmp_path / "site").mkdir()
    config = load_config(written(tmp_path, 'sites = ["site"]\nstate_dir = "state"'))
    assert config.sites == (str(tmp_path / "site"),)
    assert config.state_dir == str(tmp_path / "state")


def test_what_is_not_toml_or_not_there_is_said_with_its_place(tmp_path):
    _, problems = read_config(written(tmp_path, "[http]\nport = \n"))
    assert problems[0].key.startswith("line 2")
    _, problems = read_config(tmp_path / "missing.toml")
    assert problems[0].found == "no such file or directory"
    assert read_config(written(tmp_path, "a = " + "[" * 100_000))[1][0].key == "-"
    path = tmp_path / "latin.toml"
    path.write_bytes(b'state_dir = "\xe9"')
    assert read_config(path)[1][0].expected == "UTF-8 text"


def test_the_error_lists_every_file_and_key(tmp_path):
    path = written(tmp_path, "[http]\nport = -1\n[bord]")
    with pytest.raises(ConfigProblems) as caught:
        load_config(path)
    assert str(caught.value) == listing(caught.value.problems)
    for word in (str(path), "http.port", "found     -1", "expected  `board`?"):
        assert word in str(caught.value)


def test_passwords_come_from_the_environment():
    secrets = {"BOWEI_REDIS_PASSWORD": "p@ss/word"}
    url = with_password("redis://10.0.0.5:6379/0", "BOWEI_REDIS_PASSWORD", secrets)
    assert url == "redis://:p%40ss%2Fword@10.0.0.5:6379/0"
    url = with_password("postgresql+asyncpg://bowei@db/x", "BOWEI_REDIS_PASSWORD", secrets)
    assert url == "postgresql+asyncpg://bowei:p%40ss%2Fword@db/x"
    assert with_password("redis://cache", "BOWEI_MQTT_PASSWORD", secrets) == "redis://cache"


def test_a_signing_key_is_made_once_and_readable_by_us_only(tmp_path):
    key = signing_key({}, tmp_path / "state")
    assert len(key) >= 32
    assert signing_key({}, tmp_path / "state") == key
    assert signing_key({}, tmp_path / "other") != key
    assert (tmp_path / "state" / "signing.key").stat().st_mode & 0o077 == 0


def test_a_signing_key_too_short_to_sign_with_is_refused(tmp_path):
    assert signing_key({"BOWEI_SIGNING_KEY": "k" * 32}, tmp_path) == b"k" * 32
    assert not environment_problems({"BOWEI_SIGNING_KEY": "k" * 32})
    with pytest.raises(ConfigProblems) as caught:
        signing_key({"BOWEI_SIGNING_KEY": "short"}, tmp_path)
    assert "short" not in str(caught.value)
