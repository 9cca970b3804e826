"""Stripe's door: takes events in, and answers 200 once one is on disk.

No session and no form reaches it; whoever calls has to hold a signing secret. The body is read raw, because a
signature is over bytes; its size is bounded in front of every route. An address that sends many bad signatures is told
to wait (429); what is well signed is never limited.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from helvetia.web.api.schemas.webhooks import WebhookAnswer
from helvetia.web.client_address import client_address
from helvetia.web.config import WebConfig
from helvetia.web.middleware.authenticate import Open
from helvetia.webhooks.service import WebhookService

SIGNATURE_HEADER = "Stripe-Signature"
_EVENT = {"type": "object", "description": "An event as Stripe sends it.", "required": ["id", "type", "livemode"]}
Signed = Annotated[None, Depends(Open("the signature over the body says who calls"))]


class StripeWebhookController:
    def __init__(self, config: WebConfig, webhooks: WebhookService) -> None:
        self._config = config
        self._webhooks = webhooks

    def add_to(self, router: APIRouter) -> None:
        router.add_api_route(
            "/api/v1/webhooks/stripe",
            self.receive_event,
            methods=["POST"],
            tags=["webhooks"],
            response_model=WebhookAnswer,
            openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": _EVENT}}}},
        )

    async def receive_event(self, request: Request, _signed: Signed) -> Response:
        """An event from Stripe, with its Stripe-Signature header; 200 means that it is kept and will be handled."""
        signatures, address = request.headers.getlist(SIGNATURE_HEADER), client_address(request, self._config)
        receipt = await self._webhooks.receive(await request.body(), signatures, address=address)
        return JSONResponse(WebhookAnswer(received=True, outcome=receipt).model_dump(by_alias=True))
