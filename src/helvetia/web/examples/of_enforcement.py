"""What is in force, the order of stopping, the choice of FREE; and Stripe's door."""

from pydantic import JsonValue

from helvetia.accounts.errors import AccountNotFound
from helvetia.enforcement.errors import InvalidStopOrder, NothingToChoose
from helvetia.web.examples.model import (
    MOVING,
    NOT_SIGNED_IN,
    READING,
    RUNS_FORBIDDEN,
    SERVICE_ID,
    Example,
    Examples,
)
from helvetia.webhooks.errors import (
    EventMalformed,
    SignatureMalformed,
    SignatureOutOfTime,
    SignatureRefused,
    TooManyBadSignatures,
    WrongMode,
)

_STOPPING: JsonValue = [{"serviceId": SERVICE_ID, "name": "web", "isWished": True, "heldFor": []}]
_ACTIVE: dict[str, JsonValue] = {
    "at": "2026-04-12T10:17:23Z",
    "mode": "enforce",
    "state": "current",
    "code": None,
    "reason": "Everything is paid.",
    "newWork": "within limits",
    "servicesRun": True,
    "firstFailedAt": None,
    "holdAt": None,
    "overQuota": [],
    "onBandwidthUsedUp": "block_new",
    "onStorageUsedUp": "block_new",
    "overrides": [],
    "next": [],
    "services": _STOPPING,
}
_GRACE: JsonValue = {
    **_ACTIVE,
    "state": "grace",
    "code": "payment_past_due",
    "reason": "A payment failed on 2026-04-10 11:17:23 UTC. Services go on until 2026-04-17 11:17:23 UTC.",
    "newWork": "within limits, with a warning",
    "firstFailedAt": "2026-04-10T11:17:23Z",
    "holdAt": "2026-04-17T11:17:23Z",
    "next": [{"at": "2026-04-17T11:17:23Z", "what": "services are held; data and definitions stay"}],
}
_EVENT: JsonValue = {
    "id": "evt_1TgQ2nHv7cXr4KaZ5VeQMS5R",
    "object": "event",
    "api_version": "2026-10-28.endive",
    "created": 1773137843,
    "livemode": False,
    "type": "invoice.paid",
    "data": {"object": {"id": "in_1TgQ2mHv7cXr4KaZ0b3YdWnE", "object": "invoice", "customer": "cus_TdYusxt5VeQMS5"}},
}

EXAMPLES: Examples = {
    ("GET", "/api/v1/billing/enforcement"): Example(answer=_GRACE, problems=READING),
    ("PUT", "/api/v1/billing/enforcement/stop-order"): Example(
        request={"services": [SERVICE_ID]},
        answer={"services": _STOPPING},
        problems=(NOT_SIGNED_IN, RUNS_FORBIDDEN, AccountNotFound(), InvalidStopOrder()),
    ),
    ("POST", "/api/v1/billing/enforcement/free"): Example(answer=_ACTIVE, problems=(*MOVING, NothingToChoose())),
    ("POST", "/api/v1/webhooks/stripe"): Example(
        request=_EVENT,
        answer={"received": True, "outcome": "stored"},
        problems=(
            *(SignatureRefused(), SignatureMalformed(), SignatureOutOfTime(), EventMalformed(), WrongMode()),
            TooManyBadSignatures(retry_after_s=60),
        ),
    ),
}
