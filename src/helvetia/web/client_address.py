"""Whose request it is, by address: the peer's, or, behind proxies that we trust, the one that they saw.

Each proxy appends its own peer to X-Forwarded-For, so the list is read from the right: the first address that is no
trusted proxy is the client. What stands further left was sent by the client itself and is never believed; nor is any of
it when the peer is no trusted proxy. What cannot be read ends the walk at the last address that can.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from fastapi import Request

from helvetia.web.config import WebConfig

UNKNOWN = "unknown"
HOPS_MAX = 20
_HEADER = "x-forwarded-for"

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def client_address(request: Request, config: WebConfig) -> str:
    """The address that limits count by; `unknown` where the server was told none."""
    peer = _read(request.client.host) if request.client else None
    if peer is None:
        return request.client.host if request.client else UNKNOWN
    forwarded = ",".join(request.headers.getlist(_HEADER))
    return str(find_client(peer, forwarded, config.trusted_proxies))


def find_client(peer: Address, forwarded: str, trusted: Sequence[Network]) -> Address:
    """The first address from the right that is no trusted proxy, at most so many hops away."""
    client = peer
    for hop in reversed(forwarded.split(",")[-HOPS_MAX:]):
        if not any(client in network for network in trusted):
            return client
        found = _read(hop.strip())
        if found is None:
            return client
        client = found
    return client


def _read(text: str) -> Address | None:
    """An address; an IPv4 one in IPv6 clothes is the IPv4 one, so that it counts once."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found
