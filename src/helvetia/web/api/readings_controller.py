"""Where remote nodes post their readings; not part of the public API."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from helvetia.metering.errors import InvalidBatch, NodeRefused
from helvetia.metering.nodes.model import Node
from helvetia.metering.nodes.service import NodeService
from helvetia.metering.nodes.wire import INT64_MAX, from_wire_batch, to_wire_answer
from helvetia.metering.nodes.wire_posts import from_wire_post, to_wire_post_answer
from helvetia.web.middleware.authenticate import Open

SENT_HEADER = "x-helvetia-sent-ns"
NodeCall = Annotated[None, Depends(Open("a node shows its own token, which no user has"))]


class ReadingsController:
    """A node's token opens these two routes and no other; a user's opens neither."""

    def __init__(self, nodes: NodeService) -> None:
        self._nodes = nodes

    def add_to(self, router: APIRouter) -> None:
        router.add_api_route("/internal/v1/node", self.get_node, methods=["GET"], include_in_schema=False)
        router.add_api_route("/internal/v1/readings", self.take_readings, methods=["POST"], include_in_schema=False)

    async def get_node(self, request: Request, _call: NodeCall) -> JSONResponse:
        """Who the caller is, and the label of the containers to look at."""
        node = await self._authenticate(request)
        return JSONResponse({"node": node.node, "installationId": await self._nodes.installation_id()})

    async def take_readings(self, request: Request, _call: NodeCall) -> Response:
        """A batch: one answer an item, in order; or, packed, several looks: what is refused of them.

        Posting either again changes nothing.
        """
        node = await self._authenticate(request)
        sent = request.headers.get(SENT_HEADER, "")
        if not sent.isascii() or not sent.isdecimal() or len(sent) > len(str(INT64_MAX)):
            raise InvalidBatch(f"The header {SENT_HEADER} must tell when the batch was sent.")
        if request.headers.get("content-encoding", "").lower() == "gzip":
            post = from_wire_post(await request.body())
            told = await self._nodes.accept_post(node, post, sent_ns=int(sent))
            return Response(to_wire_post_answer(told), media_type="application/json")
        batch = from_wire_batch(await request.body())
        answer = await self._nodes.accept(node, batch, sent_ns=int(sent))
        return Response(to_wire_answer(answer), media_type="application/json")

    async def _authenticate(self, request: Request) -> Node:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise NodeRefused
        return await self._nodes.authenticate(token.strip())
