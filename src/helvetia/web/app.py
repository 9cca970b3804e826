"""Puts the border together: controllers' routes, static files, and what stands in front of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from fastapi import APIRouter, FastAPI
from starlette.staticfiles import StaticFiles
from starlette.types import Lifespan

from helvetia.accounts.service import AccountService
from helvetia.enforcement.service import EnforcementService
from helvetia.web.config import WebConfig
from helvetia.web.dashboard.render import STATIC_PATH, Renderer
from helvetia.web.middleware.authenticate import Authenticator
from helvetia.web.middleware.catch_unexpected import CatchUnexpectedMiddleware
from helvetia.web.middleware.enforcement import EnforcementGate, install_enforcement, selected_account
from helvetia.web.middleware.headers import SecurityHeadersMiddleware
from helvetia.web.middleware.idempotency import IdempotentAnswers, IdempotentRoute
from helvetia.web.middleware.limit_body import LimitBodyMiddleware
from helvetia.web.middleware.request_id import RequestIdMiddleware
from helvetia.web.openapi import DescribedApi
from helvetia.web.problems import add_problem_handlers


class Controller(Protocol):
    """Adds its bound methods as routes, each with its own declaration of who may call it."""

    def add_to(self, router: APIRouter) -> None: ...


def create_app(
    config: WebConfig,
    accounts: AccountService,
    renderer: Renderer,
    controllers: Sequence[Controller],
    answers: IdempotentAnswers,
    *,
    enforcement: EnforcementService,
    lifespan: Lifespan[FastAPI] | None = None,
) -> FastAPI:
    """The application; it opens nothing itself (`lifespan` is wiring's)."""
    app = DescribedApi(
        title="Helvetia Billing",
        version="1",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.state.authenticator = Authenticator(accounts, config)
    app.state.renderer = renderer
    app.state.idempotent_answers = answers
    install_enforcement(app, EnforcementGate(enforcement=enforcement, find_account=selected_account))
    app.router.route_class = IdempotentRoute
    for controller in controllers:
        controller.add_to(app.router)
    app.mount("/static", StaticFiles(directory=Path(STATIC_PATH)), name="static")
    add_problem_handlers(app)
    # The last added stands outermost.
    app.add_middleware(LimitBodyMiddleware, bytes_max=config.body_bytes_max)
    app.add_middleware(CatchUnexpectedMiddleware)
    app.add_middleware(SecurityHeadersMiddleware, config=config)
    app.add_middleware(RequestIdMiddleware)
    return app
