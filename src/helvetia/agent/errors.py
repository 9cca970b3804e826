"""What can go wrong between a node and its server."""

from helvetia.kernel.errors import HelvetiaError, Unavailable


class ServerUnavailable(Unavailable):
    """The server does not answer; readings wait on this node's disk."""

    code = "server_unavailable"


class AgentRefused(HelvetiaError):
    """The server refuses this node."""

    code = "agent_refused"
    status = 401


class BatchRefused(HelvetiaError):
    """The server cannot read this batch at all; it is left out."""

    code = "batch_refused"
    status = 422
