"""What the operator decides about money: behind a token of its own, which no user has. Not part of the public API."""

import hmac
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import Response

from helvetia.enforcement.service import EnforcementService
from helvetia.kernel.errors import Forbidden
from helvetia.kernel.identity import AccountId
from helvetia.meter_reports.redirection.service import RedirectionService
from helvetia.meter_reports.service import MeterReportService
from helvetia.meter_reports.settlement.decide_tasks import Decision
from helvetia.meter_reports.settlement.service import SettlementService
from helvetia.web.api.schemas.operator import (
    DecisionRequest,
    EndAnywayRequest,
    EnforcementStateAnswer,
    OperatorTasksAnswer,
    RedirectionAnswer,
    RedirectRequest,
    UsageComparisonAnswer,
    UsageTaskAnswer,
    to_wire_pass,
    to_wire_redirection,
    to_wire_stuck,
    to_wire_task,
)
from helvetia.web.config import WebConfig
from helvetia.web.middleware.authenticate import Open

ACTOR = "operator:api"
_BASE = "/api/v1/operator"
OperatorCall = Annotated[None, Depends(Open("the operator shows a token of its own, which no user has"))]


class OperatorOnly(Forbidden):
    """Only the operator may do this: send OPERATOR_TOKEN as the bearer token."""

    code = "operator_only"


class OperatorController:
    def __init__(
        self,
        config: WebConfig,
        settlement: SettlementService,
        reports: MeterReportService,
        enforcement: EnforcementService,
        redirection: RedirectionService,
    ) -> None:
        self._config = config
        self._settlement = settlement
        self._reports = reports
        self._enforcement = enforcement
        self._redirection = redirection

    def add_to(self, router: APIRouter) -> None:
        def add(method: str, path: str, endpoint: object, status: int = 200) -> None:
            router.add_api_route(
                f"{_BASE}{path}",
                endpoint,  # type: ignore[arg-type] # a bound method of this class
                methods=[method],
                include_in_schema=False,
                status_code=status,
            )

        add("GET", "/usage-tasks", self.list_tasks)
        add("POST", "/usage-tasks/{task_id}", self.decide)
        add("GET", "/usage-comparison", self.get_comparison)
        add("GET", "/enforcement", self.get_enforcement)
        add("POST", "/cancellations/{account_id}/end-anyway", self.end_anyway, 202)
        add("POST", "/meter-reports/{identifier}/redirect", self.redirect)

    async def list_tasks(self, request: Request, _call: OperatorCall) -> OperatorTasksAnswer:
        """What waits for a decision, oldest first, at most 1,000 of each."""
        self._check(request)
        return OperatorTasksAnswer(
            usage_tasks=[to_wire_task(task) for task in await self._settlement.undecided()],
            stuck_cancellations=[to_wire_stuck(one) for one in await self._settlement.stuck_cancellations()],
        )

    async def decide(
        self, request: Request, task_id: UUID, wanted: DecisionRequest, _call: OperatorCall
    ) -> UsageTaskAnswer:
        """Bill a task by an invoice item, or waive it."""
        self._check(request)
        decision = Decision(
            task_id=task_id,
            is_billed=wanted.decision == "bill",
            amount_minor=wanted.amount_minor,
            reason=wanted.reason,
            actor=ACTOR,
        )
        return to_wire_task(await self._settlement.decide(decision))

    async def get_comparison(self, request: Request, _call: OperatorCall) -> UsageComparisonAnswer:
        """What the nightly comparison of usage found."""
        self._check(request)
        compared_from, differences = await self._settlement.last_comparison()
        return UsageComparisonAnswer(compared_from=compared_from, differences=list(differences))

    async def get_enforcement(self, request: Request, _call: OperatorCall) -> EnforcementStateAnswer:
        """The mode, whether somebody chose it, the brake, and the last passes that did or wanted something."""
        self._check(request)
        passes = [to_wire_pass(one) for one in await self._enforcement.last_passes()]
        return EnforcementStateAnswer(
            mode=self._enforcement.mode.value,
            warning=self._enforcement.mode_warning,
            brake=passes[0].brake if passes else None,
            passes=passes,
        )

    async def end_anyway(
        self, request: Request, account_id: UUID, wanted: EndAnywayRequest, _call: OperatorCall
    ) -> Response:
        """End a subscription whatever keeps it; the worker does it within seconds."""
        self._check(request)
        await self._reports.end_anyway(AccountId(account_id), reason=wanted.reason, actor=ACTOR)
        return Response(status_code=202)

    async def redirect(
        self,
        request: Request,
        identifier: Annotated[str, Path(max_length=100)],
        wanted: RedirectRequest,
        _call: OperatorCall,
    ) -> RedirectionAnswer:
        """Take a report back from the customer whose usage it was not; repeating it goes on, or says the same."""
        self._check(request)
        return to_wire_redirection(await self._redirection.redirect(identifier, reason=wanted.reason, actor=ACTOR))

    def _check(self, request: Request) -> None:
        """Raises OperatorOnly."""
        token = self._config.operator_token
        sent = request.headers.get("authorization", "")
        if not token or not hmac.compare_digest(sent.encode(), f"Bearer {token}".encode()):
            raise OperatorOnly
