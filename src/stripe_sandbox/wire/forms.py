"""Bracketed form fields → nested dictionaries, as in bodies and query strings of API version 1; JSON for version 2.

Arrays stay dictionaries keyed by index ("0", "1", …): only the parameter table knows whether ``a[0]`` is an
array element or a map entry. Empty brackets append.
"""

from __future__ import annotations

import json
import re
from urllib.parse import parse_qsl

from stripe_sandbox.wire.errors import BadRequest

Raw = str | dict[str, "Raw"]

MAX_FIELDS = 2000
_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_SEGMENT = re.compile(r"\[([^\[\]]*)\]")


def decode_form(text: str) -> dict[str, Raw]:
    """Decode one urlencoded string; malformed names are kept whole, so that they are refused as unknown."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError as error:
        message = "The request's form fields could not be decoded."
        raise BadRequest(message) from error
    tree: dict[str, Raw] = {}
    for name, value in pairs:
        _place(tree, split_name(name), value, name)
    return tree


def decode_json(text: str) -> dict[str, Raw]:
    """Decode a JSON object into the same shape, so that one parameter table reads both."""
    try:
        sent = json.loads(text or "{}", parse_float=str)
    except (ValueError, RecursionError) as error:
        raise BadRequest("The request body is not valid JSON.") from error
    tree = _raw(sent)
    if not isinstance(tree, dict) or isinstance(sent, list):
        raise BadRequest("The request body must be a JSON object.")
    return tree


def _raw(value: object) -> Raw:
    if isinstance(value, dict):
        return {str(name): _raw(below) for name, below in value.items() if below is not None}
    if isinstance(value, list):
        return {str(index): _raw(below) for index, below in enumerate(value)}
    return str(value).lower() if isinstance(value, bool) else str(value)


def split_name(name: str) -> list[str]:
    """Return the segments of a field name: ``a[b][0]`` → a, b, 0."""
    match = _NAME.fullmatch(name)
    if match is None:
        return [name]
    return [match[1], *_SEGMENT.findall(match[2])]


def _place(tree: dict[str, Raw], segments: list[str], value: str, name: str) -> None:
    here = tree
    for position, segment in enumerate(segments[:-1]):
        key = segment or _open_index(here, segments[position + 1])
        below = here.setdefault(key, {})
        if isinstance(below, str):
            raise _conflict(name)
        here = below
    last = segments[-1] or str(len(here))
    if isinstance(here.get(last), dict):
        raise _conflict(name)
    here[last] = value


def _open_index(array: dict[str, Raw], next_segment: str) -> str:
    """``items[][price]`` starts a new element as soon as the key was already given in the last one."""
    if not array:
        return "0"
    last = str(len(array) - 1)
    element = array.get(last)
    if isinstance(element, dict) and next_segment and next_segment not in element:
        return last
    return str(len(array))


def _conflict(name: str) -> BadRequest:
    return BadRequest(f"The parameter {name} was given both as a value and as a hash.", param=name)
