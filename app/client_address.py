"""The network address of a visitor, behind proxies as well."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

PREFIX_LENGTH_V6 = 64
"""A home or a phone has a network of this size for itself, and changes addresses in it."""
Address = IPv4Address | IPv6Address


def client_address(peer: str | None, forwarded_for: Iterable[str], trusted: Sequence[str]) -> str:
    """Return what a visitor's clips are counted by: an IPv4 address, or an IPv6 network.

    Each proxy appends to `X-Forwarded-For` the address that it was asked from. So the list is
    read from the right, as long as what is there was written by a trusted proxy; what stands
    further left anybody may have made up.

    Args:
        peer: The address that the connection comes from; None where that is not known.
        forwarded_for: The values of the header `X-Forwarded-For`, in order.
        trusted: Addresses and networks of the proxies that are believed.
    """
    address = _parse(peer or "127.0.0.1")
    if address is None:
        return peer or ""
    networks = [ip_network(network, strict=False) for network in trusted]
    hops = [hop.strip() for value in forwarded_for for hop in value.split(",")]
    while hops and any(address in network for network in networks):
        before = _parse(hops.pop())
        if before is None:
            break
        address = before
    if isinstance(address, IPv6Address):
        return str(ip_network((address, PREFIX_LENGTH_V6), strict=False))
    return str(address)


def _parse(text: str) -> Address | None:
    """Return an address, which may be written with a port; None if it is none."""
    host = text[1:].partition("]")[0] if text.startswith("[") else text
    if host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
