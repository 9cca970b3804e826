"""How each test card behaves: what attaching it says and what charging it says.

Stripe: the ``pm_card_…`` tokens of its testing page; each attach makes a new payment method.
"""

from __future__ import annotations

from dataclasses import dataclass

from stripe_sandbox.wire.errors import CardDeclined

# Stripe: these are not charged again until another card is there; the schedule still counts.
HARD_DECLINES = frozenset(
    {
        "authentication_required",
        "highest_risk_level",
        "incorrect_number",
        "lost_card",
        "pickup_card",
        "revocation_of_all_authorizations",
        "revocation_of_authorization",
        "stolen_card",
        "transaction_not_allowed",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a bank says no."""

    code: str
    message: str
    decline_code: str | None = None

    def error(self) -> CardDeclined:
        """Return the refusal as an answer of the API."""
        param = {"incorrect_cvc": "cvc", "expired_card": "exp_month"}.get(self.code)
        return CardDeclined(self.message, code=self.code, param=param, decline_code=self.decline_code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One test card.

    ``on_charge`` says what an unauthenticated charge meets; a card that needs authentication answers as
    ``once_authenticated`` when its holder confirmed, and for good after that if it ``remembers``.
    """

    number: str
    brand: str = "visa"
    funding: str = "credit"
    on_attach: Refusal | None = None
    on_charge: Refusal | None = None
    needs_authentication: bool = False
    once_authenticated: Refusal | None = None
    remembers: bool = False
    disputes: bool = False
    cvc_check: str = "pass"

    def charge_refusal(self, *, authenticated: bool) -> Refusal | None:
        """Return why a charge fails, or None when it goes through."""
        return self.once_authenticated if self.needs_authentication and authenticated else self.on_charge


def _declined(decline_code: str, message: str = "Your card was declined.") -> Refusal:
    return Refusal(code="card_declined", message=message, decline_code=decline_code)


_AUTHENTICATION = Refusal(
    code="authentication_required",
    message="Your card was declined. This transaction requires authentication.",
    decline_code="authentication_required",
)
_GENERIC = _declined("generic_decline")
_INSUFFICIENT = _declined("insufficient_funds", "Your card has insufficient funds.")
_EXPIRED = Refusal(code="expired_card", message="Your card has expired.", decline_code="expired_card")
_CVC = Refusal(code="incorrect_cvc", message="Your card's security code is incorrect.", decline_code="incorrect_cvc")
_PROCESSING = Refusal(
    code="processing_error",
    message="An error occurred while processing your card. Try again in a little bit.",
    decline_code="processing_error",
)

_DECLINED_AT_ATTACH = {
    "chargeDeclined": ("4000000000000002", _GENERIC),
    "chargeDeclinedInsufficientFunds": ("4000000000009995", _INSUFFICIENT),
    "chargeDeclinedLostCard": ("4000000000009987", _declined("lost_card")),
    "chargeDeclinedStolenCard": ("4000000000009979", _declined("stolen_card")),
    "chargeDeclinedExpiredCard": ("4000000000000069", _EXPIRED),
    "chargeDeclinedIncorrectCvc": ("4000000000000127", _CVC),
    "chargeDeclinedProcessingError": ("4000000000000119", _PROCESSING),
    "chargeDeclinedVelocityLimitExceeded": ("4000000000006975", _declined("card_velocity_exceeded")),
}

# Stripe: any number that is none of its test cards is declined with this code in test mode.
NO_TEST_CARD = Refusal(
    code="card_declined",
    message="Your card was declined. This is test mode, and the number is none of the test cards.",
    decline_code="test_mode_live_card",
)

CARDS: dict[str, Card] = {
    "pm_card_visa": Card(number="4242424242424242"),
    "pm_card_visa_debit": Card(number="4000056655665556", funding="debit"),
    "pm_card_mastercard": Card(number="5555555555554444", brand="mastercard"),
    "pm_card_amex": Card(number="378282246310005", brand="amex"),
    "pm_card_discover": Card(number="6011111111111117", brand="discover"),
    "pm_card_diners": Card(number="3056930009020004", brand="diners"),
    "pm_card_jcb": Card(number="3566002020360505", brand="jcb"),
    "pm_card_unionpay": Card(number="6200000000000005", brand="unionpay"),
    "pm_card_chargeCustomerFail": Card(number="4000000000000341", on_charge=_GENERIC),
    "pm_card_threeDSecure2Required": Card(
        number="4000000000003220", on_charge=_AUTHENTICATION, needs_authentication=True
    ),
    "pm_card_authenticationRequired": Card(
        number="4000002500003155", on_charge=_AUTHENTICATION, needs_authentication=True, remembers=True
    ),
    "pm_card_threeDSecureRequiredChargeDeclined": Card(
        number="4000008400001629",
        on_charge=_AUTHENTICATION,
        needs_authentication=True,
        once_authenticated=_GENERIC,
    ),
    "pm_card_threeDSecureOptional": Card(number="4000000000003055"),
    "pm_card_createDispute": Card(number="4000000000000259", disputes=True),
    "pm_card_cvcCheckFail": Card(number="4000000000000101", cvc_check="fail"),
    **{f"pm_card_{name}": Card(number=row[0], on_attach=row[1]) for name, row in _DECLINED_AT_ATTACH.items()},
    **{f"pm_card_visa_{name}": Card(number=row[0], on_attach=row[1]) for name, row in _DECLINED_AT_ATTACH.items()},
}


def token_of(number: str) -> str | None:
    """Return the token of the test card with this number."""
    return next((token for token, card in CARDS.items() if card.number == number), None)
