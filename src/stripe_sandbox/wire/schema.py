"""Parameter tables: what an endpoint accepts, checked in one uniform way before anything is executed.

Each class reads one raw form value and returns a typed one, or refuses with Stripe's message. An empty string
means "unset": it becomes None where the field is clearable, else it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from stripe_sandbox.wire.errors import BadRequest, StripeError, missing_param, not_simulated, unknown_params
from stripe_sandbox.wire.forms import Raw

MAX_INT = 2**63 - 1
METADATA_MAX_KEYS = 50
METADATA_MAX_KEY_LENGTH = 40
METADATA_MAX_VALUE_LENGTH = 500
_DECIMAL = re.compile(r"-?\d{1,20}(\.\d{1,40})?")


class Type(Protocol):
    """Anything that can read a raw form value found at ``path``."""

    def parse(self, raw: Raw, path: str) -> object:
        """Return the typed value or raise a StripeError."""


def _empty(path: str) -> StripeError:
    return BadRequest(
        f"You passed an empty string for '{path}', which cannot be unset. Leave it out or give it a value.",
        code="parameter_invalid_empty",
        param=path,
    )


def _scalar(raw: Raw, path: str, what: str) -> str:
    if isinstance(raw, dict):
        message = f"Invalid {what}: {path} must not be a hash or an array"
        raise BadRequest(message, param=path)
    return raw


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A string of at most ``max_length`` characters."""

    max_length: int = 5000
    clearable: bool = False
    pattern: str | None = None
    code: str | None = None

    def parse(self, raw: Raw, path: str) -> str | None:
        """Return the text, or None when it is cleared."""
        text = _scalar(raw, path, "string")
        if not text:
            if self.clearable:
                return None
            raise _empty(path)
        if len(text) > self.max_length:
            message = f"Invalid string: {path} must be at most {self.max_length} characters"
            raise BadRequest(message, code="parameter_invalid_string", param=path)
        if self.pattern and not re.fullmatch(self.pattern, text):
            message = f"Invalid {path}: {text}"
            raise BadRequest(message, code=self.code, param=path)
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Integer:
    """A whole number within bounds."""

    minimum: int = -MAX_INT
    maximum: int = MAX_INT
    clearable: bool = False

    def parse(self, raw: Raw, path: str) -> int | None:
        """Return the number, or None when it is cleared."""
        text = _scalar(raw, path, "integer")
        if not text and self.clearable:
            return None
        if not re.fullmatch(r"-?[0-9]{1,19}", text):
            message = f"Invalid integer: {text}"
            raise BadRequest(message, code="parameter_invalid_integer", param=path)
        number = int(text)
        if not self.minimum <= number <= self.maximum:
            bound = f"at least {self.minimum}" if number < self.minimum else f"at most {self.maximum}"
            message = f"Invalid integer: {path} must be {bound}"
            raise BadRequest(message, code="parameter_invalid_integer", param=path)
        return number


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A plain decimal string with a bounded number of places; never a float."""

    places: int = 12
    minimum: Decimal | None = None

    def parse(self, raw: Raw, path: str) -> Decimal:
        """Return the exact decimal."""
        text = _scalar(raw, path, "decimal")
        places = len(text.partition(".")[2])
        if not _DECIMAL.fullmatch(text) or places > self.places:
            message = f"Invalid decimal: {text}; {path} takes at most {self.places} decimal places"
            raise BadRequest(message, code="parameter_invalid_decimal", param=path)
        if self.minimum is not None and Decimal(text) < self.minimum:
            message = f"Invalid decimal: {path} must be at least {self.minimum}"
            raise BadRequest(message, param=path)
        return Decimal(text)


@dataclass(frozen=True, slots=True)
class Boolean:
    """``true`` or ``false``."""

    def parse(self, raw: Raw, path: str) -> bool:
        """Return the truth value."""
        text = _scalar(raw, path, "boolean")
        if text not in {"true", "false"}:
            message = f"Invalid boolean: {text}"
            raise BadRequest(message, param=path)
        return text == "true"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of a fixed set of words."""

    words: tuple[str, ...]
    clearable: bool = False

    def parse(self, raw: Raw, path: str) -> str | None:
        """Return the word, or None when it is cleared."""
        text = _scalar(raw, path, "string")
        if not text and self.clearable:
            return None
        if text not in self.words:
            message = f"Invalid {path}: must be {_one_of(self.words)}"
            raise BadRequest(message, param=path)
        return text


def _one_of(words: tuple[str, ...]) -> str:
    if len(words) == 1:
        return words[0]
    joined = ", ".join(words[:-1])
    return f"one of {joined}, or {words[-1]}"


@dataclass(frozen=True, slots=True)
class Either:
    """A number, or one of some words."""

    words: tuple[str, ...]
    number: Integer

    def parse(self, raw: Raw, path: str) -> object:
        """Return the word or the number."""
        if isinstance(raw, str) and raw in self.words:
            return raw
        return self.number.parse(raw, path)


@dataclass(frozen=True, slots=True)
class Array:
    """An array; on the wire with numeric or empty brackets."""

    of: Type
    max_length: int = 100
    clearable: bool = False

    def parse(self, raw: Raw, path: str) -> list[object] | None:
        """Return the elements in index order, or None when it is cleared."""
        if not isinstance(raw, dict):
            if not raw and self.clearable:
                return None
            message = "Invalid array"
            raise BadRequest(message, param=path)
        if not all(key.isascii() and key.isdigit() for key in raw):
            message = "Invalid array"
            raise BadRequest(message, param=path)
        if len(raw) > self.max_length:
            message = f"Array {path} exceeded its maximum of {self.max_length} elements"
            raise BadRequest(message, param=path)
        keys = sorted(raw, key=int)
        return [self.of.parse(raw[key], f"{path}[{key}]") for key in keys]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hash:
    """A fixed set of named fields."""

    fields: Mapping[str, Type]
    required: tuple[str, ...] = ()
    clearable: bool = False

    def parse(self, raw: Raw, path: str) -> dict[str, object] | None:
        """Return the fields that were sent, or None when it is cleared."""
        if not isinstance(raw, dict):
            if not raw and self.clearable:
                return None
            message = "Invalid object"
            raise BadRequest(message, param=path or None)
        unknown = [_join(path, name) for name in raw if name not in self.fields]
        if unknown:
            raise unknown_params(unknown)
        for name in self.required:
            if name not in raw:
                raise missing_param(_join(path, name))
        return {name: self.fields[name].parse(value, _join(path, name)) for name, value in raw.items()}


def _join(path: str, name: str) -> str:
    return f"{path}[{name}]" if path else name


@dataclass(frozen=True, slots=True)
class StringMap:
    """A free map of strings, such as the payload of a meter event."""

    max_keys: int = 50

    def parse(self, raw: Raw, path: str) -> dict[str, str]:
        """Return the map."""
        if not isinstance(raw, dict) or len(raw) > self.max_keys:
            message = "Invalid object"
            raise BadRequest(message, param=path)
        return {key: _scalar(value, f"{path}[{key}]", "string") for key, value in raw.items()}


@dataclass(frozen=True, slots=True)
class Metadata:
    """Stripe: at most 50 keys of 40 characters with values of 500; "" clears all, a key set to "" is removed."""

    def parse(self, raw: Raw, path: str) -> dict[str, str] | None:
        """Return the sent keys, or None when everything is cleared."""
        if not isinstance(raw, dict):
            if not raw:
                return None
            message = "Invalid object"
            raise BadRequest(message, param=path)
        for key, value in raw.items():
            text = _scalar(value, f"{path}[{key}]", "string")
            if len(key) > METADATA_MAX_KEY_LENGTH:
                message = f"Metadata keys can be at most {METADATA_MAX_KEY_LENGTH} characters: {key}"
                raise BadRequest(message, param=path)
            if len(text) > METADATA_MAX_VALUE_LENGTH:
                message = f"Metadata values can be at most {METADATA_MAX_VALUE_LENGTH} characters: {key}"
                raise BadRequest(message, param=f"{path}[{key}]")
        return {key: value for key, value in raw.items() if isinstance(value, str)}


def merge_metadata(old: Mapping[str, str], sent: Mapping[str, str] | None) -> dict[str, str]:
    """Return old metadata with the sent keys merged in."""
    if sent is None:
        return {}
    merged = {key: value for key, value in {**old, **sent}.items() if value}
    if len(merged) > METADATA_MAX_KEYS:
        message = f"Metadata can have at most {METADATA_MAX_KEYS} keys"
        raise BadRequest(message, param="metadata")
    return merged


@dataclass(frozen=True, slots=True)
class Range:
    """A timestamp, or a hash of gt, gte, lt, lte."""

    def parse(self, raw: Raw, path: str) -> dict[str, object]:
        """Return the bounds by their operator; a bare timestamp is ``eq``."""
        if isinstance(raw, str):
            return {"eq": Integer().parse(raw, path)}
        bounds = Hash(fields={name: Integer() for name in ("gt", "gte", "lt", "lte")})
        return bounds.parse(raw, path) or {}


@dataclass(frozen=True, slots=True)
class NotSimulated:
    """A parameter Stripe has and this sandbox does not act on; refused unless its value asks for nothing."""

    harmless: tuple[str, ...] = field(default=())

    def parse(self, raw: Raw, path: str) -> object:
        """Return a harmless value unread, refuse any other."""
        if isinstance(raw, str) and raw in self.harmless:
            return raw
        what = f"the parameter {path}"
        raise not_simulated(what, path)


EXPAND = Array(Text(max_length=200), max_length=50)
ANYTHING = Text(clearable=True)


def table(fields: Mapping[str, Type] | None = None, required: tuple[str, ...] = ()) -> Hash:
    """Return the parameter table of an endpoint; every endpoint takes ``expand``."""
    return Hash(fields={**(fields or {}), "expand": EXPAND}, required=required)


def list_table(fields: Mapping[str, Type] | None = None, required: tuple[str, ...] = ()) -> Hash:
    """Return the parameter table of a list: its filters plus the cursors."""
    cursors: dict[str, Type] = {"limit": Integer(), "starting_after": Text(), "ending_before": Text()}
    return table({**cursors, **(fields or {})}, required)
