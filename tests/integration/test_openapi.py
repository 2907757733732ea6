"""What is documented is what is served: schemathesis asks the service all it can think of."""

import asyncio
import contextlib
from collections import Counter

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from town import Town, living

from service import metrics

REAL = {"lot": "market", "sign": "avenue", "destination": "clinic", "site": "small"}
EXAMPLES = 20


@pytest.fixture
async def town(catalog, redis_url, broker_url, sqlite_url, tmp_path):
    async with living(catalog, redis_url, broker_url, sqlite_url, tmp_path / "state") as town:
        await town.free("market", "all", "market-counter", 87)
        yield town


def reached() -> Counter[tuple[str, int]]:
    """Answers so far by route pattern and status, as the service itself has counted them."""
    counted: Counter[tuple[str, int]] = Counter()
    for family in metrics.REQUESTS.collect():
        for sample in family.samples:
            if sample.name.endswith("_total"):
                labels = sample.labels
                counted[labels["route"], int(labels["status"])] += int(sample.value)
    return counted


def probe(url: str, operation: object, mode: GenerationMode) -> int:
    """Ask one operation; how many questions were sent. Raises where an answer is not as written."""
    sent = 0

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), real=st.booleans())
    def ask(case: schemathesis.Case, real: bool) -> None:
        nonlocal sent
        if real:  # drawn ids are never those of our town
            for given_by in (case.path_parameters, case.query):
                for name in given_by or {}:
                    if name in REAL:
                        given_by[name] = REAL[name]
        if mode is GenerationMode.POSITIVE and operation.path == "/api/v1/guidance":
            _one_origin(case.query)
        case.call_and_validate(base_url=url)
        sent += 1

    ask()
    return sent


def _one_origin(query: dict) -> None:
    """That a sign or else a position is needed is said in words: OpenAPI has no way to."""
    if "sign" in query:
        query.pop("lat", None)
        query.pop("lng", None)
    else:
        query.setdefault("lat", 30.256)
        query.setdefault("lng", 120.165)


def explore(url: str) -> dict[str, int]:
    """Every operation of the document, with what fits and with what does not."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    sent: dict[str, int] = {}
    for found in schema.get_all_operations():
        operation = found.ok()
        sent[operation.path] = probe(url, operation, GenerationMode.POSITIVE)
        with contextlib.suppress(Unsatisfiable):  # any text is an id: nothing to get wrong
            sent[operation.path] += probe(url, operation, GenerationMode.NEGATIVE)
    return sent


async def test_answers_are_as_documented(town: Town) -> None:
    before = reached()
    sent = await asyncio.to_thread(explore, town.url)
    arrived = reached() - before
    for path, asked in sent.items():
        statuses = {status: times for (route, status), times in arrived.items() if route == path}
        answered = sum(statuses.values())
        assert answered >= asked * 0.6, f"{path}: {answered} of {asked} reached its handler"
        if not path.startswith("/api/v1/feeds"):  # signed: strangers are refused, as documented
            assert statuses.get(200, 0) >= min(3, asked), (
                f"{path} is never answered well: {statuses}"
            )
        assert not {status for status in statuses if status >= 500} - {503}
    assert arrived["/api/v1/guidance", 400] >= 3
    assert arrived["/api/v1/lots/{lot}", 404] >= 3


async def test_every_api_route_is_in_the_document(town: Town) -> None:
    document = await town.json("/openapi.json")
    assert document["openapi"].startswith("3.1")
    served = {
        sample.labels["route"]
        for family in metrics.REQUESTS.collect()
        for sample in family.samples
        if sample.labels.get("route", "").startswith("/api/")
    }
    assert served <= set(document["paths"])
    for path, methods in document["paths"].items():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                empty = status == "304"
                assert empty or "application/json" in answer["content"], (path, status)
