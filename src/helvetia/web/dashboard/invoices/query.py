"""Which invoices a list shows: year and status from the address; what is no such thing shows all. Pure."""

from dataclasses import dataclass
from urllib.parse import urlencode

from helvetia.billing.model import InvoiceFilter

PATH = "/billing/invoices"
STATUSES = ("open", "paid", "draft", "void", "uncollectible")
_YEAR_FIRST, _YEAR_LAST = 2000, 9998


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceQuery:
    """The address of a list; `organization` keeps the account selected."""

    wanted: InvoiceFilter
    organization: str | None

    def address(self, path: str, **more: str | None) -> str:
        """The same list at another path, or with more in its query."""
        parts = {
            "year": None if self.wanted.year is None else str(self.wanted.year),
            "status": self.wanted.status,
            **more,
            "organizationId": self.organization,
        }
        query = urlencode({name: value for name, value in parts.items() if value})
        return f"{path}?{query}" if query else path


def to_query(year: str, status: str, organization: str | None) -> InvoiceQuery:
    is_year = year.isascii() and year.isdigit() and _YEAR_FIRST <= int(year[:9]) <= _YEAR_LAST
    wanted = InvoiceFilter(year=int(year) if is_year else None, status=status if status in STATUSES else None)
    return InvoiceQuery(wanted=wanted, organization=organization)
