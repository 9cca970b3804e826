"""Test clocks: frozen time that moves only by request.

Stripe: at most 3 customers a clock; advancing answers at once with status ``advancing`` and is done when the status is
``ready``; the target lies after the frozen time and at most two intervals of the shortest subscription ahead.
"""

from __future__ import annotations

from stripe_sandbox.clock import DAY_S
from stripe_sandbox.context import TEST_CLOCK, Context
from stripe_sandbox.documents import Call, Doc, Kind, deleted_stub, new_id
from stripe_sandbox.engine.periods import boundary
from stripe_sandbox.engine.timers import ADVANCING
from stripe_sandbox.store import Page
from stripe_sandbox.wire.errors import BadRequest, TooManyRequests
from stripe_sandbox.wire.paging import NOT_DELETED, Listing, answer_list, json_field
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import Integer, NotSimulated, Text, list_table, table

KIND = Kind(name=TEST_CLOCK, label="test clock")
MAX_CUSTOMERS = 3
_KEPT_S = 30 * DAY_S
_MAX_INTERVALS_AHEAD = 2
_MAX_TIME_S = 4_102_444_800 * 2
_TIME = Integer(minimum=1, maximum=_MAX_TIME_S)
CREATE = table({"frozen_time": _TIME, "name": Text(max_length=300), "customer": NotSimulated()}, ("frozen_time",))
_URL = "/v1/test_helpers/test_clocks"
_LISTING = Listing(kind=TEST_CLOCK, url=_URL)


def check_room(ctx: Context, clock_id: str) -> None:
    """Refuse a clock that is unknown or full."""
    ctx.get(TEST_CLOCK, clock_id, "test_clock")
    if len(_customers(ctx, clock_id)) >= MAX_CUSTOMERS:
        message = f"A test clock can have at most {MAX_CUSTOMERS} customers."
        raise BadRequest(message, param="test_clock")


def _customers(ctx: Context, clock_id: str) -> list[Doc]:
    condition = f"{json_field('test_clock')}=?"
    return ctx.select(Page(kind="customer", conditions=(condition, NOT_DELETED), arguments=(clock_id,)))


def _create(call: Call) -> Doc:
    now_s = call.ctx.now()
    clock: Doc = {
        "id": new_id("clock"),
        "object": TEST_CLOCK,
        "created": now_s,
        "deletes_after": now_s + _KEPT_S,
        "frozen_time": call.params["frozen_time"],
        "livemode": False,
        "name": call.params.get("name"),
        "status": "ready",
        "status_details": {},
    }
    return call.ctx.add(clock, "test_helpers.test_clock.created")


def _get(call: Call) -> Doc:
    return call.ctx.shown(call.ctx.get(TEST_CLOCK, call.ids[0]))


def _list(call: Call) -> Doc:
    return answer_list(call, _LISTING)


def _ready(ctx: Context, clock_id: str) -> Doc:
    clock = ctx.get(TEST_CLOCK, clock_id)
    if clock["status"] == "advancing":
        message = "Test clock advancement underway. Wait until the clock is ready and try again."
        raise TooManyRequests(message, code="lock_timeout")
    return clock


def _advance(call: Call) -> Doc:
    ctx, target = call.ctx, call.params["frozen_time"]
    clock = _ready(ctx, call.ids[0])
    if target <= clock["frozen_time"]:
        message = "The new time must be later than the clock's frozen time."
        raise BadRequest(message, param="frozen_time")
    if target > _furthest(ctx, clock):
        message = "A clock can advance at most two intervals of its shortest subscription, or two years without one."
        raise BadRequest(message, param="frozen_time")
    clock |= {"status": "advancing", "status_details": {"advancing": {"target_frozen_time": target}}}
    ctx.store.run(
        "INSERT INTO timers (account, clock, due_at, name, object) VALUES (?,?,?,?,?)",
        *(ctx.account, ADVANCING, target, "advance", clock["id"]),
    )
    return ctx.add(clock, "test_helpers.test_clock.advancing")


def _furthest(ctx: Context, clock: Doc) -> int:
    now_s = clock["frozen_time"]
    rows = ctx.store.rows(
        "SELECT DISTINCT json_extract(p.body,'$.recurring.interval') AS unit,"
        " json_extract(p.body,'$.recurring.interval_count') AS count"
        " FROM objects s JOIN objects i ON i.account=s.account AND i.kind='subscription_item' AND i.parent=s.id"
        " JOIN objects p ON p.account=i.account AND p.id=json_extract(i.body,'$.price')"
        " WHERE s.account=? AND s.kind='subscription' AND json_extract(s.body,'$.test_clock')=?"
        " AND json_extract(s.body,'$.status') NOT IN ('canceled','incomplete_expired')",
        *(ctx.account, clock["id"]),
    )
    reaches = [boundary(now_s, row["unit"], row["count"], _MAX_INTERVALS_AHEAD) for row in rows]
    return min(reaches, default=boundary(now_s, "year", 1, 2))


def _delete(call: Call) -> Doc:
    from stripe_sandbox.objects.customer import delete_customer

    ctx = call.ctx
    clock = _ready(ctx, call.ids[0])
    for customer in _customers(ctx, clock["id"]):
        delete_customer(ctx, customer)
    ctx.write(clock | {"deleted": True})
    ctx.store.run("DELETE FROM timers WHERE account=? AND clock=?", ctx.account, clock["id"])
    ctx.emit("test_helpers.test_clock.deleted", ctx.shown(clock))
    return deleted_stub(clock)


ENDPOINTS = (
    Endpoint("POST", _URL, CREATE, _create),
    Endpoint("GET", _URL, list_table(), _list),
    Endpoint("GET", f"{_URL}/*", table(), _get),
    Endpoint("POST", f"{_URL}/*/advance", table({"frozen_time": _TIME}, ("frozen_time",)), _advance),
    Endpoint("DELETE", f"{_URL}/*", table(), _delete),
)
