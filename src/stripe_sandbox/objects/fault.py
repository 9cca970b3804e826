"""``/_sandbox/faults``: switch faults on, list them, see what they struck, switch them off."""

from __future__ import annotations

from stripe_sandbox.documents import Call, Doc, Kind, new_id
from stripe_sandbox.engine.meter_errors import CODES
from stripe_sandbox.faults import ANSWERED, FAULT, INJECTION, KINDS, REJECT_USAGE, REQUEST_KINDS
from stripe_sandbox.wire.errors import BadRequest
from stripe_sandbox.wire.paging import Listing, answer_list, json_field
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import Boolean, Choice, Integer, Number, Text, Type, list_table, table

KIND = Kind(name=FAULT, label="fault")
INJECTION_KIND = Kind(name=INJECTION, label="fault injection")
_URL = "/_sandbox/faults"
_METHODS = ("GET", "POST", "DELETE")
_MAX_DELAY_MS = 600_000
_DEFAULT_DELAY_MS = 2000
_DEFAULT_CODE = "meter_event_invalid_value"
_CONFLICT, _TOO_MANY = 409, 429
_FIELDS: dict[str, Type] = {
    "code": Choice(words=CODES),
    "count": Integer(minimum=1, maximum=1_000_000),
    "delay_ms": Integer(minimum=1, maximum=_MAX_DELAY_MS),
    "event": Text(max_length=200),
    "kind": Choice(words=KINDS),
    "method": Choice(words=_METHODS),
    "path": Text(max_length=300),
    "probability": Number(places=6),
    "seed": Integer(),
    "should_retry": Boolean(),
    "status": Integer(minimum=_CONFLICT, maximum=_TOO_MANY),
}
CREATE = table(_FIELDS, ("kind",))
_LISTING = Listing(kind=FAULT, url=_URL, equals={"kind": json_field("kind")})
_LOG = Listing(kind=INJECTION, url=f"{_URL}/log", equals={"fault": json_field("fault"), "kind": json_field("kind")})


def _create(call: Call) -> Doc:
    sent = call.params
    _check(sent)
    count = sent.get("count")
    fault: Doc = {
        "id": new_id("fault"),
        "object": FAULT,
        "code": sent.get("code", _DEFAULT_CODE) if sent["kind"] == REJECT_USAGE else None,
        "count": count,
        "created": call.ctx.now(),
        "delay_ms": sent.get("delay_ms", _DEFAULT_DELAY_MS),
        "event": sent.get("event", "*"),
        "injected": 0,
        "kind": sent["kind"],
        "livemode": False,
        "matched": 0,
        "method": sent.get("method"),
        "path": sent.get("path", "*"),
        "probability": float(sent.get("probability", 1)),
        "remaining": count,
        "seed": sent.get("seed", 0),
        "should_retry": sent.get("should_retry"),
        "status": sent.get("status", _CONFLICT) if sent["kind"] == "lock_timeout" else None,
    }
    return call.ctx.add(fault, None)


def _check(sent: Doc) -> None:
    """Refuse what would silently do nothing."""
    kind = sent["kind"]
    pointless = {"event"} if kind in REQUEST_KINDS else {"method", "path"}
    if kind != REJECT_USAGE:
        pointless |= {"code"}
    else:
        pointless |= {"delay_ms"}
    if kind not in ANSWERED:
        pointless |= {"should_retry"}
    if kind != "lock_timeout":
        pointless |= {"status"}
    found = sorted(pointless & sent.keys())
    if found:
        raise BadRequest(f"{found[0]} means nothing to a fault of kind {kind}.", param=found[0])
    if not 0 < sent.get("probability", 1) <= 1:
        raise BadRequest("probability lies above 0 and at most at 1.", param="probability")
    if sent.get("status", _CONFLICT) not in (_CONFLICT, _TOO_MANY):
        raise BadRequest("A lock_timeout answers 409 or 429.", param="status")


def _list(call: Call) -> Doc:
    return answer_list(call, _LISTING)


def _log(call: Call) -> Doc:
    return answer_list(call, _LOG)


def _get(call: Call) -> Doc:
    return call.ctx.shown(call.ctx.get(FAULT, call.ids[0]))


def _delete(call: Call) -> Doc:
    fault = call.ctx.get(FAULT, call.ids[0])
    call.ctx.store.remove(call.ctx.account, fault["id"])
    return {"id": fault["id"], "object": FAULT, "deleted": True}


def _delete_all(call: Call) -> Doc:
    count = call.ctx.store.run("DELETE FROM objects WHERE account=? AND kind=?", call.ctx.account, FAULT)
    return {"object": FAULT, "deleted": True, "count": count}


ENDPOINTS = (
    Endpoint("POST", _URL, CREATE, _create),
    Endpoint("GET", _URL, list_table({"kind": Choice(words=KINDS)}), _list),
    Endpoint("DELETE", _URL, table(), _delete_all),
    Endpoint("GET", f"{_URL}/log", list_table({"fault": Text(), "kind": Choice(words=KINDS)}), _log),
    Endpoint("GET", f"{_URL}/*", table(), _get),
    Endpoint("DELETE", f"{_URL}/*", table(), _delete),
)
