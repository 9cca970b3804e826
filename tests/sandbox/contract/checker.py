"""An answer of the wire beside the SDK's class of it: every difference, told by its place.

Three rules. A field that the class does not call optional is there, with its type and a word of its enum. A field
that the class does not know is not there. The null rule: an optional field is null when empty where Stripe declares
it nullable (``null_rule.json``, by object and hash, as declared for the pinned version in the types of stripe-node
23.1.0), and left out where it does not.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import stripe
from stripe._stripe_object import StripeObject, UntypedStripeObject
from stripe.events._event_classes import get_v2_event_class

from sandbox.contract import sdk_types

NULLABLE: dict[str, dict[str, str]] = json.loads(Path(__file__).with_name("null_rule.json").read_text())
# What Stripe sends and the SDK's classes do not declare.
UNDECLARED = {
    ("subscription_item", "plan"): "live bodies still echo the plan of the price",
}
# Words that Stripe's documentation has and the SDK's open enums do not (yet).
FURTHER_WORDS = {"meter_event_value_not_found"}
# Declared nullable, and yet absent unless asked for (``expand``) or never in a standard answer, as Stripe's reference
# says of each.
ABSENT = {
    ("charge", "."): {"refunds"},
    ("charge", "payment_method_details.card"): {"description", "iin", "issuer", "moto"},
    ("customer", "."): {"cash_balance"},
    ("invoice", "."): {"confirmation_secret"},
    ("payment_method", "card"): {"description", "iin", "issuer"},
}
# Lists that are part of an object still carry the number of their elements.
_EMBEDDED_ONLY = {"total_count"}
_PLAIN = {str: str, bool: bool, int: int}
_LISTS = {
    stripe.ListObject: {"object", "data", "has_more", "url"},
    stripe.SearchResultObject: {"object", "data", "has_more", "url", "next_page"},
    stripe.v2.ListObject: {"data", "next_page_url", "previous_page_url"},
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the answer: a readable path, the object it lies in, and the hashes within that object."""

    path: str
    kind: str = ""
    within: str = "."

    def down(self, name: str) -> Place:
        within = name if self.within == "." else f"{self.within}.{name}"
        return replace(self, path=f"{self.path}.{name}", within=within)

    def nullable(self) -> set[str] | None:
        """The fields that are null when empty; None where nothing is known: version 2 declares no nullable fields."""
        if self.kind.startswith("v2."):
            return None
        known = NULLABLE.get(self.kind, {}).get(self.within)
        return None if known is None else set(known.split()) - ABSENT.get((self.kind, self.within), set())


def deviations(shown: Any, hint: Any, place: Place) -> Iterator[str]:
    """Tell every way in which a JSON value is not what the hint declares."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is type(None) and shown == {}:
        return
    if origin in sdk_types.UNIONS:
        yield from _of_union(shown, inner, place)
    elif origin is Literal:
        if shown not in inner:
            yield f"{place.path}: {shown!r} is none of {', '.join(map(repr, inner))}"
    elif origin is list:
        yield from _of_list(shown, inner[0], place)
    elif origin in _LISTS:
        yield from _of_page(shown, origin, inner[0], place)
    elif origin in (dict, UntypedStripeObject):
        yield from _of_map(shown, inner[-1], place)
    elif inspect.isclass(hint) and issubclass(hint, StripeObject):
        yield from _of_object(shown, hint, place)
    elif hint is not Any and not _is_plain(shown, hint):
        yield f"{place.path}: {shown!r} is no {getattr(hint, '__name__', hint)}"


def _is_plain(shown: Any, hint: Any) -> bool:
    if hint is Decimal:
        try:
            return isinstance(shown, str) and Decimal(shown).is_finite()
        except InvalidOperation:
            return False
    if hint is float:
        return type(shown) in (int, float)
    return type(shown) is _PLAIN.get(hint, type(None))


def _of_union(shown: Any, members: tuple[Any, ...], place: Place) -> Iterator[str]:
    """One member must fit; an open enum counts as its known words alone."""
    if shown is None and type(None) in members:
        return
    words = [word for member in members if get_origin(member) is Literal for word in get_args(member)]
    if words and isinstance(shown, str) and str in members:
        yield from deviations(shown, Literal[(*words, *FURTHER_WORDS)], place)
        return
    members = tuple(member for member in members if member is not type(None) and _may_be(shown, member))
    yield from min((list(deviations(shown, member, place)) for member in members), key=len, default=[])
    if not members:
        yield f"{place.path}: {shown!r} is none of what is declared"


def _may_be(shown: Any, member: Any) -> bool:
    """Whether a value is of the member's sort: an object of that word for a class, no object for the rest."""
    if not (inspect.isclass(member) and issubclass(member, StripeObject)):
        return not isinstance(shown, dict) or get_origin(member) in (dict, UntypedStripeObject, *_LISTS)
    word = getattr(member, "OBJECT_NAME", None)
    return isinstance(shown, dict) and word in (None, shown.get("object", word))


def _of_list(shown: Any, of: Any, place: Place) -> Iterator[str]:
    if not isinstance(shown, list):
        yield f"{place.path}: {shown!r} is no array"
        return
    for index, element in enumerate(shown):
        yield from deviations(element, of, replace(place, path=f"{place.path}[{index}]"))


def _of_map(shown: Any, of: Any, place: Place) -> Iterator[str]:
    if not isinstance(shown, dict):
        yield f"{place.path}: {shown!r} is no hash"
        return
    for name, value in shown.items():
        yield from deviations(value, of, place.down(name))


def _of_page(shown: Any, cls: type[StripeObject], of: Any, place: Place) -> Iterator[str]:
    if not isinstance(shown, dict) or not isinstance(shown.get("data"), list):
        yield f"{place.path}: {shown!r} is no list"
        return
    want = _LISTS[cls] - ({"next_page"} if not shown.get("has_more") else set())
    extra = _EMBEDDED_ONLY if place.within != "." else set()
    if set(shown) - extra - {"next_page"} != want - {"next_page"}:
        yield f"{place.path}: a list has {sorted(want)}, not {sorted(shown)}"
    if shown.get("object", cls.OBJECT_NAME) != cls.OBJECT_NAME:
        yield f"{place.path}.object: {shown['object']!r} is no {cls.OBJECT_NAME}"
    for name, kind in (("has_more", bool), ("url", str)):
        if name in shown and type(shown[name]) is not kind:
            yield f"{place.path}.{name}: {shown[name]!r}"
    yield from _of_list(shown["data"], of, Place(f"{place.path}.data"))


def _of_object(shown: Any, cls: type[StripeObject], place: Place) -> Iterator[str]:
    if not isinstance(shown, dict):
        yield f"{place.path}: {shown!r} is no {cls.__qualname__}"
        return
    word = getattr(cls, "OBJECT_NAME", None)
    if word == "v2.core.event":
        cls = get_v2_event_class(str(shown.get("type")))
    if isinstance(word, str):
        place = Place(place.path, word)
        if shown.get("deleted") is True:
            if shown.keys() != {"id", "object", "deleted"} and word != "discount":
                yield f"{place.path}: a deleted object is id, object and deleted alone, not {sorted(shown)}"
            return
    declared = sdk_types.fields(cls)
    for name, hint in declared.items():
        yield from _of_field(shown, name, hint, place)
    for name in shown.keys() - declared.keys():
        if (place.kind, name) not in UNDECLARED:
            yield f"{place.path}.{name}: is not declared"


def _of_field(shown: dict[str, Any], name: str, hint: Any, place: Place) -> Iterator[str]:
    nullable = place.nullable()
    optional = sdk_types.is_optional(hint)
    if name not in shown:
        if not optional:
            yield f"{place.path}.{name}: is missing"
        elif nullable is not None and name in nullable:
            yield f"{place.path}.{name}: is left out and should be null"
        return
    if shown[name] is None and optional:
        if nullable is not None and name not in nullable:
            yield f"{place.path}.{name}: is null and should be left out"
        return
    yield from deviations(shown[name], hint, place.down(name))
