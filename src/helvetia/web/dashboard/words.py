"""How figures read on a page: money, quantities, days and instants, in English and in UTC."""

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal

from helvetia.kernel.money import Money

_SIGNS = {"usd": "$"}
_THOUSAND = Decimal(1_000)
_CENTI = Decimal("0.01")


def money(amount_minor: int, currency: str) -> str:
    """$1,234.50, −$3.00, or CHF 12.00 where no sign is unmistakable."""
    amount = Money(amount_minor=abs(amount_minor), currency=currency).to_decimal()
    sign = "−" if amount_minor < 0 else ""
    return f"{sign}{_SIGNS.get(currency, currency.upper() + ' ')}{amount:,.2f}"


def unit_price(unit_price_minor: Decimal, currency: str) -> str:
    """$0.01 or $0.023: as many places as the price has, at least two."""
    amount = unit_price_minor.scaleb(-2).normalize()
    places = max(2, -int(amount.as_tuple().exponent))
    return f"{_SIGNS.get(currency, currency.upper() + ' ')}{amount:,.{places}f}"


def quantity(value: Decimal) -> str:
    """Fewer places the larger it is; what is not zero never reads as zero."""
    if value == 0:
        return "0"
    if abs(value) >= _THOUSAND:
        places = 1
    elif abs(value) >= 1:
        places = 2
    else:
        places = 3 if abs(value) >= _CENTI else 6
    return f"{value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP):,f}"


def plain(value: Decimal) -> str:
    """A limit or a setting: no trailing zeros, no exponent."""
    text = f"{value:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def megabytes(value_mb: int) -> str:
    """512 MB, 2 GB, 1.5 GB: exact, in the larger unit where it stays short."""
    gigabytes = Decimal(value_mb) / 1024
    if value_mb >= 1024 and gigabytes == round(gigabytes, 2):  # noqa: PLR2004 - 1 GB = 1024 MB
        return f"{plain(gigabytes)} GB"
    return f"{value_mb:,} MB"


def day(instant: datetime, now: datetime | None = None) -> str:
    """10 April; with the year where it is not the present one."""
    instant = instant.astimezone(UTC)
    text = f"{instant.day} {instant:%B}"
    return text if now is None or now.year == instant.year else f"{text} {instant.year}"


def short_day(instant: datetime) -> str:
    """10 Apr 2026."""
    instant = instant.astimezone(UTC)
    return f"{instant.day} {instant:%b} {instant.year}"


def span(starts_at: datetime, ends_at: datetime) -> str:
    """10 Mar 2026 – 10 Apr 2026; a single day, like a first invoice's, stands alone."""
    first, last = short_day(starts_at), short_day(ends_at)
    return first if first == last else f"{first} – {last}"


def instant(moment: datetime, now: datetime) -> str:
    """14:32:10 UTC; with the day where that is not today."""
    moment, now = moment.astimezone(UTC), now.astimezone(UTC)
    time = f"{moment:%H:%M:%S} UTC"
    return time if moment.date() == now.date() else f"{day(moment, now)}, {time}"


def percent(part: Decimal, whole: Decimal) -> Decimal:
    """Whole percents, cut down, so that 100 % is only said when it is reached."""
    return part * 100 // whole
