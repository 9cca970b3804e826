"""The rules of the wire: camelCase, unknown fields refused, strict types, UTC instants with a Z, decimals as text."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, PlainSerializer
from pydantic.alias_generators import to_camel


def to_wire_instant(instant: datetime) -> str:
    """ISO 8601 in UTC; fractions of a second only where there are any."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def to_wire_decimal(value: Decimal) -> str:
    """All digits, never an exponent."""
    return format(value, "f")


WireInstant = Annotated[datetime, PlainSerializer(to_wire_instant, return_type=str)]
WireDecimal = Annotated[Decimal, PlainSerializer(to_wire_decimal, return_type=str)]


class WireRequest(BaseModel):
    """What a client sends."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        strict=True,
        frozen=True,
        validate_by_name=False,
        validate_by_alias=True,
    )


class WireAnswer(BaseModel):
    """What a client gets."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, validate_by_name=True, validate_by_alias=False
    )
