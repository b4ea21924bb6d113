"""Where a name leads: looked up once, every address public, and the connection goes to what was checked.

``ipaddress.is_global`` alone lies: on Python 3.11 it says yes to NAT64, 6to4, site-local and multicast addresses,
each of which can lead back into one's own network (facts measured in the design notes).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

LOOKUP_TIMEOUT_S = 10.0

_PUBLIC_V6 = ipaddress.ip_network("2000::/3")
# Networks that is_global does not refuse everywhere: carrier NAT, benchmarking, documentation, ORCHID, and the
# 6to4 relays of old.
_NEVER = tuple(
    ipaddress.ip_network(each)
    for each in (
        *("100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "240.0.0.0/4"),
        *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16"),
    )
)

# Of their own: a resolver that does not answer holds a thread for half a minute, and the loop's few threads tell the
# programs of every sandbox.
_threads = ThreadPoolExecutor(64, thread_name_prefix="egress-lookup")

Lookup = Callable[[str, int], Awaitable[list[str]]]


# Which addresses a name may lead to, where that is more than the open internet; None: no more.
Permits = Callable[[str], bool]
Places = Callable[[str, int], Permits | None]
# What is said of a name, its port and the addresses it leads to, where one of them is not permitted.
Refusal = Callable[[str, int, Sequence[str]], str]


class NotPublic(Exception):
    """The name leads to an address agents never reach, or nowhere; the text says which."""


def is_public(text: str) -> bool:
    """Is this address one of the open internet?"""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:  # with a zone, or no address at all
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(str(address.ipv4_mapped))
        if address not in _PUBLIC_V6:
            return False
    if any(address in network for network in _NEVER if network.version == address.version):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


async def system_lookup(host: str, port: int) -> list[str]:
    """The addresses the machine's resolver gives, in its order."""
    ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_threads, ask)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def not_public(host: str, port: int, found: Sequence[str]) -> str:
    """Where the name leads: the first of the addresses that is not public."""
    private = next((address for address in found if not is_public(address)), "")
    return f"{host} leads to {private}, which is not on the open internet."


async def resolve(
    host: str,
    port: int,
    lookup: Lookup = system_lookup,
    permits: Permits | None = None,
    refusal: Refusal = not_public,
) -> list[str]:
    """The addresses of ``host``, all of them public, or as ``permits`` says. Raises NotPublic: one private address among
    public ones is an attempt to get in, or a network set up so that it cannot be told apart."""
    # With the final dot a name is complete: the machine's search list must not turn it into another. Names of one's own
    # network are often found by that list.
    try:
        async with asyncio.timeout(LOOKUP_TIMEOUT_S):
            found = await lookup(f"{host}." if permits is None else host, port)
    except (OSError, UnicodeError) as problem:
        raise NotPublic(f"{host} could not be looked up.") from problem
    if not found:
        raise NotPublic(f"{host} has no address.")
    if not all(map(permits or is_public, found)):
        raise NotPublic(refusal(host, port, found))
    return found
