"""`helvetia token`: an API token for scripts and first contact."""

from dishka import AsyncContainer

from helvetia.accounts.service import AccountService
from helvetia.cli.run import run_in_house
from helvetia.kernel.errors import NotFound


def token(*, email: str, create: bool = False, organization: str | None = None, name: str = "command line") -> int:
    """Print a new API token of a user. It is shown once; keep it.

    Example: helvetia token --email ada@example.com --create --organization "Alpine Labs"

    Parameters
    ----------
    email
        Whose token.
    create
        Create the user if there is none.
    organization
        Also create an organization of this name, owned by the user, if the user has none of that name.
    name
        What the token is called in lists.
    """

    async def issue(house: AsyncContainer) -> int:
        accounts = await house.get(AccountService)
        user = await accounts.find_user_by_email(email)
        if user is None:
            if not create:
                raise NotFound(f"There is no user {email}. Add --create to make one.")
            user = await accounts.create_user(email)
        if organization is not None:
            owned = await accounts.memberships(user.account_id)
            if organization not in {membership.account.name for membership in owned}:
                await accounts.create_organization(organization, user.account_id)
        print(await accounts.create_token(user.account_id, name))
        return 0

    return run_in_house(issue)
