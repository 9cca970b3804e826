"""What came of a checkout, in words. Pure."""

from dataclasses import dataclass

from helvetia.billing.payments.read_checkout import CheckoutOutcome, CheckoutState
from helvetia.catalogue.plans import PLANS
from helvetia.subscriptions.model import SubscriptionRecord
from helvetia.web.dashboard.voice import Voice

LOOK_EVERY_S = 5
LOOKS_MAX = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutView:
    """`next_look`: the page asks again by itself, so many times at most; None when it need not, or has asked enough."""

    sentence: str
    text: str
    is_waiting: bool
    next_look: int | None
    refresh_s: int = LOOK_EVERY_S


def to_success_view(outcome: CheckoutOutcome, voice: Voice, *, look: int) -> CheckoutView:
    """Waiting, done, or never finished; what is not known yet is never called failed."""
    if outcome.state is CheckoutState.CONFIRMED:
        return _still(voice.say("You are on {plan}.", plan=_title(outcome.record)), _started(outcome.record, voice))
    if outcome.state is CheckoutState.OPEN:
        return _still(voice.say("The payment is not finished."), voice.say("Nothing was charged."))
    if outcome.state is CheckoutState.EXPIRED:
        return _still(voice.say("This checkout has run out."), voice.say("Nothing was charged. Choose a plan again."))
    if look >= LOOKS_MAX:
        text = voice.say(
            "Stripe has taken your payment details; our records do not show the plan yet. It appears here and by e-mail"
            " as soon as Stripe answers. You need not pay again."
        )
        return CheckoutView(
            sentence=voice.say("It takes longer than usual."), text=text, is_waiting=True, next_look=None
        )
    text = voice.say("This page looks again every few seconds. You need not do anything.")
    return CheckoutView(sentence=voice.say("Confirming the payment."), text=text, is_waiting=True, next_look=look + 1)


def to_cancel_view(record: SubscriptionRecord, voice: Voice) -> CheckoutView:
    """Back from Stripe's page without paying; what the account has says our own record."""
    if record.is_live_at_stripe:
        return _still(voice.say("You are on {plan}.", plan=_title(record)), _started(record, voice))
    text = voice.say("You left the payment page; nothing was charged and nothing was changed.")
    return _still(voice.say("Nothing was bought."), text)


def _started(record: SubscriptionRecord, voice: Voice) -> str:
    return voice.say(
        "{fee} a month. The next invoice, with the usage until then, is on {day}.",
        fee=voice.money(record.fee_minor, record.currency),
        day=voice.day(record.period.ends_at),
    )


def _still(sentence: str, text: str) -> CheckoutView:
    return CheckoutView(sentence=sentence, text=text, is_waiting=False, next_look=None)


def _title(record: SubscriptionRecord) -> str:
    return PLANS[record.plan].title
