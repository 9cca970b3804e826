"""The inspector at ``/``: an account's objects as they are, its events and what their receivers answered, its clocks
and its faults. It reads everything and changes nothing but clocks and faults.

An account is found by its key or in the list of those this process knows; its id in the address is not guessable.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from stripe_sandbox import clock
from stripe_sandbox.clock import DAY_S, HOUR_S
from stripe_sandbox.context import TEST_CLOCK
from stripe_sandbox.documents import Doc
from stripe_sandbox.faults import FAULT, INJECTION, KINDS, REQUEST_KINDS
from stripe_sandbox.objects import desk
from stripe_sandbox.pages import render, words
from stripe_sandbox.pages.visit import Visit
from stripe_sandbox.store import Page, Store
from stripe_sandbox.wire.errors import NotFound, StripeError

_ROWS = 50
_MAX_ACCOUNTS = 200
_HIDDEN_KINDS = frozenset({"event", FAULT, INJECTION})
_ID = re.compile(r"\b(?:[a-z]+_)+(?:test_)?[A-Za-z0-9]{14,}\b")
# What an advance button offers, in seconds.
STEPS = (("1 hour", HOUR_S), ("1 day", DAY_S), ("7 days", 7 * DAY_S), ("31 days", 31 * DAY_S))


def accounts(store: Store) -> Response:
    """List the accounts of this process."""
    rows = store.rows(
        "SELECT a.id, a.body, (SELECT COUNT(*) FROM objects o WHERE o.account=a.id AND o.kind<>'event') AS objects,"
        " (SELECT MAX(created) FROM objects o WHERE o.account=a.id AND o.kind='event') AS last_at"
        " FROM accounts a ORDER BY a.rowid DESC LIMIT ?",
        _MAX_ACCOUNTS,
    )
    listed = [dict(row) | {"hint": json.loads(row["body"]).get("_key_hint", "")} for row in rows]
    return render.page("inspector_accounts.html", accounts=listed, errors={})


def unknown_key() -> Response:
    """Say that no account has this key yet."""
    errors = {"key": "No account has this key. An account begins with the first API request of its key."}
    return render.page("inspector_accounts.html", 404, accounts=[], errors=errors)


def overview(visit: Visit) -> Response:
    """Show what an account holds, its clocks, and what happened last."""
    ctx = visit.ctx
    return _page(
        visit,
        "inspector_account.html",
        kinds=_kinds(visit),
        now=ctx.now(),
        ahead=clock.offset_s(ctx.store, ctx.account),
        clocks=[doc for doc in ctx.select(Page(kind=TEST_CLOCK)) if not doc.get("deleted")],
        steps=STEPS,
        events=ctx.select(Page(kind="event", limit=10)),
    )


def _kinds(visit: Visit) -> list[tuple[str, int]]:
    rows = visit.ctx.store.rows(
        "SELECT kind, COUNT(*) AS count FROM objects WHERE account=? GROUP BY kind ORDER BY kind", visit.ctx.account
    )
    return [(row["kind"], row["count"]) for row in rows if row["kind"] not in _HIDDEN_KINDS]


def objects(visit: Visit) -> Response:
    """List the newest objects of one kind."""
    kind = visit.ids["kind"]
    if kind not in visit.ctx.kinds:
        raise NotFound("There is no such kind of object.")
    found = visit.ctx.select(Page(kind=kind, limit=_ROWS, **_before(visit)))
    rows = [_row(doc) for doc in found]
    return _page(visit, "inspector_objects.html", kind=kind, rows=rows, kinds=_kinds(visit), older=_older(visit, found))


def _before(visit: Visit) -> dict[str, Any]:
    """Return the part of a page's description that begins after the last row of the page before."""
    last = visit.query.get("after")
    row = visit.ctx.store.row("SELECT created, seq FROM objects WHERE account=? AND id=?", visit.ctx.account, last)
    return {"conditions": ("(created, seq) < (?, ?)",), "arguments": (row["created"], row["seq"])} if row else {}


def _older(visit: Visit, found: list[Doc]) -> str | None:
    return f"{visit.path}?after={found[-1]['id']}" if len(found) == _ROWS else None


def _row(doc: Doc) -> Doc:
    created = doc.get("created")
    return {
        "id": doc["id"],
        "summary": _summary(doc),
        "customer": doc.get("customer"),
        "created": words.instant(created) if isinstance(created, int) else created or "",
    }


def _summary(doc: Doc) -> str:
    """Return what tells one object from the next."""
    told = [
        str(doc[name])
        for name in ("status", "name", "display_name", "email", "number", "type", "kind")
        if doc.get(name)
    ]
    return "deleted" if doc.get("deleted") else ", ".join(told[:3])


def one(visit: Visit) -> Response:
    """Show one object as the API does, and the events about it."""
    ctx = visit.ctx
    row = ctx.store.row("SELECT kind FROM objects WHERE account=? AND id=?", ctx.account, visit.ids["id"])
    if row is None or row["kind"] not in ctx.kinds:
        raise NotFound("There is no such object.")
    doc = ctx.find(row["kind"], visit.ids["id"]) or {}
    about = Page(
        kind="event", conditions=("json_extract(body,'$.data.object.id')=?",), arguments=(doc["id"],), limit=_ROWS
    )
    return _page(
        visit,
        "inspector_object.html",
        doc=doc,
        kind=row["kind"],
        parts=linked(json.dumps(ctx.shown(doc), indent=2, ensure_ascii=False)),
        events=[] if row["kind"] == "event" else ctx.select(about),
        answers=_answers(visit, doc["id"]) if row["kind"] == "event" else [],
        waiting=_waiting(visit, doc["id"]) if row["kind"] == "event" else [],
    )


def linked(text: str) -> list[tuple[str, bool]]:
    """Return a JSON text in pieces, each with whether it is an object's id."""
    parts: list[tuple[str, bool]] = []
    at = 0
    for match in _ID.finditer(text):
        parts += [(text[at : match.start()], False), (match[0], "_secret_" not in match[0])]
        at = match.end()
    return [*parts, (text[at:], False)]


def _answers(visit: Visit, event_id: str) -> list[Doc]:
    rows = visit.ctx.store.rows(
        "SELECT url, endpoint, sent_at, took_ms, status, answer FROM delivery_answers WHERE account=? AND event=?"
        " ORDER BY seq DESC LIMIT ?",
        *(visit.ctx.account, event_id, _ROWS),
    )
    return [dict(row) for row in rows]


def _waiting(visit: Visit, event_id: str) -> list[Doc]:
    rows = visit.ctx.store.rows(
        "SELECT endpoint, attempts, next_at FROM deliveries WHERE account=? AND event=? ORDER BY seq LIMIT ?",
        *(visit.ctx.account, event_id, _ROWS),
    )
    return [dict(row) for row in rows]


def events(visit: Visit) -> Response:
    """List events with how their deliveries went."""
    found = visit.ctx.select(Page(kind="event", limit=_ROWS, **_before(visit)))
    rows = [(event, _answers(visit, event["id"])) for event in found]
    return _page(visit, "inspector_events.html", rows=rows, older=_older(visit, found))


def faults(visit: Visit) -> Response:
    """Show the fault switches and what they struck."""
    return _fault_page(visit, {}, {})


def _fault_page(visit: Visit, typed: dict[str, str], errors: dict[str, str], status: int = 200) -> Response:
    return _page(
        visit,
        "inspector_faults.html",
        status,
        faults=visit.ctx.select(Page(kind=FAULT)),
        log=visit.ctx.select(Page(kind=INJECTION, limit=_ROWS)),
        fault_kinds=KINDS,
        request_kinds=REQUEST_KINDS,
        typed=typed,
        errors=errors,
    )


def add_fault(visit: Visit) -> Response:
    """Switch a fault on as the API does; empty fields are left out."""
    sent = {name: value for name, value in visit.form.items() if value}
    try:
        with visit.ctx.store.attempt():
            desk.act(visit.ctx, "POST", "/_sandbox/faults", {**sent})
    except StripeError as refusal:
        return _fault_page(visit, visit.form, {refusal.param or "kind": refusal.message}, refusal.status)
    return render.go(visit.path)


def drop_fault(visit: Visit) -> Response:
    """Switch a fault off."""
    desk.act(visit.ctx, "DELETE", f"/_sandbox/faults/{visit.ids['fault']}")
    return render.go(f"/inspect/{visit.ctx.account}/faults")


def advance_test_clock(visit: Visit) -> Response:
    """Ask a test clock to advance; it works on in the background."""
    home = f"/inspect/{visit.ctx.account}"
    clock_id = visit.ids["clock"]
    target = visit.ctx.get(TEST_CLOCK, clock_id)["frozen_time"] + seconds_of(visit.form)
    try:
        with visit.ctx.store.attempt():
            desk.act(
                visit.ctx, "POST", f"/v1/test_helpers/test_clocks/{clock_id}/advance", {"frozen_time": str(target)}
            )
    except StripeError as refusal:
        return render.notice("The clock does not move", refusal.message, status=refusal.status, link=(home, "Back"))
    return render.go(home)


def seconds_of(form: dict[str, str]) -> int:
    """Return how far a button wants a clock to go."""
    offered = {str(seconds): seconds for _label, seconds in STEPS}
    return offered.get(form.get("seconds", ""), HOUR_S)


def _page(visit: Visit, template: str, status: int = 200, **data: object) -> Response:
    return render.page(template, status, account=visit.ctx.account, home=f"/inspect/{visit.ctx.account}", **data)


_BASE = "/inspect/{account}"
PAGES: tuple[tuple[str, str, Callable[[Visit], Response]], ...] = (
    ("GET", _BASE, overview),
    ("GET", f"{_BASE}/events", events),
    ("GET", f"{_BASE}/faults", faults),
    ("POST", f"{_BASE}/faults", add_fault),
    ("POST", f"{_BASE}/faults/{{fault}}/delete", drop_fault),
    ("GET", f"{_BASE}/objects/{{kind}}", objects),
    ("GET", f"{_BASE}/object/{{id}}", one),
    ("POST", f"{_BASE}/clocks/{{clock}}/advance", advance_test_clock),
)
