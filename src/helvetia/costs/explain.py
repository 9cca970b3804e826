"""The arrow figure → why: the pieces it is the sum of, with their lives, readings, price and the one rounding. Pure."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from helvetia.costs.errors import InvalidUsageCursor
from helvetia.kernel.identity import ServiceId
from helvetia.kernel.money import EXACT
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import SOLD_UNITS
from helvetia.metering.history.model import PieceReading, UsagePiece
from helvetia.rating.rate_usage import RatedLine

READINGS_MAX = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceCursor:
    """Where a page of pieces ended."""

    period_start: datetime
    record_id: UUID

    @property
    def position(self) -> tuple[datetime, UUID]:
        return self.period_start, self.record_id

    def to_wire(self) -> str:
        text = f"{self.period_start.astimezone(UTC).isoformat()} {self.record_id}"
        return urlsafe_b64encode(text.encode()).decode()

    @classmethod
    def from_wire(cls, cursor: str) -> "PieceCursor":
        """Raises InvalidUsageCursor."""
        try:
            start, record_id = urlsafe_b64decode(cursor.encode()).decode().split(" ")
            period_start = datetime.fromisoformat(start)
            if period_start.tzinfo is None:
                raise InvalidUsageCursor
            return cls(period_start=period_start, record_id=UUID(record_id))
        except (ValueError, binascii.Error) as error:
            raise InvalidUsageCursor from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A figure and what it is made of: base quantity → sold quantity (cut to 6 places) × price → amount, half-up.

    `price_id` is Stripe's, None while the catalogue's own price is shown. `pieces` is one page of them.
    """

    service_id: ServiceId | None
    period: Period
    line: RatedLine
    price_id: str | None
    currency: str
    pieces: Sequence[UsagePiece]
    next_cursor: str | None

    @property
    def base_unit(self) -> str:
        return SOLD_UNITS[self.line.metric].base_unit

    @property
    def base_per_unit(self) -> int:
        return SOLD_UNITS[self.line.metric].base_per_unit

    @property
    def cost_minor(self) -> Decimal:
        """Before the rounding, with all its places."""
        return EXACT.multiply(self.line.quantity, self.line.unit_price_minor)


def page_of(found: Sequence[UsagePiece], limit: int) -> tuple[Sequence[UsagePiece], str | None]:
    """The first `limit` pieces, and the cursor of the page after them where there are more."""
    shown = found[:limit]
    if len(found) <= limit:
        return shown, None
    return shown, PieceCursor(period_start=shown[-1].period_start, record_id=shown[-1].id).to_wire()


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceEvidence:
    """One piece with its readings, at most READINGS_MAX; `are_readings_kept` is False where they were dropped."""

    piece: UsagePiece
    readings: Sequence[PieceReading]
    are_readings_kept: bool

    @property
    def readings_left_out_count(self) -> int:
        """How many more it was made of than are told here."""
        return max(0, self.piece.reading_count - len(self.readings)) if self.are_readings_kept else 0
