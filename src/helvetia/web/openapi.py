"""The description of the API: what FastAPI derives from the routes, plus how to authenticate and how errors look."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from helvetia.web.middleware.authenticate import ORGANIZATION_HEADER

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
_PROBLEM_ANSWER = {
    "description": "A problem",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
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
    for path in schema.get("paths", {}).values():
        for method, operation in path.items():
            if method == "post":
                operation.setdefault("parameters", []).append(_KEY)
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = _PROBLEM_ANSWER
            operation.setdefault("parameters", []).append(_ORGANIZATION)
    return schema
