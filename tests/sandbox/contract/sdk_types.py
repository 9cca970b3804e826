"""The official SDK's classes and methods, read as a specification: which fields an object has, of which type."""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
import types
import typing
from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any, get_args, get_origin

import stripe
from stripe._stripe_object import StripeObject

UNIONS = (typing.Union, types.UnionType)


@cache
def _names_for_typing(module: str) -> dict[str, Any]:
    """What a module of the SDK imports only under TYPE_CHECKING."""
    found: dict[str, Any] = {}
    for node in ast.walk(ast.parse(inspect.getsource(sys.modules[module]))):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            for line in node.body:
                if isinstance(line, ast.ImportFrom):
                    source = importlib.import_module(str(line.module))
                    found |= {alias.asname or alias.name: getattr(source, alias.name) for alias in line.names}
    return found


def resolved(annotations: dict[str, Any], module: str) -> dict[str, Any]:
    """The annotations of something in that module with every name looked up."""
    holder = types.SimpleNamespace(__annotations__=annotations)
    return typing.get_type_hints(holder, vars(sys.modules[module]), _names_for_typing(module), include_extras=True)


@cache
def fields(cls: type[StripeObject]) -> dict[str, Any]:
    """The declared fields of an object; ClassVars and private names are not on the wire."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if issubclass(base, StripeObject) and base.__module__.startswith("stripe.") and base is not StripeObject:
            found |= resolved(inspect.get_annotations(base), base.__module__)
    return {
        name: hint for name, hint in found.items() if not name.startswith("_") and get_origin(hint) != typing.ClassVar
    }


def is_optional(hint: Any) -> bool:
    return get_origin(hint) in UNIONS and type(None) in get_args(hint)


def method(client: stripe.StripeClient, dotted: str) -> Callable[..., Any]:
    """``v1.customers.create`` of a client."""
    found: Callable[..., Any] = attrgetter(dotted)(client)
    return found


def answer_of(function: Callable[..., Any]) -> Any:
    """The type a method of the SDK says it answers with."""
    return resolved({"it": function.__annotations__["return"]}, function.__module__)["it"]


def params_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The parameters a method of the SDK declares, ``expand`` included."""
    hint = resolved({"it": function.__annotations__["params"]}, function.__module__)["it"]
    declared = [one for one in (get_args(hint) or (hint,)) if one is not type(None)]
    return params_in(declared[0])


def params_in(declared: Any) -> dict[str, Any]:
    """The fields of a TypedDict of parameters, without the request's own options."""
    options = set(stripe.RequestOptions.__annotations__)
    own: dict[str, Any] = {}
    for base in (*getattr(declared, "__orig_bases__", ()), declared):
        named = {name: hint for name, hint in inspect.get_annotations(base).items() if name not in options}
        own |= resolved(named, declared.__module__)
    return own


@cache
def class_of(word: str) -> type[StripeObject] | None:
    """The class of an ``object`` word."""
    from stripe._object_classes import OBJECT_CLASSES
    from stripe._object_classes import V2_OBJECT_CLASSES as V2

    for table in (OBJECT_CLASSES, V2):
        if word in table:
            place, name = table[word]
            found: type[StripeObject] = getattr(importlib.import_module(place), name)
            return found
    return None
