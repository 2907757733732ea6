"""Every counter and gauge of the service, in one place, for /metrics (Prometheus)."""

from collections.abc import Iterable

import msgspec
from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, SummaryMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

REFUSED = Counter(
    "bowei_refused_total",
    "Input from outside that was refused, by the edge it came in at and a stable reason word.",
    ["edge", "reason"],
)
MESSAGES = Counter("bowei_messages_total", "Device messages by outcome.", ["outcome"])
WRITE_SECONDS = Histogram("bowei_store_write_seconds", "One batch written to Redis (wall time).")
FRAMES = Counter("bowei_sign_frames_total", "Sign frames sent, by cause.", ["cause"])
GATE_SECONDS = Histogram(
    "bowei_gate_answer_seconds",
    "A passage in hand to its durable answer (wall time).",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1),
)
GATE_KEPT = Counter(
    "bowei_gate_records_total", "Passages made durable, by where: sql, journal, memory.", ["where"]
)
CHARGES = Counter("bowei_charges_total", "What providers said of charges.", ["word"])
PASSAGES = Counter("bowei_passages_total", "Passages by answer.", ["answer"])
MIRROR_VERSION = Gauge("bowei_mirror_version", "Version of the mirror that answers.")
MIRROR_AGE_SECONDS = Gauge("bowei_mirror_age_seconds", "Since the mirror last heard from Redis.")
NAVIGATIONS = Counter("bowei_navigations_total", "One-tap navigations, by map app.", ["app"])
WATCHERS = Gauge("bowei_wall_watchers", "Open event streams of the sign wall.")


class _Tally(msgspec.Struct):
    many: int = 0
    took_s: float = 0.0


class Requests(Collector):
    """HTTP answers, counted without a lock: a counter of the library costs more than a frame."""

    def __init__(self) -> None:
        self._tallies: dict[tuple[str, str, int], _Tally] = {}

    def note(self, route: str, method: str, status: int, took_s: float) -> None:
        """One answer, on the loop. `route` is a pattern of ours, `method` one of the known."""
        label = (route, method, status)
        tally = self._tallies.get(label)
        if tally is None:
            tally = self._tallies[label] = _Tally()
        tally.many += 1
        tally.took_s += took_s

    def collect(self) -> Iterable[Metric]:
        """Both families, for /metrics."""
        answers = CounterMetricFamily(
            "bowei_http_requests",
            "Answers by route pattern.",
            labels=["route", "method", "status"],
        )
        by_route: dict[str, list[_Tally]] = {}
        for (route, method, status), tally in list(self._tallies.items()):
            answers.add_metric([route, method, str(status)], tally.many)
            by_route.setdefault(route, []).append(tally)
        seconds = SummaryMetricFamily(
            "bowei_http_request_seconds",
            "From a request in hand to its answer (wall time).",
            labels=["route"],
        )
        for route, tallies in by_route.items():
            many, took_s = sum(one.many for one in tallies), sum(one.took_s for one in tallies)
            seconds.add_metric([route], count_value=many, sum_value=took_s)
        return [answers, seconds]


REQUESTS = Requests()
REGISTRY.register(REQUESTS)


def refused(edge: str, reason: str) -> None:
    """Count one refusal. `reason` comes from our own code, never from the input."""
    REFUSED.labels(edge, reason).inc()
