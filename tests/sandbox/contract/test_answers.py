"""Every route of the sandbox, driven by the official SDK, answers what the SDK's classes declare.

With STRIPE_TEST_KEY the same cases run against Stripe's test mode.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest

from sandbox.contract import sdk_types
from sandbox.contract.case import Case
from sandbox.contract.checker import Place, deviations
from sandbox.contract.routes import CASES, OWN, REFUSING
from sandbox.contract.stage import Stage
from stripe_sandbox.objects.registry import build_router

EVERY_CASE = pytest.mark.parametrize("case", CASES, ids=str)


def test_every_route_has_a_contract_and_every_contract_a_route() -> None:
    routes = {f"{endpoint.method} {endpoint.path}" for endpoint in build_router().endpoints()}
    told = {case.route for case in CASES} | set(OWN) | set(REFUSING)
    assert sorted(routes - told) == [], "write a case for each of these routes (tests/sandbox/contract/cases_*.py)"
    assert sorted(told - routes) == [], "the sandbox does not serve these routes"


def play(stage: Stage, case: Case) -> None:
    """Make the call; what went over the wire is then the recorder's last exchange."""
    arguments = case.arguments(stage)
    sdk_types.method(stage.client, case.method)(*arguments)
    last = stage.recorder.last
    method, _, pattern = case.route.partition(" ")
    assert last.method == method
    assert fnmatchcase(last.path, pattern)


@EVERY_CASE
def test_answer_is_what_the_sdk_declares(stage: Stage, case: Case) -> None:
    if case.alone and not stage.is_sandbox:
        pytest.skip(case.alone)
    play(stage, case)
    declared = sdk_types.answer_of(sdk_types.method(stage.client, case.method))
    found = list(deviations(stage.recorder.last.answer, declared, Place("answer")))
    assert found == []
