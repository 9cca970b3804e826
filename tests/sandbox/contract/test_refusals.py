"""Every endpoint refuses in the one way Stripe does: unknown, wrong, missing, and ids that name nothing."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.contract.routes import OWN
from sandbox.contract.samples import misfits, required
from sandbox.inside import Answered, Inside
from stripe_sandbox.objects.meter_event_v2 import STREAM
from stripe_sandbox.objects.registry import build_router
from stripe_sandbox.wire.routing import Endpoint

ENDPOINTS = [one for one in build_router().endpoints() if f"{one.method} {one.path}" not in OWN]
EVERY_ENDPOINT = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: f"{one.method}_{one.path}")
NO_ID = "nope_1"
# These never look at the id that is not there, or say first what the body lacks.
OTHER_THAN_404 = {
    "POST /v1/payment_methods/*/attach": "the customer is looked up first, and a body id that names nothing is a 400",
}


def path_of(endpoint: Endpoint) -> str:
    return endpoint.path.replace("*", NO_ID)


async def inside_of(endpoint: Endpoint) -> Inside:
    """A fresh server, with the credentials this endpoint takes."""
    inside = Inside()
    if endpoint.path == STREAM:
        inside.key = (await inside.ask("POST", "/v2/billing/meter_event_session")).body["authentication_token"]
    return inside


def is_v2(endpoint: Endpoint) -> bool:
    return endpoint.path.startswith("/v2/")


def assert_refused(answer: Answered, endpoint: Endpoint, **expected: Any) -> None:
    """The whole envelope, and nothing else in it."""
    error = answer.body["error"]
    assert answer.body.keys() == {"error"}
    assert answer.headers["request-id"].startswith("req_")
    assert error["message"].startswith(expected["message"])
    if is_v2(endpoint):
        assert error.keys() <= {"code", "message", "type"}
        assert error["code"] == (expected["code"] or "invalid_fields")
        return
    code, param = expected["code"], expected["param"]
    assert (error.get("code"), error.get("param"), error["type"]) == (code, param, "invalid_request_error")
    assert error["request_log_url"].endswith(f"/logs/{answer.headers['request-id']}")
    assert error.get("doc_url") == (code and "https://stripe.com/docs/error-codes/" + code.replace("_", "-"))
    assert error.keys() <= {"type", "message", "request_log_url", "code", "doc_url", "param"}


@EVERY_ENDPOINT
async def test_unknown_parameter_is_refused_by_its_name(endpoint: Endpoint) -> None:
    answer = await (await inside_of(endpoint)).ask(endpoint.method, path_of(endpoint), {"nonsense": "1"})
    assert answer.status == 400
    message = "Received unknown parameter: nonsense"
    assert_refused(answer, endpoint, code="parameter_unknown", param="nonsense", message=message)


@EVERY_ENDPOINT
async def test_missing_parameter_is_refused_by_its_name(endpoint: Endpoint) -> None:
    if not endpoint.params.required:
        return
    answer = await (await inside_of(endpoint)).ask(endpoint.method, path_of(endpoint))
    name = endpoint.params.required[0]
    assert answer.status == 400
    assert_refused(answer, endpoint, code="parameter_missing", param=name, message=f"Missing required param: {name}.")


@EVERY_ENDPOINT
async def test_wrong_type_or_word_is_refused_by_its_name(endpoint: Endpoint) -> None:
    inside = await inside_of(endpoint)
    for misfit in misfits(endpoint.params):
        form: Any = misfit.form
        if is_v2(endpoint) and endpoint.method == "POST":
            form = nested(misfit.form)
        answer = await inside.ask(endpoint.method, path_of(endpoint), form)
        assert answer.status == 400, misfit
        assert_refused(answer, endpoint, code=misfit.code, param=misfit.param, message=misfit.message)


def nested(form: dict[str, str]) -> dict[str, Any]:
    """A form as the JSON that says the same."""
    from stripe_sandbox.wire.forms import split_name

    tree: dict[str, Any] = {}
    for name, value in form.items():
        *above, last = split_name(name)
        here = tree
        for segment in above:
            here = here.setdefault(segment, {})
        here[last] = value
    return tree


@EVERY_ENDPOINT
async def test_id_that_names_nothing_is_a_404(endpoint: Endpoint) -> None:
    if "*" not in endpoint.path:
        return
    form: Any = required(endpoint.params)
    answer = await (await inside_of(endpoint)).ask(
        endpoint.method, path_of(endpoint), nested(form) if is_v2(endpoint) else form
    )
    if f"{endpoint.method} {endpoint.path}" in OTHER_THAN_404:
        assert answer.status == 400
        return
    assert answer.status == 404
    assert_refused(answer, endpoint, code="resource_missing", param="id", message="No such ")
    assert answer.body["error"]["message"].endswith(f": '{NO_ID}'")
