"""The account behind a secret key, and the sandbox's own controls over it (paths under ``/_sandbox``)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

from stripe_sandbox import clock
from stripe_sandbox.context import Cause, Context
from stripe_sandbox.documents import Call, Doc, Kind, public, random_text
from stripe_sandbox.engine import dun, notices
from stripe_sandbox.objects.webhook_endpoint import new_endpoint
from stripe_sandbox.store import Store
from stripe_sandbox.wire.errors import BadRequest
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import Array, Choice, Integer, table

KIND = Kind(name="account", label="account")
_TAIL_LENGTH = 16
_HINT_LENGTH = 4
_MAX_RETRIES = 8
_DUNNING = table(
    {
        "invoice_outcome": Choice(words=dun.INVOICE_OUTCOMES),
        "outcome": Choice(words=dun.OUTCOMES),
        "retry_days": Array(Integer(minimum=1, maximum=60), _MAX_RETRIES),
    }
)
_MAX_NOTICE_DAYS = 60
_NOTICES = table({name: Integer(minimum=0, maximum=_MAX_NOTICE_DAYS) for name in ("upcoming_days", "will_be_due_days")})


def find_account(store: Store, secret_key: str) -> str | None:
    """Return the id of the account that belongs to a key."""
    row = store.row("SELECT id FROM accounts WHERE key_hash=?", _hash(secret_key))
    return None if row is None else str(row["id"])


def open_account(store: Store, secret_key: str) -> str:
    """Create the account of a key that is used for the first time."""
    account_id = "acct_" + random_text(_TAIL_LENGTH)
    store.run(
        "INSERT INTO accounts (id, key_hash, offset_s, body) VALUES (?,?,0,?)",
        *(account_id, _hash(secret_key), json.dumps(_account(account_id) | {"_key_hint": secret_key[-_HINT_LENGTH:]})),
    )
    return account_id


def ensure_endpoint(store: Store, kinds: dict[str, Kind], account: str, webhook: tuple[str, str]) -> None:
    """Give an account the webhook endpoint of the command line, unless it has one of that address."""
    ctx = Context(store, kinds, account, Cause())
    url, secret = webhook
    if not store.rows(
        "SELECT 1 FROM objects WHERE account=? AND kind='webhook_endpoint' AND json_extract(body,'$.url')=?",
        *(account, url),
    ):
        ctx.write(new_endpoint({"url": url, "enabled_events": ["*"]}, secret, ctx.now()))


def _hash(secret_key: str) -> str:
    return hashlib.sha256(secret_key.encode()).hexdigest()


def _account(account_id: str) -> Doc:
    return {
        "id": account_id,
        "object": "account",
        "business_profile": None,
        "business_type": None,
        "capabilities": {"card_payments": "active", "transfers": "active"},
        "charges_enabled": True,
        "country": "US",
        "created": clock.wall_s(),
        "default_currency": "usd",
        "details_submitted": True,
        "email": None,
        "groups": None,
        "metadata": {},
        "payouts_enabled": True,
        "settings": _settings(),
        "type": "standard",
    }


def _settings() -> Doc:
    prefixes = ("statement_descriptor_prefix", "statement_descriptor_prefix_kana", "statement_descriptor_prefix_kanji")
    descriptors = ("statement_descriptor", "statement_descriptor_kana", "statement_descriptor_kanji")
    return {
        "branding": dict.fromkeys(("icon", "logo", "primary_color", "secondary_color")),
        "card_payments": dict.fromkeys(prefixes),
        "dashboard": {"display_name": "Sandbox", "timezone": "Etc/UTC"},
        "payments": dict.fromkeys((*descriptors, *prefixes[1:])),
    }


def _body(ctx: Context) -> Doc:
    row = ctx.store.row("SELECT body FROM accounts WHERE id=?", ctx.account)
    body: Doc = json.loads(row["body"]) if row else {}
    return body


def _get(call: Call) -> Doc:
    return public(_body(call.ctx))


def _forget(call: Call) -> Doc:
    call.ctx.store.forget_account(call.ctx.account)
    return {"id": call.ctx.account, "object": "account", "deleted": True}


def _read_clock(call: Call) -> Doc:
    return clock_answer(call.ctx.store, call.ctx.account)


def clock_answer(store: Store, account: str) -> Doc:
    """Return what the clock endpoints answer."""
    now_s = clock.account_now_s(store, account)
    return {"object": "sandbox.clock", "now": now_s, "offset_seconds": clock.offset_s(store, account)}


def _set_dunning(call: Call) -> Doc:
    sent: Doc = {
        name: call.params[name] for name in ("invoice_outcome", "outcome", "retry_days") if name in call.params
    }
    days = sent.get("retry_days", [])
    if days != sorted(set(days)):
        raise BadRequest("retry_days must rise from one day to the next.", param="retry_days")
    _keep(call.ctx, dun.SETTINGS, sent)
    return _read_dunning(call)


def _keep(ctx: Context, name: str, sent: Doc) -> None:
    body = _body(ctx)
    body[name] = {**body.get(name, {}), **sent}
    ctx.store.run("UPDATE accounts SET body=? WHERE id=?", json.dumps(body), ctx.account)


def _read_dunning(call: Call) -> Doc:
    return {"object": "sandbox.dunning"} | asdict(dun.policy(call.ctx))


def _set_notices(call: Call) -> Doc:
    """Set the days for whatever is expected from now on."""
    _keep(call.ctx, notices.SETTINGS, {name: call.params[name] for name in call.params if name != "expand"})
    return _read_notices(call)


def _read_notices(call: Call) -> Doc:
    return {"object": "sandbox.notices"} | asdict(notices.notice(call.ctx))


def _meter_faults(call: Call) -> Doc:
    rows = call.ctx.store.rows(
        "SELECT event_name, identifier, fault, timestamp, received_at FROM meter_events"
        " WHERE account=? AND fault IS NOT NULL ORDER BY seq DESC LIMIT 1000",
        call.ctx.account,
    )
    return {"object": "list", "data": [dict(row) for row in rows], "has_more": False, "url": "/_sandbox/meter_faults"}


ENDPOINTS = (
    Endpoint("GET", "/v1/account", table(), _get),
    Endpoint("DELETE", "/_sandbox/account", table(), _forget),
    Endpoint("GET", "/_sandbox/clock", table(), _read_clock),
    Endpoint("GET", "/_sandbox/meter_faults", table(), _meter_faults),
    Endpoint("GET", "/_sandbox/dunning", table(), _read_dunning),
    Endpoint("POST", "/_sandbox/dunning", _DUNNING, _set_dunning),
    Endpoint("GET", "/_sandbox/notices", table(), _read_notices),
    Endpoint("POST", "/_sandbox/notices", _NOTICES, _set_notices),
)
