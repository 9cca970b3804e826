"""Figures and instants as people read them. All times are UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from stripe_sandbox.documents import Doc

_SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£"}
_NO_DECIMALS = frozenset(
    {"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf"}
)
_MINOR_DIGITS = 2
_BRANDS = {
    "amex": "American Express",
    "diners": "Diners Club",
    "discover": "Discover",
    "jcb": "JCB",
    "mastercard": "Mastercard",
    "unionpay": "UnionPay",
    "visa": "Visa",
}


def money(amount_minor: int, currency: str) -> str:
    """Return an amount of minor units with its currency, such as ``$1,234.50``."""
    digits = 0 if currency in _NO_DECIMALS else _MINOR_DIGITS
    return _with_currency(f"{abs(Decimal(amount_minor)) / 10**digits:,.{digits}f}", currency, negative=amount_minor < 0)


def unit_price(unit_minor: str, currency: str) -> str:
    """Return an exact price of one unit, with as many places as it needs but at least the usual ones."""
    digits = 0 if currency in _NO_DECIMALS else _MINOR_DIGITS
    exact = Decimal(unit_minor).scaleb(-digits)
    places = max(digits, -int(exact.normalize().as_tuple().exponent))
    return _with_currency(f"{exact:,.{places}f}", currency, negative=False)


def _with_currency(number: str, currency: str, *, negative: bool) -> str:
    sign = "\N{MINUS SIGN}" if negative else ""
    symbol = _SYMBOLS.get(currency)
    return f"{sign}{symbol}{number}" if symbol else f"{sign}{number}\N{NO-BREAK SPACE}{currency.upper()}"


def day(at_s: int) -> str:
    """Return a date such as ``1 January 2026``."""
    at = datetime.fromtimestamp(at_s, UTC)
    return f"{at.day} {at:%B %Y}"


def instant(at_s: float) -> str:
    """Return an instant such as ``2026-01-01 12:30:05 UTC``."""
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d %H:%M:%S} UTC"


def rhythm(recurring: Doc) -> str:
    """Return how often something is billed: ``month``, or ``3 months``."""
    count, unit = recurring["interval_count"], recurring["interval"]
    return str(unit) if count == 1 else f"{count} {unit}s"


def card_name(method: Doc) -> str:
    """Return a card as ``Visa •••• 4242``."""
    card = method["card"]
    return f"{_BRANDS.get(card['brand'], card['brand'].title())} •••• {card['last4']}"


def card_expiry(method: Doc) -> str:
    """Return when a card expires as ``12 / 2030``."""
    return f"{method['card']['exp_month']:02d} / {method['card']['exp_year']}"


def sentence(word: str) -> str:
    """Return a wire word as people write it: ``past_due`` → ``Past due``."""
    return word.replace("_", " ").capitalize()
