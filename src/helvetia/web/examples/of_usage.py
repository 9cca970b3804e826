"""Usage over time: history, one service, forecast, export, and why a figure is what it is."""

from pydantic import JsonValue

from helvetia.containers.errors import ServiceNotFound
from helvetia.costs.errors import InvalidUsageCursor, RangeReversed, RangeTooLong, TooManyRows, UsageRecordNotFound
from helvetia.costs.forecasts.model import BAND_SENTENCE, SENTENCES
from helvetia.rating.forecast import ForecastMethod
from helvetia.web.examples.model import (
    CONTAINER_ID,
    NOW,
    PERIOD_END,
    PERIOD_START,
    READING,
    RECORD_ID,
    SERVICE_ID,
    Example,
    Examples,
)

_BASE = "/api/v1/billing/usage"
_DAY: JsonValue = {
    "start": "2026-03-11T00:00:00Z",
    "end": "2026-03-12T00:00:00Z",
    "serviceId": SERVICE_ID,
    "metric": "COMPUTE_HOURS",
    "quantity": "24.000000",
    "cost": "0.24000000",
    "baseQuantity": "86400000000000",
}
_HISTORY: JsonValue = {
    "start": PERIOD_START,
    "end": PERIOD_END,
    "grain": "day",
    "zone": "UTC",
    "currency": "usd",
    "rows": [_DAY],
    "totals": [
        {
            "metric": "COMPUTE_HOURS",
            "quantity": "24.000000",
            "unit": "hour",
            "unitPrice": "0.01",
            "cost": "0.24000000",
            "baseQuantity": "86400000000000",
        }
    ],
    "total": "0.24000000",
    "services": {SERVICE_ID: "web"},
}
_COMPARISON: JsonValue = {
    "start": PERIOD_START,
    "end": PERIOD_END,
    "beforeStart": "2026-03-05T10:17:23Z",
    "beforeEnd": PERIOD_START,
    "completeBefore": True,
    "currency": "usd",
    "cost": "0.24000000",
    "costBefore": "0.20000000",
    "difference": "0.04000000",
    "totals": [
        {
            "metric": "COMPUTE_HOURS",
            "unit": "hour",
            "quantity": "24.000000",
            "quantityBefore": "20.000000",
            "cost": "0.24000000",
            "costBefore": "0.20000000",
        }
    ],
    "services": [
        {
            "serviceId": SERVICE_ID,
            "name": "web",
            "cost": "0.24000000",
            "costBefore": "0.20000000",
            "difference": "0.04000000",
        }
    ],
}
_CHANGES: JsonValue = {
    "start": PERIOD_START,
    "end": PERIOD_END,
    "currency": "usd",
    "changes": [
        {
            "at": "2026-03-12T09:30:00Z",
            "serviceId": SERVICE_ID,
            "name": "web",
            "kind": "deployed",
            "revision": 4,
            "former": {"memory_mb": "256"},
            "now": {"memory_mb": "512"},
            "also": ["env"],
            "daysBefore": 7,
            "daysAfter": 5,
            "dayBefore": "0.27000000",
            "dayAfter": "0.30000000",
            "difference": "0.03000000",
            "reason": None,
        }
    ],
    "more": False,
}
_SERVICE: JsonValue = {
    "serviceId": SERVICE_ID,
    "name": "web",
    "asOf": NOW,
    "complete": False,
    "gaps": [
        {
            "serviceId": SERVICE_ID,
            "cause": "collector_down",
            "start": "2026-03-12T08:00:00Z",
            "end": "2026-03-12T08:04:00Z",
            "detail": "No reading was taken.",
        }
    ],
    "lateHosts": [],
    "runs": [
        {
            "containerId": CONTAINER_ID,
            "node": "local",
            "startedAt": "2026-03-11T00:00:00Z",
            "finishedAt": None,
            "seenUntil": NOW,
            "restartCount": 0,
            "exitCode": None,
            "oomKilled": None,
            "finishKnown": True,
        }
    ],
    "shown": {
        "knownFrom": PERIOD_START,
        "cpuSeconds": "1234.500000000",
        "memoryPeakBytes": 183500800,
        "receivedBytes": 52428800,
        "internalBytes": 1048576,
    },
    "history": _HISTORY,
}
_PAST: JsonValue = {
    "forecasts": 30,
    "medianError": "0.031000",
    "coverage": "0.833333",
    "replays": 20,
    "replayError": "0.028000",
    "replayCoverage": "0.800000",
}
_METHOD: dict[str, JsonValue] = {
    "method": ForecastMethod.WEEKLY.value,
    "sentence": SENTENCES[ForecastMethod.WEEKLY],
    "days": 28,
    "past": _PAST,
}
_FORECAST: JsonValue = {
    "periodStart": PERIOD_START,
    "periodEnd": PERIOD_END,
    "madeOn": "2026-03-15",
    "asOf": NOW,
    "currency": "usd",
    "fee": "29.00",
    "usageCost": {"unit": "usd", "used": "1.50", "p10": "8.10", "p50": "9.30", "p90": "10.90", **_METHOD},
    "metrics": [
        {
            "metric": "BANDWIDTH_GB",
            "forecast": {
                "unit": "GB",
                "used": "12.500000",
                "p10": "70.000000",
                "p50": "77.500000",
                "p90": "86.000000",
                **_METHOD,
            },
            "limit": {"outlook": "unlikely", "about": None, "earliest": None, "latest": None},
        }
    ],
    "rangeSentence": BAND_SENTENCE,
}
_PIECE: JsonValue = {
    "recordId": RECORD_ID,
    "serviceId": SERVICE_ID,
    "metric": "COMPUTE_HOURS",
    "start": "2026-03-11T06:00:00Z",
    "end": "2026-03-11T07:00:00Z",
    "revision": 0,
    "baseQuantity": "3600000000000",
    "closedAt": "2026-03-11T07:03:00Z",
    "containerId": CONTAINER_ID,
    "node": "local",
    "livedFrom": "2026-03-11T00:00:00Z",
    "livedUntil": None,
    "readings": 240,
    "firstReadingAt": "2026-03-11T06:00:00Z",
    "lastReadingAt": "2026-03-11T06:59:45Z",
    "bound": None,
    "reason": None,
    "actor": None,
}
_EXPLANATION: JsonValue = {
    "metric": "COMPUTE_HOURS",
    "serviceId": SERVICE_ID,
    "start": "2026-03-11T06:00:00Z",
    "end": "2026-03-11T07:00:00Z",
    "baseQuantity": "3600000000000",
    "baseUnit": "nanosecond",
    "basePerUnit": "3600000000000",
    "quantity": "1.000000",
    "unit": "hour",
    "unitPrice": "0.01",
    "priceId": "price_1TgPyYHv7cXr4KaZrCyfNyhm",
    "cost": "0.01000000",
    "amount": "0.01",
    "currency": "usd",
    "pieces": [_PIECE],
    "nextCursor": None,
}
_EVIDENCE: JsonValue = {
    "piece": _PIECE,
    "readings": [
        {
            "sampledAt": "2026-03-11T06:00:00Z",
            "memoryBytes": 104857600,
            "transmittedBytes": 7340032,
            "externalBytes": 5242880,
            "sizeBytes": None,
        }
    ],
    "readingsKept": True,
    "readingsLeftOut": 0,
}
_CSV = (
    "starts_at,ends_at,service_id,service_name,metric,quantity,unit,unit_price,cost,currency,base_quantity,base_unit\r\n"
    f"2026-03-11T00:00:00Z,2026-03-12T00:00:00Z,{SERVICE_ID},web,COMPUTE_HOURS,24.000000,hour,0.01,0.24000000,usd,"
    "86400000000000,nanosecond\r\n"
)
_TOO_LONG = RangeTooLong(days_max=731)

EXAMPLES: Examples = {
    ("GET", f"{_BASE}/history"): Example(
        answer=_HISTORY, problems=(*READING, RangeReversed(), _TOO_LONG, TooManyRows(rows_max=50_000))
    ),
    ("GET", f"{_BASE}/services/{{service_id}}"): Example(
        answer=_SERVICE, problems=(*READING, ServiceNotFound(), _TOO_LONG)
    ),
    ("GET", f"{_BASE}/comparison"): Example(
        answer=_COMPARISON, problems=(*READING, RangeReversed(), _TOO_LONG, TooManyRows(rows_max=50_000))
    ),
    ("GET", f"{_BASE}/changes"): Example(answer=_CHANGES, problems=(*READING, RangeReversed(), _TOO_LONG)),
    ("GET", f"{_BASE}/forecast"): Example(answer=_FORECAST, problems=READING),
    ("GET", f"{_BASE}/export"): Example(answer=_CSV, media_type="text/csv", problems=(*READING, RangeReversed())),
    ("GET", f"{_BASE}/explain"): Example(answer=_EXPLANATION, problems=(*READING, InvalidUsageCursor(), _TOO_LONG)),
    ("GET", f"{_BASE}/explain/{{record_id}}"): Example(answer=_EVIDENCE, problems=(*READING, UsageRecordNotFound())),
}
