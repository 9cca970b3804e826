"""Rules that hold for all endpoints alike: cursors, expansion, metadata, deletion, and which parameters there are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import stripe

from sandbox.contract.case import Case
from sandbox.contract.parameters import page
from sandbox.contract.routes import CASES
from sandbox.contract.stage import Stage
from stripe_sandbox.documents import Kind
from stripe_sandbox.objects.registry import all_kinds, build_router
from stripe_sandbox.wire.expand import MAX_LEVELS

PAGE = Path(__file__).resolve().parents[3] / "docs" / "sandbox-parameters.md"
ENDPOINTS = {f"{one.method} {one.path}": one for one in build_router().endpoints()}
# Each route once: the variants of a case differ in what they answer, not in these rules.
ROUTES = {case.route: case for case in reversed(CASES) if "/v2/" not in case.route}
KINDS = all_kinds()
OBJECTS = 3
# Customers are kept as stubs; what else is deleted is not found any more.
KEPT_AS_STUB = {"DELETE /v1/customers/*"}
# These answer with the whole object they change.
NO_STUB = {"DELETE /v1/subscriptions/*", "DELETE /v1/subscriptions/*/discount"}


def of(cases: Iterator[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", list(cases), ids=str)


def path_and_params(case: Case, stage: Stage) -> tuple[str, dict[str, Any]]:
    """Make what the case is about; the address with its ids, and the parameters it needs."""
    *ids, params = (*case.arguments(stage), {})[: case.route.count("*") + 1]
    path = case.route.partition(" ")[2]
    for one in ids:
        path = path.replace("*", one, 1)
    return path, {name: value for name, value in params.items() if name not in ("limit", "expand")}


def ask(stage: Stage, method: str, path: str, params: dict[str, Any]) -> Any:
    return stage.client.raw_request(method, path, **params).data


def refusal(stage: Stage, method: str, path: str, params: dict[str, Any]) -> stripe.StripeError:
    with pytest.raises(stripe.StripeError) as refused:
        ask(stage, method, path, params)
    return refused.value


def is_list(case: Case) -> bool:
    if case.route == "GET /v1/credit_notes/preview/lines":
        return False  # what is only previewed has other ids each time: no cursor outlives its page
    return case.route.startswith("GET ") and "starting_after" in ENDPOINTS[case.route].params.fields


@of(case for case in ROUTES.values() if is_list(case))
def test_list_is_walked_by_cursors_in_both_directions(stage: Stage, case: Case) -> None:
    for _ in range(OBJECTS):
        path, params = path_and_params(case, stage)
    whole = ask(stage, "get", path, {**params, "limit": 5})
    assert (whole["object"], whole["url"]) == ("list", path)
    ids = [one["id"] for one in whole["data"]]
    assert 1 <= len(set(ids)) == len(ids) <= 5
    made = [one["created"] for one in whole["data"] if "created" in one]
    assert made == sorted(made, reverse=True)
    for place, cursor in enumerate(ids):
        after = ask(stage, "get", path, {**params, "limit": 1, "starting_after": cursor})
        older = [*ids[place + 1 :], *(["more"] if whole["has_more"] else [])]
        if place + 1 < len(ids):
            assert [one["id"] for one in after["data"]] == ids[place + 1 : place + 2]
        assert (bool(after["data"]), after["has_more"]) == (bool(older), len(older) > 1 or after["has_more"])
        before = ask(stage, "get", path, {**params, "limit": 1, "ending_before": cursor})
        assert [one["id"] for one in before["data"]] == ids[place - 1 : place] if place else before["data"] == []
        assert before["has_more"] == (place > 1)
    assert len(ask(stage, "get", path, {**params, "limit": 0})["data"]) == 1
    both = refusal(stage, "get", path, {**params, "starting_after": ids[0], "ending_before": ids[0]})
    assert (both.http_status, both.code) == (400, "parameters_exclusive")
    for name in ("starting_after", "ending_before"):
        unknown = refusal(stage, "get", path, {**params, name: "nope_1"})
        assert (unknown.http_status, unknown.code, unknown.param) == (400, "resource_missing", name)


def expansions(kind: Kind, levels: int) -> Iterator[str]:
    """Every path of fields that can be expanded from a kind, at most that deep."""
    for dotted, target in kind.expandable.items():
        left = levels - dotted.count(".") - 1
        if left >= 0:
            yield dotted
            if isinstance(target, str):  # what may be one of several kinds has no fields in common to go on with
                yield from (f"{dotted}.{below}" for below in expansions(KINDS[target], left))


def at(shown: Any, dotted: str) -> Iterator[Any]:
    """What stands at a path; arrays on the way are entered, and what is null or absent ends there."""
    if isinstance(shown, list):
        for one in shown:
            yield from at(one, dotted)
    elif not dotted:
        yield shown
    elif isinstance(shown, dict):
        name, _, below = dotted.partition(".")
        yield from at(shown.get(name), below)


@of(case for case in ROUTES.values() if case.route.startswith("GET ") and "/search" not in case.route)
def test_whatever_can_be_expanded_becomes_its_object_down_to_four_levels(stage: Stage, case: Case) -> None:
    path, params = path_and_params(case, stage)
    plain = ask(stage, "get", path, params)
    several = plain["object"] == "list"
    one = plain["data"][0] if several else plain
    prefix = "data." if several else ""
    kind = KINDS.get(one["object"])
    if kind is not None:
        paths = list(expansions(kind, MAX_LEVELS - several))
        for chosen in dict.fromkeys([*paths[:6], *sorted(paths, key=lambda dotted: -dotted.count("."))[:3]]):
            shown = ask(stage, "get", path, {**params, "expand": [prefix + chosen]})
            assert [found for found in at(shown, prefix + chosen) if isinstance(found, str)] == [], chosen
    refused = refusal(stage, "get", path, {**params, "expand": [f"{prefix}nonsense"]})
    assert (refused.http_status, str(refused.user_message)) == (
        400,
        f"This property cannot be expanded ({prefix}nonsense).",
    )
    assert refusal(stage, "get", path, {**params, "expand": ["a.b.c.d.e"]}).http_status == 400


def takes_metadata(case: Case) -> bool:
    return case.route.startswith("POST ") and case.route.endswith("/*") and _fields(case).get("metadata") is not None


def _fields(case: Case) -> Any:
    return ENDPOINTS[case.route].params.fields


@of(case for case in ROUTES.values() if takes_metadata(case))
def test_metadata_merges_key_by_key_and_has_its_bounds(stage: Stage, case: Case) -> None:
    path, _params = path_and_params(case, stage)

    def sent(metadata: Any) -> Any:
        return ask(stage, "post", path, {"metadata": metadata})["metadata"]

    sent("")
    assert sent({"a": "1", "b": "2"}) == {"a": "1", "b": "2"}
    assert sent({"a": "", "c": "3"}) == {"b": "2", "c": "3"}
    for bad in ({"k" * 41: "x"}, {"k": "x" * 501}, {f"k{index}": "x" for index in range(49)}):
        assert refusal(stage, "post", path, {"metadata": bad}).http_status == 400
    assert sent({"k" * 40: "x" * 500}) == {"b": "2", "c": "3", "k" * 40: "x" * 500}
    assert sent("") == {}


@of(case for route, case in ROUTES.items() if route.startswith("DELETE ") and route not in NO_STUB)
def test_what_is_deleted_leaves_a_stub_and_is_not_found_again(stage: Stage, case: Case) -> None:
    path, params = path_and_params(case, stage)
    stub = ask(stage, "delete", path, params)
    assert stub == {"id": path.rpartition("/")[2], "object": stub["object"], "deleted": True}
    again = refusal(stage, "delete", path, params)
    assert (again.http_status, again.code) == (404, "resource_missing")
    if case.route in KEPT_AS_STUB:
        assert ask(stage, "get", path, {}) == stub
    elif case.route.replace("DELETE", "GET") in ENDPOINTS:
        assert refusal(stage, "get", path, {}).http_status == 404


def test_page_of_parameters_tells_exactly_what_the_sandbox_does_not_simulate() -> None:
    how = "run: PYTHONPATH=src:tests python -m sandbox.contract.parameters > docs/sandbox-parameters.md"
    assert PAGE.read_text() == page(), how
