"""Payment intents and setup intents made and confirmed by callers.

Stripe: ``payment_method_types`` cannot be sent any more; an intent moves only from the states that allow it.
"""

from __future__ import annotations

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Call, Doc, Kind, Params
from stripe_sandbox.engine.cards import CARDS
from stripe_sandbox.engine.confirm import Confirmation, confirm_payment, confirm_setup, invoice_of
from stripe_sandbox.engine.intents import intent_doc
from stripe_sandbox.engine.setups import setup_doc
from stripe_sandbox.objects import payment_method
from stripe_sandbox.wire.errors import BadRequest, StripeError, missing_param
from stripe_sandbox.wire.paging import Listing, answer_list, json_field
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import (
    Boolean,
    Choice,
    Hash,
    Integer,
    Metadata,
    NotSimulated,
    Range,
    Text,
    Type,
    list_table,
    merge_metadata,
    table,
)

_PAYMENTS, _SETUPS = "/v1/payment_intents", "/v1/setup_intents"
_MAX_MINOR = 99_999_999
SETUP_KIND = Kind(
    name="setup_intent",
    label="setupintent",
    expandable={"customer": "customer", "payment_method": "payment_method"},
)
_REASONS = ("abandoned", "duplicate", "fraudulent", "requested_by_customer")
_CANCELABLE = frozenset({"requires_payment_method", "requires_confirmation", "requires_action", "processing"})
_CONFIRMABLE = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})


class _Gone:
    """A parameter that the API dropped; it is refused by name."""

    def parse(self, _raw: object, path: str) -> object:
        """Refuse."""
        message = f"{path} can no longer be sent; use dynamic payment methods."
        raise BadRequest(message, code="payment_method_types_no_longer_supported", param=path)


_AUTOMATIC = Hash(fields={"enabled": Boolean(), "allow_redirects": Choice(words=("always", "never"))})
_SHARED: dict[str, Type] = {
    "automatic_payment_methods": _AUTOMATIC,
    "confirm": Boolean(),
    "customer": Text(),
    "description": Text(clearable=True),
    "metadata": Metadata(),
    "payment_method": Text(),
    "payment_method_types": _Gone(),
    "return_url": Text(),
}
CREATE_PAYMENT = table(
    {
        **_SHARED,
        "amount": Integer(minimum=1, maximum=_MAX_MINOR),
        "capture_method": NotSimulated(("automatic", "automatic_async")),
        "currency": Text(pattern=r"[A-Za-z]{3}"),
        "off_session": Boolean(),
        "receipt_email": Text(clearable=True),
        "setup_future_usage": Choice(words=("off_session", "on_session"), clearable=True),
    },
    ("amount", "currency"),
)
CREATE_SETUP = table({**_SHARED, "usage": Choice(words=("off_session", "on_session"))})
_CONFIRM: dict[str, Type] = {"payment_method": Text(), "return_url": Text()}
_CANCEL = table({"cancellation_reason": Choice(words=_REASONS)})


def _customer(ctx: Context, sent: Params) -> Doc | None:
    return ctx.get("customer", sent["customer"], "customer") if "customer" in sent else None


def _common(ctx: Context, sent: Params) -> Doc:
    chosen = {name: sent[name] for name in ("description", "receipt_email", "setup_future_usage") if name in sent}
    method = _method(ctx, sent, sent.get("customer"))
    automatic = {"allow_redirects": "always", "enabled": True} | (sent.get("automatic_payment_methods") or {})
    return chosen | {
        "automatic_payment_methods": automatic,
        "metadata": sent.get("metadata") or {},
        "payment_method": method["id"] if method else None,
        "status": "requires_confirmation" if method else "requires_payment_method",
    }


def _method(ctx: Context, sent: Params, customer: str | None) -> Doc | None:
    """Return the sent payment method; a test token becomes one, attached where there is a customer."""
    name = sent.get("payment_method")
    if name is None:
        return None
    if name in CARDS:
        return payment_method.from_token(ctx, name)
    method = ctx.get("payment_method", name, "payment_method")
    if customer and method["customer"] not in (None, customer):
        payment_method.check_owner(ctx, name, customer, "payment_method")
    return method


def _create_payment(call: Call) -> Doc:
    ctx, sent = call.ctx, call.params
    customer = _customer(ctx, sent)
    now_s = ctx.now(customer["test_clock"] if customer else None)
    intent = intent_doc(sent["amount"], sent["currency"].lower(), sent.get("customer"), now_s) | _common(ctx, sent)
    shown = ctx.add(intent, "payment_intent.created")
    if not sent.get("confirm"):
        return shown
    return _confirm(ctx, intent, sent)


def _confirm(ctx: Context, intent: Doc, sent: Params) -> Doc:
    if intent["status"] not in _CONFIRMABLE:
        raise _unexpected("payment_intent", intent, "confirm")
    chosen = {"payment_method": sent.get("payment_method", intent["payment_method"])}
    if chosen["payment_method"] is None:
        raise missing_param("payment_method")
    method = _method(ctx, chosen, intent["customer"]) if "confirm" not in sent else None
    method = method or ctx.get("payment_method", intent["payment_method"])
    confirmation = Confirmation(method=method, off_session=sent.get("off_session", False))
    refusal = confirm_payment(ctx, intent, confirmation)
    shown = ctx.shown(ctx.get("payment_intent", intent["id"]))
    if refusal is not None:
        refusal.keeps_changes = True
        refusal.extra["payment_intent"] = shown
        raise refusal
    return shown


def _confirm_payment(call: Call) -> Doc:
    return _confirm(call.ctx, call.ctx.get("payment_intent", call.ids[0]), call.params)


def _cancel_payment(call: Call) -> Doc:
    ctx = call.ctx
    intent = ctx.get("payment_intent", call.ids[0])
    if intent["status"] not in _CANCELABLE:
        raise _unexpected("payment_intent", intent, "cancel")
    invoice = invoice_of(ctx, intent["id"])
    if invoice is not None:
        raise BadRequest("The payment of an invoice ends with its invoice: void the invoice instead.")
    return _canceled(call, intent)


def _canceled(call: Call, intent: Doc) -> Doc:
    intent |= {"status": "canceled", "cancellation_reason": call.params.get("cancellation_reason"), "next_action": None}
    if intent["object"] == "payment_intent":
        intent["canceled_at"] = call.ctx.now()
    return call.ctx.add(intent, f"{intent['object']}.canceled")


def _update_payment(call: Call) -> Doc:
    intent, sent = call.ctx.get("payment_intent", call.ids[0]), call.params
    if "description" in sent:
        intent["description"] = sent["description"]
    if "metadata" in sent:
        intent["metadata"] = merge_metadata(intent["metadata"], sent["metadata"])
    return call.ctx.add(intent, None)


def _create_setup(call: Call) -> Doc:
    ctx, sent = call.ctx, call.params
    customer = _customer(ctx, sent)
    now_s = ctx.now(customer["test_clock"] if customer else None)
    common = _common(ctx, sent)
    intent = setup_doc(now_s) | common | {"customer": sent.get("customer"), "usage": sent.get("usage", "off_session")}
    shown = ctx.add(intent, "setup_intent.created")
    if not sent.get("confirm"):
        return shown
    return _confirm_setup_of(ctx, intent, {})


def _confirm_setup_of(ctx: Context, intent: Doc, sent: Params) -> Doc:
    if intent["status"] not in _CONFIRMABLE:
        raise _unexpected("setup_intent", intent, "confirm")
    method = _method(ctx, sent, intent["customer"])
    if method is None and intent["payment_method"] is None:
        raise missing_param("payment_method")
    refusal = confirm_setup(ctx, intent, method or ctx.get("payment_method", intent["payment_method"]))
    shown = ctx.shown(ctx.get("setup_intent", intent["id"]))
    if refusal is not None:
        refusal.keeps_changes = True
        refusal.extra["setup_intent"] = shown
        raise refusal
    return shown


def _confirm_setup(call: Call) -> Doc:
    return _confirm_setup_of(call.ctx, call.ctx.get("setup_intent", call.ids[0]), call.params)


def _cancel_setup(call: Call) -> Doc:
    intent = call.ctx.get("setup_intent", call.ids[0])
    if intent["status"] not in _CANCELABLE:
        raise _unexpected("setup_intent", intent, "cancel")
    return _canceled(call, intent)


def _unexpected(kind: str, intent: Doc, act: str) -> StripeError:
    message = f"You cannot {act} this {kind} because it has a status of {intent['status']}."
    return BadRequest(message, code=f"{kind}_unexpected_state")


def _get_setup(call: Call) -> Doc:
    return call.ctx.shown(call.ctx.get("setup_intent", call.ids[0]))


def _list_setups(call: Call) -> Doc:
    equals = {"customer": "customer", "payment_method": json_field("payment_method")}
    return answer_list(call, Listing(kind="setup_intent", url=_SETUPS, equals=equals, ranges={"created": "created"}))


ENDPOINTS = (
    Endpoint("POST", _PAYMENTS, CREATE_PAYMENT, _create_payment),
    Endpoint("POST", f"{_PAYMENTS}/*", table({"description": Text(), "metadata": Metadata()}), _update_payment),
    Endpoint("POST", f"{_PAYMENTS}/*/confirm", table({**_CONFIRM, "off_session": Boolean()}), _confirm_payment),
    Endpoint("POST", f"{_PAYMENTS}/*/cancel", _CANCEL, _cancel_payment),
    Endpoint("POST", _SETUPS, CREATE_SETUP, _create_setup),
    Endpoint(
        "GET", _SETUPS, list_table({"created": Range(), "customer": Text(), "payment_method": Text()}), _list_setups
    ),
    Endpoint("GET", f"{_SETUPS}/*", table(), _get_setup),
    Endpoint("POST", f"{_SETUPS}/*/confirm", table(_CONFIRM), _confirm_setup),
    Endpoint("POST", f"{_SETUPS}/*/cancel", _CANCEL, _cancel_setup),
)
