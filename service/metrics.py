"""Every counter and gauge of the service, in one place, for /metrics (Prometheus)."""

from prometheus_client import Counter, Gauge, Histogram

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
REQUESTS = Counter(
    "bowei_http_requests_total", "Answers by route pattern.", ["route", "method", "status"]
)
REQUEST_SECONDS = Histogram(
    "bowei_http_request_seconds",
    "A request in hand to its answer (wall time).",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5),
)
WATCHERS = Gauge("bowei_wall_watchers", "Open event streams of the sign wall.")


def refused(edge: str, reason: str) -> None:
    """Count one refusal. `reason` comes from our own code, never from the input."""
    REFUSED.labels(edge, reason).inc()
