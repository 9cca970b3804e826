"""The metrics of the product; names are helvetia_<package>_<noun>_<unit>."""

from prometheus_client import Counter, Gauge

TICK_LATE_S = Gauge("helvetia_worker_tick_late_seconds", "How late the tick began", ["tick"])
TICK_TOOK_S = Gauge("helvetia_worker_tick_took_seconds", "How long the last run of the tick took", ["tick"])
TICK_FAILURES = Counter("helvetia_worker_tick_failures", "Runs of the tick that failed", ["tick"])
STRIPE_CIRCUIT_OPEN = Gauge("helvetia_stripe_circuit_open", "1 while calls to Stripe fail at once")
WEBHOOK_EVENTS = Counter(
    "helvetia_webhooks_events",
    "Webhook requests by outcome: stored, duplicate, ignored, or the code of the refusal",
    ["outcome"],
)
WEBHOOK_ALARMS = Counter("helvetia_webhooks_alarms", "Alarms raised, by kind", ["kind"])
WEBHOOK_WAITING = Gauge("helvetia_webhooks_waiting_events", "Events not handled yet, parked ones left out")
WEBHOOK_PARKED = Gauge("helvetia_webhooks_parked_events", "Events of customers that no account has")
WEBHOOK_OLDEST_S = Gauge("helvetia_webhooks_oldest_waiting_seconds", "Age of the oldest event not handled yet")
BACKFILL_FOUND = Counter("helvetia_webhooks_backfilled_events", "Events that only the walk over Stripe's list found")
PLAN_PROBLEMS = Counter("helvetia_subscriptions_plan_problems", "Reads of Stripe that left a new doubt about the plan")
DIFFERENCES = Counter("helvetia_webhooks_differences", "Differences from Stripe found by comparison", ["repaired"])

ENFORCEMENT_BRAKE = Gauge("helvetia_enforcement_brake", "1 while a pass of enforcement would hold accounts but may not")
ESTIMATE_DIFFERENCES = Gauge(
    "helvetia_costs_estimate_differences", "Accounts whose estimate differed from Stripe's preview when last checked"
)
USAGE_DIFFERENCES = Gauge("helvetia_usage_differences", "Differences of usage at each hop, as last compared", ["hop"])
REPORTS_OLDEST_DUE_S = Gauge(
    "helvetia_meter_reports_oldest_due_seconds", "Age of the oldest report of usage that Stripe has not taken yet"
)
USAGE_TASKS = Gauge("helvetia_usage_tasks_open", "Tasks about unbilled usage that wait for the operator")
