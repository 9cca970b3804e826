"""Search query → conditions on stored documents.

Stripe: clauses ``field:"exact"``, ``field~"part"`` (at least three characters), ``number>=1``, each negated by ``-``,
joined by spaces, AND or OR, of which AND and OR exclude each other; text is compared without regard to case;
``metadata["key"]:null`` finds what lacks the key. Fields and values are never put into a statement, only bound to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from stripe_sandbox.wire.errors import BadRequest

MIN_PART_LENGTH = 3
MAX_CLAUSES = 10
_COMPARED = {":": "=", "=": "=", ">": ">", ">=": ">=", "<": "<", "<=": "<="}
_AS_WORD = "CASE json_type(body, ?) WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE json_extract(body, ?) END"
_CLAUSE = re.compile(
    r"\s*(?P<word>(?:AND|OR)(?=\s))?\s*(?P<not>-)?(?P<field>[a-z_]+(?:\.[a-z_0-9]+)*)"
    r"""(?:\[(?P<quote>["'])(?P<key>(?:\\.|(?!(?P=quote)).)*)(?P=quote)\])?"""
    r"\s*(?P<operator>>=|<=|[:~><=])\s*"
    r"""(?:"(?P<double>(?:\\.|[^"\\])*)"|'(?P<single>(?:\\.|[^'\\])*)'|(?P<bare>-?\d{1,18}|null))(?=\s|$)""",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """What a field holds: ``text`` may be searched in part, a ``token`` only whole, a ``number`` compared."""

    kind: str
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Searchable:
    """A kind of object and the fields it is found by."""

    kind: str
    url: str
    fields: Mapping[str, Field]


def where(query: str, of: Searchable) -> tuple[str, tuple[object, ...]]:
    """Return one SQL condition and its arguments, or refuse the query in Stripe's words."""
    conditions: list[str] = []
    arguments: list[object] = []
    words: set[str] = set()
    at = 0
    while query[at:].strip():
        found = _CLAUSE.match(query, at)
        if found is None or (found["word"] and not at):
            raise _unreadable()
        at = found.end()
        words.add((found["word"] or "and").lower() if conditions else "")
        condition, bound = _condition(found, of)
        conditions.append(f"NOT ({condition})" if found["not"] else f"({condition})")
        arguments += bound
    words.discard("")
    if not conditions or len(words) > 1 or len(conditions) > MAX_CLAUSES:
        raise _unreadable()
    return "(" + (" OR " if words == {"or"} else " AND ").join(conditions) + ")", tuple(arguments)


def _condition(found: re.Match[str], of: Searchable) -> tuple[str, list[object]]:
    name, operator = found["field"].lower(), found["operator"]
    field = of.fields.get(name)
    if field is None or (name == "metadata") != (found["key"] is not None):
        raise BadRequest(
            f"Field `{name}` is an unsupported search field for resource `{of.url.split('/')[2]}`."
            " See https://stripe.com/docs/search for a list of supported fields.",
            param="query",
        )
    path = f'$.metadata."{_unescaped(found["key"])}"' if found["key"] is not None else f"$.{field.path or name}"
    if '"' in path.removeprefix('$.metadata."').removesuffix('"'):
        raise _unreadable()
    if (found["bare"] or "").lower() == "null":
        return "json_extract(body, ?) IS NULL", [path]
    if field.kind == "number":
        return _number(found, path)
    return _text(found, field, path, operator)


def _number(found: re.Match[str], path: str) -> tuple[str, list[object]]:
    text = found["bare"] or found["double"] or found["single"] or ""
    if found["operator"] not in _COMPARED or not re.fullmatch(r"-?\d{1,18}", text):
        raise _unreadable()
    return f"ifnull(json_extract(body, ?) {_COMPARED[found['operator']]} ?, 0)", [path, int(text)]


def _text(found: re.Match[str], field: Field, path: str, operator: str) -> tuple[str, list[object]]:
    quoted = found["double"] if found["double"] is not None else found["single"]
    if quoted is None or operator not in (":", "~") or (operator == "~" and field.kind != "text"):
        raise _unreadable()
    wanted = _unescaped(quoted)
    if operator == ":":
        value = (
            "CASE json_type(body, ?) WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE json_extract(body, ?) END"
        )
        return f"ifnull(lower({value}) = lower(?), 0)", [path, path, wanted]
    if len(wanted) < MIN_PART_LENGTH:
        raise BadRequest(
            f"The substring search value must be at least {MIN_PART_LENGTH} characters long.", param="query"
        )
    return "ifnull(instr(lower(json_extract(body, ?)), lower(?)) > 0, 0)", [path, wanted]


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _unreadable() -> BadRequest:
    return BadRequest(
        'We were unable to parse your search query. Try using the format `metadata["key"]:"value"` to query for'
        ' metadata or key:"value" to query for other fields.',
        param="query",
    )
