"""Who am I, organizations and API tokens."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from helvetia.accounts.errors import WrongConfirmation
from helvetia.accounts.model import Membership, Role
from helvetia.accounts.service import AccountService
from helvetia.meter_reports.closing.service import AccountClosingService
from helvetia.web.api.schemas.accounts import (
    AccountAnswer,
    IssuedTokenAnswer,
    MembershipAnswer,
    OrganizationRequest,
    TokenListAnswer,
    TokenRequest,
    to_wire_issued_token,
    to_wire_membership,
    to_wire_token,
)
from helvetia.web.middleware.authenticate import AccountManager, SignedIn

TokenId = Annotated[UUID, Path(description="The id of one of your API tokens.")]
Confirmation = Annotated[UUID, Query(description="The id of the account to delete, so that none goes by mistake.")]


class AccountController:
    """Everything here is about the signed-in user; no role is asked for."""

    def __init__(self, accounts: AccountService, closing: AccountClosingService) -> None:
        self._accounts = accounts
        self._closing = closing

    def add_to(self, router: APIRouter) -> None:
        add = router.add_api_route
        add("/api/v1/account", self.get_account, methods=["GET"], tags=["account"])
        add("/api/v1/account", self.delete_account, methods=["DELETE"], status_code=204, tags=["account"])
        add("/api/v1/organizations", self.create_organization, methods=["POST"], status_code=201, tags=["account"])
        add("/api/v1/tokens", self.list_tokens, methods=["GET"], tags=["account"])
        add("/api/v1/tokens", self.create_token, methods=["POST"], status_code=201, tags=["account"])
        add("/api/v1/tokens/{token_id}", self.revoke_token, methods=["DELETE"], status_code=204, tags=["account"])

    async def get_account(self, caller: SignedIn) -> AccountAnswer:
        """Who am I, for which account do I act, and to which do I belong?"""
        memberships = await self._accounts.memberships(caller.user.account_id)
        return AccountAnswer(
            user_id=str(caller.user.account_id),
            email=caller.user.email,
            selected=to_wire_membership(caller.membership),
            accounts=[to_wire_membership(membership) for membership in memberships],
        )

    async def delete_account(self, caller: AccountManager, confirm: Confirmation) -> Response:
        """Delete the selected account, once nothing of it runs and everything is paid; 409 says what is left.

        Its usage records are kept.
        """
        if confirm != caller.account_id:
            raise WrongConfirmation
        await self._closing.close_account(caller.account_id, actor=caller.actor)
        return Response(status_code=204)

    async def create_organization(self, caller: SignedIn, organization: OrganizationRequest) -> MembershipAnswer:
        """Found an organization; the caller becomes its owner."""
        account = await self._accounts.create_organization(organization.name, caller.user.account_id)
        return to_wire_membership(Membership(account=account, role=Role.OWNER))

    async def list_tokens(self, caller: SignedIn) -> TokenListAnswer:
        """Your API tokens that were not revoked, newest first (at most 50)."""
        tokens = await self._accounts.list_tokens(caller.user.account_id)
        return TokenListAnswer(tokens=[to_wire_token(token) for token in tokens])

    async def create_token(self, caller: SignedIn, token: TokenRequest) -> IssuedTokenAnswer:
        """A new API token; its secret is in this answer and nowhere else."""
        return to_wire_issued_token(await self._accounts.issue_token(caller.user.account_id, token.name))

    async def revoke_token(self, caller: SignedIn, token_id: TokenId) -> Response:
        """The token is refused from now on."""
        await self._accounts.revoke_token(caller.user.account_id, token_id)
        return Response(status_code=204)
