"""Words shared by all parts: the JSON document, parsed parameters, ids, and what a kind of object is.

Documents are plain JSON objects as they go over the wire; keys that start with an underscore are the
sandbox's own notes and never leave it.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stripe_sandbox.context import Context

Doc = dict[str, Any]
Params = dict[str, Any]

_ALPHABET = string.ascii_letters + string.digits
# A random byte → a letter or digit; the first eight are a little likelier than the rest, which no id minds.
_OF_BYTE = bytes(ord(_ALPHABET[byte % len(_ALPHABET)]) for byte in range(256))
_SHORT_ID_KINDS = frozenset({"cus", "prod", "si"})
_SHORT_LENGTH = 14
_LONG_LENGTH = 24


def random_text(length: int) -> str:
    """Return unguessable letters and digits."""
    return secrets.token_bytes(length).translate(_OF_BYTE).decode()


def new_id(prefix: str) -> str:
    """Return a fresh id. Stripe: 14 characters after cus_, prod_ and si_, 24 after nearly all others."""
    return f"{prefix}_{random_text(_SHORT_LENGTH if prefix in _SHORT_ID_KINDS else _LONG_LENGTH)}"


def _as_stored(_ctx: Context, doc: Doc) -> Doc:
    return public(doc)


def public(doc: Doc) -> Doc:
    """Return the document without the sandbox's own notes."""
    return {key: value for key, value in doc.items() if not key.startswith("_")}


def without_empty(shown: Doc, dotted: tuple[str, ...]) -> Doc:
    """Return the object without those of its fields that are null; the hashes on the way are copied, not changed."""
    for path in dotted:
        shown = _without(shown, path.split("."))
    return shown


def _without(node: Doc, names: list[str]) -> Doc:
    name, below = names[0], names[1:]
    found = node.get(name)
    if found is None:
        return node if below else {key: value for key, value in node.items() if key != name}
    if below and isinstance(found, dict):
        return node | {name: _without(found, below)}
    if below and isinstance(found, list):
        return node | {name: [_without(element, below) for element in found]}
    return node


def deleted_stub(doc: Doc) -> Doc:
    """Return what Stripe leaves of a deleted object: id, object and ``deleted``."""
    return {"id": doc["id"], "object": doc["object"], "deleted": True}


def list_of(url: str, data: list[Doc], *, has_more: bool = False) -> Doc:
    """Return Stripe's list envelope."""
    return {"object": "list", "data": data, "has_more": has_more, "url": url}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of stored object: how it is called, which field names its parent, how it is shown.

    ``expandable`` maps a dotted field to the kind, or kinds, its id names; ``includable`` maps a field that is absent
    unless asked for to the function that makes it. ``omitted`` are the dotted fields that are left out when they
    are null: Stripe's null rule keeps a null only where its specification calls a field nullable.
    """

    name: str
    label: str
    parent: Callable[[Doc], str | None] = lambda _doc: None
    render: Callable[[Context, Doc], Doc] = _as_stored
    expandable: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    includable: Mapping[str, Callable[[Context, Doc], object]] = field(default_factory=dict)
    omitted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One validated API call as a handler sees it."""

    ctx: Context
    ids: tuple[str, ...]
    params: Params


Handler = Callable[[Call], Doc]
