"""Guided cars that have arrived fade with the usual stay: the forecast learns net of them."""

from collections.abc import Mapping
from datetime import timedelta

import pytest
import redis.asyncio as redis

from service.guidance.arrivals import GIVEN_UP_AFTER_S, STAY_S, Arrivals


class Nothing:
    """A mirror that knows of no lot yet."""

    states: Mapping = {}


async def test_a_car_that_arrived_is_parked_for_about_a_stay(clock, redis_url):
    client = redis.Redis.from_url(redis_url, decode_responses=True)
    arrivals = Arrivals(client, Nothing(), clock)
    await arrivals.count("v1", "market", clock.now() + timedelta(seconds=60))
    assert arrivals.on_the_way("market") == 1
    assert arrivals.parked("market") == 0
    clock.advance(61 + GIVEN_UP_AFTER_S)
    arrivals._retotal()
    assert arrivals.on_the_way("market") == 0
    assert arrivals.parked("market") == 1
    clock.advance(STAY_S)
    assert arrivals.parked("market") == pytest.approx(0.37, abs=0.01)
    await client.aclose()
