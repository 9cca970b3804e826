"""Typed card fields → a test card, or what is wrong with which field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from stripe_sandbox.engine.cards import CARDS, NO_TEST_CARD, token_of
from stripe_sandbox.objects.checkout_complete import EnteredCard
from stripe_sandbox.wire.errors import StripeError

_LENGTHS = range(12, 20)
_CENTURY = 2000
_LAST_MONTH = 12
_TEN = 10
_FARTHEST_YEARS = 50
# What the page offers to try; every other test card works as well.
SUGGESTED = (
    ("4242 4242 4242 4242", "is paid"),
    ("5555 5555 5555 4444", "is paid, Mastercard"),
    ("4000 0000 0000 0002", "is declined"),
    ("4000 0000 0000 9995", "has insufficient funds"),
    ("4000 0000 0000 0341", "can be saved, every charge fails"),
    ("4000 0000 0000 3220", "asks for 3-D Secure"),
    ("4000 0084 0000 1629", "asks for 3-D Secure, then is declined"),
)


def read(form: Mapping[str, str], now_s: int) -> tuple[EnteredCard | None, dict[str, str]]:
    """Return the card and no errors, or no card and the errors by field."""
    number = re.sub(r"[\s-]", "", form.get("cardNumber", ""))
    token = token_of(number)
    errors = {
        "cardNumber": _number_error(number, token),
        "cardExpiry": _expiry_error(form.get("cardExpiry", ""), now_s),
        "cardCvc": _cvc_error(form.get("cardCvc", ""), token),
        "billingName": None if form.get("billingName") else "Enter the name on the card.",
    }
    found = {name: error for name, error in errors.items() if error}
    if found or token is None:
        return None, found
    month, year = _expiry(form["cardExpiry"]) or (0, 0)
    return EnteredCard(token=token, exp_month=month, exp_year=year, holder=form["billingName"][:256]), {}


def field_of(refusal: StripeError) -> str:
    """Return the field a refusal is shown at."""
    return {"cvc": "cardCvc", "exp_month": "cardExpiry"}.get(refusal.param or "", "cardNumber")


def _number_error(number: str, token: str | None) -> str | None:
    if not number:
        return "Enter a card number."
    if not number.isascii() or not number.isdigit() or len(number) not in _LENGTHS or not _is_luhn(number):
        return "This card number is not valid."
    return None if token else NO_TEST_CARD.message


def _is_luhn(number: str) -> bool:
    digits = [int(digit) for digit in reversed(number)]
    doubled = [sum(divmod(digit * 2, _TEN)) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % _TEN == 0


def _expiry(text: str) -> tuple[int, int] | None:
    match = re.fullmatch(r"\s*(\d{1,2})\s*[/.\- ]?\s*(\d{2}|20\d{2})\s*", text, re.ASCII)
    if match is None:
        return None
    month, year = int(match[1]), int(match[2])
    return month, year if year >= _CENTURY else _CENTURY + year


def _expiry_error(text: str, now_s: int) -> str | None:
    parsed = _expiry(text)
    if parsed is None or not 1 <= parsed[0] <= _LAST_MONTH:
        return "Enter the expiry as MM / YY."
    now = datetime.fromtimestamp(now_s, UTC)
    month, year = parsed
    if (year, month) < (now.year, now.month):
        return "This card has expired."
    return None if year <= now.year + _FARTHEST_YEARS else "Enter the expiry as MM / YY."


def _cvc_error(text: str, token: str | None) -> str | None:
    length = 4 if token and CARDS[token].brand == "amex" else 3
    valid = text.isascii() and text.isdigit() and len(text) == length
    return None if valid else f"Enter the {length} digits of the security code."
