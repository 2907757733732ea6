"""Secrets: from the environment, or made once and kept in the state directory, readable by us only.

BOWEI_SIGNING_KEY       signs QR codes, bill links, feed and camera keys (32+ characters)
BOWEI_REDIS_PASSWORD    BOWEI_MQTT_PASSWORD    BOWEI_SQL_PASSWORD
"""

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from service.problems import ConfigProblems, Problem

SIGNING_KEY = "BOWEI_SIGNING_KEY"
SHORTEST_KEY = 32


def with_password(url: str, variable: str, environment: Mapping[str, str]) -> str:
    """`url` with the password that stands in the environment `variable`, if one does."""
    password = environment.get(variable)
    if not password:
        return url
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    named = user if at else ""
    return urlunsplit(parts._replace(netloc=f"{named}:{quote(password, safe='')}@{host}"))


def environment_problems(environment: Mapping[str, str]) -> list[Problem]:
    """What is wrong with the secrets that are set, without saying them."""
    given = environment.get(SIGNING_KEY)
    if given is None or len(given) >= SHORTEST_KEY:
        return []
    found = f"{len(given)} characters"
    expected = f"at least {SHORTEST_KEY}, for instance from `openssl rand -hex 32`"
    return [Problem("environment", SIGNING_KEY, found, expected)]


def signing_key(environment: Mapping[str, str], state_dir: Path) -> bytes:
    """The service's signing key: the environment's, else the state directory's, made if missing.

    Raises `ConfigProblems` for one too short to sign with.
    """
    given = environment.get(SIGNING_KEY)
    if given is None:
        return _kept(state_dir / "signing.key")
    problems = environment_problems(environment)
    if problems:
        raise ConfigProblems(problems)
    return given.encode()


def derived_key(key: bytes, purpose: str, name: str) -> str:
    """One holder's own key (a feed's, a camera's), in hex: it cannot be turned into another's."""
    return hmac.new(key, f"{purpose}\0{name}".encode(), hashlib.sha256).hexdigest()


def holder_key(
    key: bytes, purpose: str, name: str, variable: str | None, environment: Mapping[str, str]
) -> bytes:
    """A holder's key: what stands in the environment `variable` he was given, else his derived."""
    given = environment.get(variable) if variable else None
    return (given or derived_key(key, purpose, name)).encode()


def _kept(path: Path) -> bytes:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes().strip()
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_hex(32).encode())
        file.flush()
        os.fsync(file.fileno())
    return path.read_bytes().strip()
