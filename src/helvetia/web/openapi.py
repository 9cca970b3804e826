"""The description of the API: what FastAPI derives from the routes, plus how to authenticate, how errors look, and an
example of each operation that moves money or tells of it.
"""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from helvetia.kernel.errors import HelvetiaError
from helvetia.web.examples.model import Example
from helvetia.web.examples.table import EXAMPLES
from helvetia.web.middleware.authenticate import ORGANIZATION_HEADER
from helvetia.web.problems import MEDIA_TYPE, to_problem

_PROBLEM = {
    "type": "object",
    "description": "RFC 9457 problem document; further members are the figures that explain it.",
    "required": ["type", "title", "status", "detail", "code", "requestId"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "requestId": {"type": "string"},
    },
}
_PROBLEM_SCHEMA = "#/components/schemas/Problem"
_REQUEST_ID = "01a20585d8d577faabf04207a837b3c6"
_SCHEMES = {
    "apiToken": {"type": "http", "scheme": "bearer", "description": "An API token, hv_…"},
}
_ORGANIZATION = {
    "name": ORGANIZATION_HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "format": "uuid"},
    "description": "Act for this organization; `?organizationId=` does the same.",
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": "The same request under the same key is done once and answered alike for 24 hours.",
}
_SIGNED_PATHS = "/api/v1/webhooks/"
_SIGNATURE = {
    "name": "Stripe-Signature",
    "in": "header",
    "required": True,
    "schema": {"type": "string"},
    "description": "`t=<unix seconds>,v1=<hex>`: the body signed with a secret of the endpoint; at most 300 s old.",
}
_PROBLEM_ANSWER = {
    "description": "A problem",
    "content": {MEDIA_TYPE: {"schema": {"$ref": _PROBLEM_SCHEMA}}},
}


class DescribedApi(FastAPI):
    """An application whose `openapi()` answers with the whole description, made once."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            summary = "Plans, usage, invoices and services."
            schema = get_openapi(title=self.title, version=self.version, summary=summary, routes=self.routes)
            self.openapi_schema = _complete(schema)
        return self.openapi_schema


def _complete(schema: dict[str, Any]) -> dict[str, Any]:
    components = schema.setdefault("components", {})
    components["securitySchemes"] = _SCHEMES
    schemas = components.setdefault("schemas", {})
    schemas["Problem"] = _PROBLEM
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schema["security"] = [{"apiToken": []}]
    for path, operations in schema.get("paths", {}).items():
        for method, operation in operations.items():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = _PROBLEM_ANSWER
            parameters = operation.setdefault("parameters", [])
            if path.startswith(_SIGNED_PATHS):
                operation["security"] = []
                parameters.append(_SIGNATURE)
            else:
                parameters += [_KEY, _ORGANIZATION] if method == "post" else [_ORGANIZATION]
            example = EXAMPLES.get((method.upper(), path))
            if example is not None:
                _add_example(operation, example)
    return schema


def _add_example(operation: dict[str, Any], example: Example) -> None:
    """A body, its answer, and each problem the operation is known for under its code."""
    if example.request is not None:
        operation["requestBody"]["content"]["application/json"]["example"] = example.request
    responses = operation["responses"]
    if example.answer is not None:
        content = next(answer["content"] for status, answer in responses.items() if status.startswith("2"))
        content[example.media_type]["example"] = example.answer
    for problem in example.problems:
        shown = responses.setdefault(str(problem.status), _problem_answer(problem))
        shown["content"][MEDIA_TYPE]["examples"][problem.code] = {"value": to_problem(problem, _REQUEST_ID)}


def _problem_answer(problem: HelvetiaError) -> dict[str, Any]:
    content = {MEDIA_TYPE: {"schema": {"$ref": _PROBLEM_SCHEMA}, "examples": {}}}
    return {"description": HTTPStatus(problem.status).phrase, "content": content}
