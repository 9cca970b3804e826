"""The arrow usage → file: CSV and JSON lines of the exact view, streamed slice by slice in bounded memory. Pure.

Decimals have a dot and all their places, instants are ISO 8601 in UTC, nothing is localized. A text cell that a
spreadsheet would take for a formula gets an apostrophe before it.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from helvetia.costs.history import HistoryBlock
from helvetia.kernel.identity import ServiceId
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import SOLD_UNITS
from helvetia.metering.history.local_days import first_instant
from helvetia.metering.history.model import UTC_ZONE, Grain, UsageFilter

COLUMNS = (
    "starts_at",
    "ends_at",
    "service_id",
    "service_name",
    "metric",
    "quantity",
    "unit",
    "unit_price",
    "cost",
    "currency",
    "base_quantity",
    "base_unit",
)
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_SLICES = {Grain.HOUR: timedelta(days=1), Grain.DAY: timedelta(days=7), Grain.MONTH: timedelta(days=732)}


class ExportFormat(StrEnum):
    """What a file looks like."""

    CSV = "csv"
    JSON = "json"

    @property
    def media_type(self) -> str:
        return "text/csv; charset=utf-8" if self is ExportFormat.CSV else "application/x-ndjson"


def slices(wanted: UsageFilter) -> Iterator[Period]:
    """The range in parts that end at midnights of the view's zone, so that no bucket is cut in two by a part's edge."""
    start, end = wanted.period.starts_at, wanted.period.ends_at
    zone = UTC_ZONE if wanted.grain is Grain.HOUR else wanted.zone
    while start < end:
        next_start = min(first_instant(start.astimezone(zone).date() + _SLICES[wanted.grain], zone), end)
        yield Period(starts_at=start, ends_at=next_start)
        start = next_start


def to_file_rows(block: HistoryBlock, names: Mapping[ServiceId, str], currency: str) -> Iterator[tuple[str, ...]]:
    """The block's rows, their cells in the order of COLUMNS."""
    unit = SOLD_UNITS[block.metric]
    times = (_instant(block.starts_at), _instant(block.ends_at))
    metric, price = block.metric.value, _decimal(block.unit_price_minor.scaleb(-2))
    columns = zip(block.service_ids, block.base_quantities, block.quantities, block.costs_minor, strict=True)
    for service_id, base_quantity, quantity, cost_minor in columns:
        yield (
            *times,
            "" if service_id is None else str(service_id),
            "" if service_id is None else harmless(names.get(service_id, "")),
            metric,
            _decimal(quantity),
            unit.name,
            price,
            _decimal(cost_minor.scaleb(-2)),
            currency,
            str(base_quantity),
            unit.base_unit,
        )


def harmless(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def csv_lines(rows: Iterable[tuple[str, ...]]) -> str:
    """Rows as CSV (RFC 4180)."""
    page = io.StringIO()
    csv.writer(page).writerows(rows)
    return page.getvalue()


def json_lines(rows: Iterable[tuple[str, ...]]) -> str:
    """Rows as one JSON object a line, every value a string."""
    return "".join(f"{json.dumps(dict(zip(COLUMNS, row, strict=True)), ensure_ascii=False)}\n" for row in rows)


def _instant(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _decimal(value: Decimal) -> str:
    return format(value, "f")
