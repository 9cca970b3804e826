"""`helvetia api`: the HTTP server: API, pages, health and metrics."""

import gc

import uvicorn
from dishka import AsyncContainer
from fastapi import FastAPI

from helvetia.cli.run import run_in_house
from helvetia.settings import Settings
from helvetia.wiring.controllers import WebProvider

STOP_WITHIN_S = 8


def api() -> int:
    """Serve the API and the pages on BIND_HOST and PORT. Any number may run behind a load balancer.

    Example: PORT=8000 helvetia api
    """
    return run_in_house(_serve, WebProvider())


async def _serve(house: AsyncContainer) -> int:
    settings = await house.get(Settings)
    server = uvicorn.Server(
        uvicorn.Config(
            await house.get(FastAPI),
            host=settings.bind_host,
            port=settings.port,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            timeout_graceful_shutdown=STOP_WITHIN_S,
        )
    )
    # What the house is made of stays: walking through all of it again stopped every request for up to 90 ms.
    gc.collect()
    gc.freeze()
    await server.serve()
    return 0 if server.started else 1
