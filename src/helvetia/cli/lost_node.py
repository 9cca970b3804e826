"""`helvetia lost-node`: a node died for good; what ran there ends where it was last seen."""

from dishka import AsyncContainer

from helvetia.cli.run import run_in_house
from helvetia.kernel.errors import Invalid
from helvetia.metering.nodes.lose_nodes import LostNodeService

ACTOR = "operator:command-line"


def lost_node(*, name: str, reason: str) -> int:
    """End everything that was last seen at a node, so that its usage can be closed and billed.

    Without it the same happens 72 hours after the node was last heard of. If the node comes back after all, its runs go
    on as if they had never ended, and bills get the difference.

    Example: helvetia lost-node --name rack-2 --reason "the machine burnt"

    Parameters
    ----------
    name
        The node's name, as `helvetia doctor` tells it.
    reason
        Kept in the audit record.
    """
    if not reason.strip():
        raise Invalid("helvetia lost-node needs a --reason, which is kept.")

    async def lose(house: AsyncContainer) -> int:
        service = await house.get(LostNodeService)
        print(f"ended: {await service.declare_lost(name, actor=ACTOR, reason=reason)}")
        return 0

    return run_in_house(lose)
