"""From an endpoint's parameter table: values that fit, and values that do not with the refusal each must get."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stripe_sandbox.wire import schema

FITTING = {
    "https?": "http://127.0.0.1:9/x",
    "@": "ada@example.com",
    "[A-Za-z]{3}": "usd",
    "[A-Z0-9]": "ABC123",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """A form with one wrong field, and the refusal it must get."""

    form: dict[str, str]
    param: str
    code: str | None
    message: str


def fitting(kind: Any, name: str) -> dict[str, str]:
    """The form fields of a value that this type takes."""
    match kind:
        case schema.Hash():
            names = kind.required or tuple(kind.fields)[:1]
            fields = [fitting(kind.fields[field], f"{name}[{field}]") for field in names]
            return {key: value for field in fields for key, value in field.items()}
        case schema.Array():
            return fitting(kind.of, f"{name}[0]")
        case schema.Choice() | schema.Either():
            return {name: kind.words[0]}
        case schema.Integer():
            return {name: str(max(kind.minimum, 1))}
        case schema.Boolean():
            return {name: "true"}
        case schema.StringMap():
            return {f"{name}[stripe_customer_id]": "cus_x", f"{name}[value]": "1"}
        case schema.Text():
            pattern = kind.pattern or ""
            return {name: next((text for mark, text in FITTING.items() if pattern and mark in pattern), "x")}
    return {name: "1"}


def required(table: schema.Hash) -> dict[str, str]:
    """The smallest form that the table takes."""
    return {key: value for name in table.required for key, value in fitting(table.fields[name], name).items()}


def misfits(table: schema.Hash) -> Iterator[Misfit]:
    """One wrong value for every field of a table, with nothing else wrong."""
    base = required(table)
    for name, kind in table.fields.items():
        others = {key: value for key, value in base.items() if key != name and not key.startswith(f"{name}[")}
        found = _misfit(kind, name)
        if found is not None:
            form, code, message = found
            yield Misfit(form=others | form, param=name, code=code, message=message)


def _misfit(kind: Any, name: str) -> tuple[dict[str, str], str | None, str] | None:
    match kind:
        case schema.Integer() | schema.Either() | schema.Range():
            return {name: "abc"}, "parameter_invalid_integer", "Invalid integer: abc"
        case schema.Number():
            return {name: "abc"}, "parameter_invalid_decimal", "Invalid decimal: abc"
        case schema.Boolean():
            return {name: "perhaps"}, None, "Invalid boolean: perhaps"
        case schema.Choice():
            return {name: "nonsense"}, None, f"Invalid {name}: must be "
        case schema.Hash() | schema.StringMap() | schema.Metadata() | schema.Array():
            return {name: "nonsense"}, None, "Invalid array" if isinstance(kind, schema.Array) else "Invalid object"
        case schema.Text():
            return {f"{name}[a]": "b"}, None, f"Invalid string: {name} must not be a hash or an array"
        case schema.NotSimulated():
            return {name: "nonsense"}, "sandbox_not_simulated", "This sandbox does not simulate"
    return None
