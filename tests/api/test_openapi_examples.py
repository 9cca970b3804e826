"""The API's description has an example of every billing operation, and each is what the code takes and gives."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.routing import APIRoute
from pydantic import BaseModel

from helvetia.web.examples.table import EXAMPLES
from helvetia.web.problems import MEDIA_TYPE
from support.web_world import WebWorld

DESCRIBED = ("/api/v1/billing/", "/api/v1/webhooks/")
JSON = "application/json"
REQUIRED = {"type", "title", "status", "detail", "code", "requestId"}
NEEDS_EXAMPLE = {"402", "403", "404", "409", "422", "429", "503"}


def operations(world: WebWorld) -> Iterator[tuple[str, str, dict[str, Any], APIRoute]]:
    routes = {
        (method, route.path): route
        for route in world.app.routes
        if isinstance(route, APIRoute)
        for method in route.methods
    }
    for path, found in world.app.openapi()["paths"].items():
        for method, operation in found.items():
            if path.startswith(DESCRIBED):
                yield method.upper(), path, operation, routes[method.upper(), path]


async def test_every_billing_operation_has_an_example_of_body_and_answer(world: WebWorld) -> None:
    seen = set()
    for method, path, operation, _ in operations(world):
        seen.add((method, path))
        body = operation.get("requestBody", {}).get("content", {})
        assert all("example" in content for content in body.values()), (method, path)
        for status, answer in operation["responses"].items():
            if status.startswith("2"):
                assert "example" in answer.get("content", {}).get(JSON, {"example": None}), (method, path)
    assert seen == set(EXAMPLES)


async def test_each_example_is_what_its_model_takes_and_gives_to_the_last_digit(world: WebWorld) -> None:
    for method, path, operation, route in operations(world):
        if route.body_field is not None:
            example = operation["requestBody"]["content"][JSON]["example"]
            model = next(kind for kind in _models(route.body_field.field_info.annotation))
            model.model_validate_json(json.dumps(example))
        if isinstance(route.response_model, type) and issubclass(route.response_model, BaseModel):
            example = operation["responses"]["200"]["content"][JSON]["example"]
            read = route.response_model.model_validate_json(json.dumps(example), by_alias=True, by_name=False)
            assert read.model_dump(mode="json", by_alias=True) == example, (method, path)


async def test_each_declared_problem_shows_a_document_of_that_status(world: WebWorld) -> None:
    for method, path, operation, _ in operations(world):
        declared = {status for status in operation["responses"] if status in NEEDS_EXAMPLE}
        if path.startswith("/api/v1/billing/"):
            assert {"401", "403", "404"} <= set(operation["responses"]), (method, path)
        if method == "POST" and path.startswith("/api/v1/billing/"):
            assert "409" in declared, (method, path)
        for status in declared:
            examples = operation["responses"][status]["content"][MEDIA_TYPE]["examples"]
            assert examples, (method, path, status)
            for code, example in examples.items():
                document = example["value"]
                assert document.keys() >= REQUIRED
                assert (document["code"], str(document["status"])) == (code, status)
                assert json.loads(json.dumps(document)) == document


async def test_stripes_door_is_described_by_its_signature_and_nothing_of_an_account(world: WebWorld) -> None:
    operation = world.app.openapi()["paths"]["/api/v1/webhooks/stripe"]["post"]
    assert [one["name"] for one in operation["parameters"]] == ["Stripe-Signature"]
    assert operation["security"] == []


async def test_file_and_leading_answers_are_described_as_what_they_are(world: WebWorld) -> None:
    paths = world.app.openapi()["paths"]
    export = paths["/api/v1/billing/usage/export"]["get"]["responses"]["200"]["content"]
    assert set(export) == {"text/csv", "application/x-ndjson"}
    assert export["text/csv"]["example"].startswith("starts_at,")
    assert "200" not in paths["/api/v1/billing/invoices/{invoice_id}/pdf"]["get"]["responses"]


@pytest.mark.parametrize("code", ["not_signed_in", "account_not_found"])
async def test_problem_of_the_description_is_the_one_that_is_sent(world: WebWorld, code: str) -> None:
    described = world.app.openapi()["paths"]["/api/v1/billing/subscription"]["get"]["responses"]
    if code == "not_signed_in":
        async with world.client() as client:
            sent = await client.get("/api/v1/billing/subscription")
    else:
        async with world.as_user(await world.user("ada")) as client:
            sent = await client.get("/api/v1/billing/subscription", params={"organizationId": "nobodys"})
    shown = described[str(sent.status_code)]["content"][MEDIA_TYPE]["examples"][code]["value"]
    assert {**sent.json(), "requestId": ""} == {**shown, "requestId": ""}


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The model of a body that may be left out as well."""
    for kind in getattr(annotation, "__args__", (annotation,)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield kind
