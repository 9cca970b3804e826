"""Meter events, their cancellation, and the stream, version 2.

Stripe: ``meter_events`` is validated at once, with the codes that version 1 tells later. The stream takes up to 100
events under the token of a session, which lives 15 minutes; it answers before anything is looked at, so that all that
is wrong is told by thin events.
"""

from __future__ import annotations

import re

from stripe_sandbox.clock import account_now_s
from stripe_sandbox.documents import Call, Doc, Kind, new_id, public, random_text
from stripe_sandbox.engine import ingest
from stripe_sandbox.objects.meter_event import CANCEL, USAGE, cancelled
from stripe_sandbox.store import Store
from stripe_sandbox.wire.errors import BadRequest, SessionExpired, StripeError, Unauthorized
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import Array, Hash, Type
from stripe_sandbox.wire.v2 import Instant, iso, table_v2

STREAM = "/v2/billing/meter_event_stream"
SESSION = "v2.billing.meter_event_session"
SESSION_LIFE_S = 15 * 60
_MAX_EVENTS = 100
_TOKEN = re.compile(r"mtr_token_test_(?P<account>acct_[A-Za-z0-9]+)_[A-Za-z0-9]{32}")
_EVENT: dict[str, Type] = {**USAGE, "timestamp": Instant()}
_REQUIRED = ("event_name", "payload")
KIND = Kind(name=SESSION, label="meter event session")


def _create(call: Call) -> Doc:
    usage = ingest.judge(call.ctx, call.params)
    for fault in usage.faults:
        raise BadRequest(fault.message, code=fault.code, param=fault.param)
    created_at = ingest.take(call.ctx, usage, None)
    return {
        "object": "v2.billing.meter_event",
        "created": iso(created_at),
        "event_name": usage.event_name,
        "identifier": usage.identifier,
        "livemode": False,
        "payload": usage.payload,
        "timestamp": iso(usage.timestamp),
    }


def _adjust(call: Call) -> Doc:
    own = {"id": new_id("mtr_adj_test"), "object": "v2.billing.meter_event_adjustment"}
    return own | cancelled(call) | {"created": iso(call.ctx.now())}


def _open_session(call: Call) -> Doc:
    now_s = call.ctx.now()
    session: Doc = {
        "id": new_id("mtr_sess_test"),
        "object": SESSION,
        "authentication_token": f"mtr_token_test_{call.ctx.account}_{random_text(32)}",
        "created": now_s,
        "expires_at": now_s + SESSION_LIFE_S,
        "livemode": False,
    }
    call.ctx.write(session)
    return public(session) | {name: iso(session[name]) for name in ("created", "expires_at")}


def account_of(store: Store, token: str) -> str:
    """Return the account whose session a token belongs to; an expired one is refused as what it is."""
    found = _TOKEN.fullmatch(token)
    account = found["account"] if found else ""
    row = store.row(
        "SELECT json_extract(body,'$.expires_at') AS expires_at FROM objects"
        " WHERE account=? AND kind=? AND json_extract(body,'$.authentication_token')=?",
        *(account, SESSION, token),
    )
    if row is None:
        raise Unauthorized("The meter event stream takes the token of a meter event session.")
    if row["expires_at"] <= account_now_s(store, account):
        raise SessionExpired("The meter event session has expired.", code="billing_meter_event_session_expired")
    return account


def _stream(call: Call) -> Doc:
    for sent in call.params["events"]:
        usage = ingest.judge(call.ctx, sent)
        try:
            ingest.take(call.ctx, usage, next(iter(usage.faults), None))
        except StripeError:
            # An identifier that was there already: the stream looks at nothing before it answers, and counts it once.
            continue
    return {}


ENDPOINTS = (
    Endpoint("POST", "/v2/billing/meter_events", table_v2(_EVENT, _REQUIRED), _create),
    Endpoint(
        "POST", "/v2/billing/meter_event_adjustments", table_v2(CANCEL, ("event_name", "type", "cancel")), _adjust
    ),
    Endpoint("POST", "/v2/billing/meter_event_session", table_v2(), _open_session),
    Endpoint(
        "POST",
        STREAM,
        table_v2({"events": Array(Hash(fields=_EVENT, required=_REQUIRED), _MAX_EVENTS)}, ("events",)),
        _stream,
    ),
)
