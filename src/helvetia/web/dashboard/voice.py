"""How a page speaks to its reader: sentences in their language, figures and instants in its forms and their zone.

English is the language of the source; the others come from `locale/`. Amounts and quantities are exact: a language
changes signs and separators, a zone changes how an instant reads, and neither ever changes a figure.
"""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

from babel.dates import format_date
from babel.numbers import get_group_symbol

from helvetia.kernel.money import Money
from helvetia.web.dashboard.catalog import LANGUAGES, Catalog, catalog_of

_SIGNS = {"usd": "$"}
_THOUSAND = Decimal(1_000)
_CENTI = Decimal("0.01")
_DAYS_KEPT = 2_048


@dataclass(frozen=True, slots=True)
class Forms:
    """What a language does to figures; Babel knows the names of months and the sign between groups of digits."""

    locale: str
    money_gap: str
    day: str
    day_with_year: str
    short_day: str
    shortest_day: str
    month: str


_FORMS = {
    "en": Forms("en_US", "", "d MMMM", "d MMMM y", "d MMM y", "d MMM", "MMMM y"),
    "de": Forms("de_CH", "\N{NO-BREAK SPACE}", "d. MMMM", "d. MMMM y", "d. MMM y", "d. MMM", "MMMM y"),
}


@lru_cache(maxsize=_DAYS_KEPT)
def _day_words(day: date, form: str, locale: str) -> str:
    """Kept: a page says the same few days over and over, and Babel reads the form anew each time."""
    return format_date(day, form, locale=locale)


@lru_cache(maxsize=len(LANGUAGES))
def _group_sign(locale: str) -> str:
    return get_group_symbol(locale)


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """One reader's language and zone at one instant; `now` decides where a year need not be said."""

    now: datetime
    language: str = LANGUAGES[0]
    zone: tzinfo = UTC
    _catalog: Catalog = field(init=False)
    _forms: Forms = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_catalog", catalog_of(self.language))
        object.__setattr__(self, "_forms", _FORMS[self.language])

    def say(self, text: str, **values: object) -> str:
        """The sentence in the reader's language, its `{names}` filled in; figures come ready as words."""
        return self._catalog.one(text).format(**values)

    def say_plainly(self, text: str) -> str:
        """A sentence without names to fill in; braces in it stand for themselves."""
        return self._catalog.one(text)

    def many(self, one: str, other: str, count: int, **values: object) -> str:
        """The form that fits the count, which is also the value `{count}`."""
        return self._catalog.plural(one, other, count).format(count=self.number(Decimal(count), 0), **values)

    def money(self, amount_minor: int, currency: str) -> str:
        """$1,234.50, −$3.00, or CHF 12.00 where no sign is unmistakable."""
        amount = Money(amount_minor=abs(amount_minor), currency=currency).to_decimal()
        return f"{'−' if amount_minor < 0 else ''}{self._sign(currency)}{self.number(amount, 2)}"

    def unit_price(self, unit_price_minor: Decimal, currency: str) -> str:
        """$0.01 or $0.023: as many places as the price has, at least two."""
        amount = unit_price_minor.scaleb(-2).normalize()
        places = max(2, -int(amount.as_tuple().exponent))
        return f"{self._sign(currency)}{self.number(amount, places)}"

    def exact_money(self, amount_minor: Decimal, currency: str) -> str:
        """An amount before rounding, with all its places: $0.012345."""
        sign = "−" if amount_minor < 0 else ""
        return f"{sign}{self.unit_price(abs(amount_minor), currency)}"

    def quantity(self, value: Decimal) -> str:
        """Fewer places the larger it is; what is not zero never reads as zero."""
        if value == 0:
            return "0"
        if abs(value) >= _THOUSAND:
            places = 1
        elif abs(value) >= 1:
            places = 2
        else:
            places = 3 if abs(value) >= _CENTI else 6
        return self.number(value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP), places)

    def plain(self, value: Decimal) -> str:
        """A limit or a setting: no trailing zeros, no exponent."""
        text = self._grouped(f"{value:,f}")
        return text.rstrip("0").rstrip(".") if "." in text else text

    def number(self, value: Decimal, places: int) -> str:
        """Exactly so many places, digits in groups of three."""
        return self._grouped(f"{value:,.{places}f}")

    def megabytes(self, value_mb: int) -> str:
        """512 MB, 2 GB, 1.5 GB: exact, in the larger unit where it stays short."""
        gigabytes = Decimal(value_mb) / 1024
        if value_mb >= 1024 and gigabytes == round(gigabytes, 2):  # noqa: PLR2004 - 1 GB = 1024 MB
            return f"{self.plain(gigabytes)} GB"
        return f"{self.plain(Decimal(value_mb))} MB"

    def day(self, instant: datetime | date) -> str:
        """10 April; with the year where it is not the present one."""
        at = self._date(instant)
        form = self._forms.day if at.year == self._date(self.now).year else self._forms.day_with_year
        return _day_words(at, form, self._forms.locale)

    def short_day(self, instant: datetime | date) -> str:
        """10 Apr 2026."""
        return _day_words(self._date(instant), self._forms.short_day, self._forms.locale)

    def shortest_day(self, instant: datetime | date) -> str:
        """10 Apr: for marks along an axis."""
        return _day_words(self._date(instant), self._forms.shortest_day, self._forms.locale)

    def month(self, instant: datetime | date) -> str:
        """April 2026."""
        return _day_words(self._date(instant), self._forms.month, self._forms.locale)

    def span(self, starts_at: datetime, ends_at: datetime) -> str:
        """10 Mar 2026 – 10 Apr 2026; a single day, like a first invoice's, stands alone."""
        first, last = self.short_day(starts_at), self.short_day(ends_at)
        return first if first == last else f"{first} – {last}"

    def instant(self, moment: datetime) -> str:
        """14:32:10 UTC; with the day where that is not today."""
        time = f"{moment.astimezone(self.zone):%H:%M:%S %Z}"
        return time if self._date(moment) == self._date(self.now) else f"{self.day(moment)}, {time}"

    def full_instant(self, moment: datetime) -> str:
        """10 Apr 2026, 14:32 UTC: never without its day and its zone."""
        return f"{self.short_day(moment)}, {moment.astimezone(self.zone):%H:%M %Z}"

    def duration(self, span: timedelta) -> str:
        """5 days 4 hours, 4 hours 10 minutes, 10 minutes: the two largest units, cut down."""
        minutes = max(0, int(span.total_seconds())) // 60
        days, hours = minutes // (24 * 60), minutes // 60 % 24
        if days:
            parts = [self.many("{count} day", "{count} days", days)]
            parts += [self.many("{count} hour", "{count} hours", hours)] if hours else []
        elif hours:
            parts = [self.many("{count} hour", "{count} hours", hours)]
            parts += [self.many("{count} minute", "{count} minutes", minutes % 60)] if minutes % 60 else []
        else:
            parts = [self.many("{count} minute", "{count} minutes", minutes)]
        return " ".join(parts)

    @property
    def zone_name(self) -> str:
        """UTC, or the name of the reader's zone with its spaces: Europe/Zurich."""
        return str(self.zone).replace("_", " ")

    def percent(self, part: Decimal, whole: Decimal) -> str:
        """Whole percents, cut down, so that 100 % is only said when it is reached."""
        return f"{part * 100 // whole} %"

    def _sign(self, currency: str) -> str:
        gap = self._forms.money_gap
        return f"{_SIGNS[currency]}{gap}" if currency in _SIGNS else f"{currency.upper()}\N{NO-BREAK SPACE}"

    def _grouped(self, text: str) -> str:
        return text.replace(",", _group_sign(self._forms.locale)).replace("-", "−")

    def _date(self, instant: datetime | date) -> date:
        return instant.astimezone(self.zone).date() if isinstance(instant, datetime) else instant
