"""The metrics of the product; names are helvetia_<package>_<noun>_<unit>."""

from prometheus_client import Counter, Gauge

TICK_LATE_S = Gauge("helvetia_worker_tick_late_seconds", "How late the tick began", ["tick"])
TICK_TOOK_S = Gauge("helvetia_worker_tick_took_seconds", "How long the last run of the tick took", ["tick"])
TICK_FAILURES = Counter("helvetia_worker_tick_failures", "Runs of the tick that failed", ["tick"])
