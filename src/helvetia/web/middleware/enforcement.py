"""What stands in front of routes that start something: the policy and the limits, as FastAPI dependencies.

They answer early and tell a warning; the admission under the account's lock, in the same transaction as the change,
decides. Another FastAPI application uses them by calling `install_enforcement(app, gate)` with a gate that knows how to
find the account of a request.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

from fastapi import Depends, FastAPI, Request, Response

from helvetia.enforcement.model import NewWork, Resources, Verdict
from helvetia.enforcement.service import EnforcementService
from helvetia.kernel.identity import AccountId
from helvetia.web.middleware.authenticate import Authenticator

WARNING_HEADER = "Helvetia-Billing-Warning"

FindAccount = Callable[[Request], Awaitable[AccountId]]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnforcementGate:
    """The policy, and how an application finds the account that a request is for (raising when nobody is signed in)."""

    enforcement: EnforcementService
    find_account: FindAccount


def install_enforcement(app: FastAPI, gate: EnforcementGate) -> None:
    """Let the dependencies of this module work in `app`."""
    app.state.helvetia_enforcement = gate


async def selected_account(request: Request) -> AccountId:
    """The account of this product's own requests: the caller's, or the organization's that the request names."""
    authenticator: Authenticator = request.app.state.authenticator
    return (await authenticator.find_caller(request)).account_id


async def require_active_subscription(request: Request, response: Response) -> Verdict:
    """The account's payment state lets it start something new; in a grace the answer carries a warning.

    Raises:
        NewWorkRefused: 402, with the reason, the beginning of the failure and when services are held.
    """
    return await _check(request, response, Resources())


def enforce_resource_limits(
    *, services: int = 0, memory_mb: int = 0, cpu_cores: Decimal | str = "0"
) -> Callable[[Request, Response], Awaitable[Verdict]]:
    """A dependency: so much more fits the account's plan. Negative or non-numeric amounts are refused here and now.

    Raises:
        LimitReached: 403, with what is allowed, used and requested, and the smallest plan that fits.
        NewWorkRefused: 402.
    """
    cores = Decimal(cpu_cores)
    if not cores.is_finite() or cores < 0 or services < 0 or memory_mb < 0:
        raise ValueError("amounts are numbers that are not negative")
    requested = Resources(services=services, memory_mb=memory_mb, cpu_cores=cores)

    async def check(request: Request, response: Response) -> Verdict:
        return await _check(request, response, requested)

    return check


async def _check(request: Request, response: Response, requested: Resources) -> Verdict:
    gate: EnforcementGate = request.app.state.helvetia_enforcement
    verdict = await gate.enforcement.check_account(await gate.find_account(request), requested)
    if verdict.new_work is not NewWork.WITHIN_LIMITS:
        response.headers[WARNING_HEADER] = verdict.reason
    return verdict


MayStart = Annotated[Verdict, Depends(require_active_subscription)]
