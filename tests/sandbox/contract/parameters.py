"""The parameters that the SDK declares beside those the sandbox takes, and the page that lists the differences.

``PYTHONPATH=src:tests python -m sandbox.contract.parameters > docs/sandbox-parameters.md`` writes the page anew.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import stripe
import typing_extensions

from sandbox.contract import sdk_types
from sandbox.contract.routes import CASES
from stripe_sandbox.objects.registry import build_router
from stripe_sandbox.wire import schema

REFUSED, UNKNOWN, MORE = "refused", "unknown", "more"
HEADER = """# Parameters of the Stripe sandbox

Every parameter of the official SDK (16.1.0) that [the sandbox](stripe-sandbox.md) does not simulate, on purpose: none
of them is used by the product. Whoever sends one is told so; nothing is ignored in silence. A test compares this page
with the SDK and with the sandbox.

* **not simulated**: refused with `sandbox_not_simulated`, unless its value asks for nothing (such as an empty string).
* **not known**: refused with `parameter_unknown`.
* **more**: taken although the SDK's classes do not declare it: `expand` where the SDK cannot send it, old names that
  are refused with a message of their own, and what raw requests may send.

Endpoints that are not listed take exactly what the SDK declares.

| endpoint | not simulated | not known | more |
|---|---|---|---|
"""


def differences() -> dict[str, dict[str, list[str]]]:
    """By endpoint: what is refused, unknown, and taken beyond the SDK's declaration."""
    client = stripe.StripeClient("sk_test_nobody")
    endpoints = {f"{one.method} {one.path}": one.params.fields for one in build_router().endpoints()}
    methods = {case.route: case.method for case in CASES}
    found = {}
    for route, dotted in sorted(methods.items()):
        of_route: dict[str, list[str]] = {REFUSED: [], UNKNOWN: [], MORE: []}
        for what, name in _compared(_declared(client, dotted), endpoints[route], ""):
            of_route[what].append(name)
        if any(of_route.values()):
            found[route] = {what: sorted(names) for what, names in of_route.items()}
    return found


def _declared(client: stripe.StripeClient, dotted: str) -> dict[str, Any]:
    method = sdk_types.method(client, dotted)
    return sdk_types.params_of(method) if "params" in method.__annotations__ else {}


def _compared(declared: Mapping[str, Any], taken: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    for name, hint in declared.items():
        place = f"{path}[{name}]" if path else name
        kind = taken.get(name)
        if kind is None:
            yield UNKNOWN, place
        elif isinstance(kind, schema.NotSimulated):
            yield REFUSED, place
        else:
            yield from _below(hint, kind, place)
    for name in taken.keys() - declared.keys():
        yield MORE, f"{path}[{name}]" if path else name


def _below(hint: Any, kind: Any, place: str) -> Iterator[tuple[str, str]]:
    """Compare the fields of a hash, or of the hashes in an array."""
    while isinstance(kind, schema.Array):
        kind, place = kind.of, f"{place}[]"
    hashes = list(_hashes(hint))
    if isinstance(kind, schema.Hash) and hashes:
        merged = {name: inner for one in hashes for name, inner in sdk_types.params_in(one).items()}
        yield from _compared(merged, kind.fields, place)


def _hashes(hint: Any) -> Iterator[Any]:
    """The TypedDicts within a type."""
    if typing_extensions.is_typeddict(hint):
        yield hint
        return
    for inner in get_args(hint):
        yield from _hashes(inner)


def page() -> str:
    """The page, as it must be."""
    rows = [
        f"| `{route.replace('*', '{id}')}` | " + " | ".join(", ".join(names) or "–" for names in found.values()) + " |"
        for route, found in differences().items()
    ]
    return HEADER + "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
