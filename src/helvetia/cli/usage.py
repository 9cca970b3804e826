"""`helvetia usage`: the current period of an account, as the API shows it."""

from dishka import AsyncContainer

from helvetia.accounts.service import AccountService
from helvetia.cli.run import print_json, run_in_house
from helvetia.costs.service import CostService
from helvetia.kernel.errors import NotFound
from helvetia.kernel.money import Money


def usage(*, email: str, organization: str | None = None, json: bool = False) -> int:
    """Print the usage and its cost of the current period.

    Example: helvetia usage --email ada@example.com --organization "Alpine Labs"

    Parameters
    ----------
    email
        The user whose account, or through whose membership the organization, is meant.
    organization
        The name of an organization the user belongs to; without it, the user's own account.
    json
        Print JSON for scripts.
    """

    async def show(house: AsyncContainer) -> int:
        accounts = await house.get(AccountService)
        user = await accounts.find_user_by_email(email)
        if user is None:
            raise NotFound(f"There is no user {email}.")
        account_id = user.account_id
        if organization is not None:
            named = [m.account for m in await accounts.memberships(account_id) if m.account.name == organization]
            if not named:
                raise NotFound(f"{email} belongs to no organization {organization!r}.")
            account_id = named[0].account_id
        current = await (await house.get(CostService)).current_usage(account_id)
        if json:
            print_json(current)
            return 0
        print(f"{current.plan.value}, {current.period.starts_at:%Y-%m-%d %H:%M:%S} UTC to")
        print(f"{current.period.ends_at:%Y-%m-%d %H:%M:%S} UTC (not included)")
        for line in current.lines:
            amount = Money(amount_minor=line.amount_minor, currency=current.currency).to_decimal()
            print(
                f"  {line.metric.value:<16} {line.quantity:>16} {line.unit:<9} {amount:>10} {current.currency.upper()}"
            )
        total = Money(amount_minor=current.usage_minor, currency=current.currency).to_decimal()
        print(f"  {'usage so far':<16} {'':>16} {'':<9} {total:>10} {current.currency.upper()}")
        state = "complete" if current.is_complete else "not complete"
        print(f"as of {current.as_of:%Y-%m-%d %H:%M:%S} UTC, {state}")
        return 0

    return run_in_house(show)
