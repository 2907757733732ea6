"""Every counter and gauge of the service, in one place, for /metrics (Prometheus)."""

from collections.abc import Iterable

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


class Requests(Collector):
    """HTTP answers, counted without a lock: a counter of the library costs more than a frame."""

    def __init__(self) -> None:
        self._counted: dict[tuple[str, str, int], int] = {}
        self._took_s: dict[str, float] = {}

    def note(self, route: str, method: str, status: int, took_s: float) -> None:
        """One answer, on the loop. `route` is a pattern of ours, `method` one of the known."""
        label = (route, method, status)
        self._counted[label] = self._counted.get(label, 0) + 1
        self._took_s[route] = self._took_s.get(route, 0.0) + took_s

    def collect(self) -> Iterable[Metric]:
        """Both families, for /metrics."""
        answers = CounterMetricFamily(
            "bowei_http_requests",
            "Answers by route pattern.",
            labels=["route", "method", "status"],
        )
        for (route, method, status), many in list(self._counted.items()):
            answers.add_metric([route, method, str(status)], many)
        seconds = SummaryMetricFamily(
            "bowei_http_request_seconds",
            "From a request in hand to its answer (wall time).",
            labels=["route"],
        )
        for route, took_s in list(self._took_s.items()):
            many = sum(n for label, n in list(self._counted.items()) if label[0] == route)
            seconds.add_metric([route], count_value=many, sum_value=took_s)
        return [answers, seconds]


REQUESTS = Requests()
REGISTRY.register(REQUESTS)


def refused(edge: str, reason: str) -> None:
    """Count one refusal. `reason` comes from our own code, never from the input."""
    REFUSED.labels(edge, reason).inc()
