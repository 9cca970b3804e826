"""`helvetia node-token`: lets a remote node post its readings, or no longer."""

from dishka import AsyncContainer

from helvetia.cli.run import run_in_house
from helvetia.metering.nodes.service import NodeService


def node_token(*, name: str, revoke: bool = False) -> int:
    """Print a new token of a node (its former one is void from now on), or revoke it. It is shown once; keep it.

    Example: helvetia node-token --name rack-2

    Parameters
    ----------
    name
        The node's name: small letters, digits, dots and dashes.
    revoke
        Take the token away instead.
    """

    async def change(house: AsyncContainer) -> int:
        nodes = await house.get(NodeService)
        if revoke:
            await nodes.revoke_token(name)
        else:
            print(await nodes.issue_token(name))
        return 0

    return run_in_house(change)
