"""Reading fields of Stripe's JSON: missing and null are the same, ids may be expanded objects, decimals are strings."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from helvetia.kernel.clock import from_unix_s
from helvetia.stripe_gateway.errors import StripeUnavailable

Json = Mapping[str, Any]


def read_instant(value: int | None) -> datetime | None:
    return None if value is None else from_unix_s(value)


def read_id(value: Any) -> str | None:
    """The id behind a reference that may be absent, plain or expanded."""
    if value is None:
        return None
    return str(value["id"]) if isinstance(value, Mapping) else str(value)


def read_own_id(raw: Json, kind: str) -> str:
    """The id of an object of this kind. Another one is no answer: Stripe, or somebody before it, spoke of else.

    Raises:
        StripeUnavailable
    """
    if read_path(raw, "object") != kind:
        raise StripeUnavailable(expected=kind, found=str(read_path(raw, "object")))
    return str(raw["id"])


def read_rows(answer: Json) -> list[Json]:
    """The objects of a list, or of one page of it. Raises StripeUnavailable when it is none."""
    if read_path(answer, "object") != "list":
        raise StripeUnavailable(expected="list", found=str(read_path(answer, "object")))
    return list(answer["data"])


def read_decimal(value: Any) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def read_path(value: Any, *path: str) -> Any:
    """The value at a path of keys, or None as soon as one is missing or null."""
    for key in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value
