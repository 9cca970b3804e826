"""A contract: one route, the SDK's method for it, and how to call it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.contract.stage import Stage

Arguments = Callable[[Stage], tuple[Any, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """``arguments`` makes what the call needs and returns the call's arguments: path ids, then the parameters.

    ``alone`` says why a case cannot run against Stripe's own test mode; empty where it can.
    """

    route: str
    method: str
    arguments: Arguments
    variant: str = ""
    alone: str = ""

    def __str__(self) -> str:
        return f"{self.route} {self.variant}".strip().replace(" ", "_")


def case(route: str, method: str, arguments: Arguments, variant: str = "", *, alone: str = "") -> Case:
    return Case(route=route, method=method, arguments=arguments, variant=variant, alone=alone)
