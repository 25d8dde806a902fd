"""Refuse connections to private addresses, for code that fetches what others name (SSRF).

Feeds are fetched through it; webhooks, or anything else that uses aiohttp, can be too:

    guard = AddressGuard()
    connector = aiohttp.TCPConnector(socket_factory=guard, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        async with session.get(url, allow_redirects=False) as response:
            …

A refused address raises aiohttp's `ClientConnectorError`; `guard.refused` then names it. Every
connection is checked, including those that redirects lead to. If some hosts are exempt, give each
request a connector of its own and follow redirects yourself: a redirect could carry the exemption
elsewhere. Don't use a proxy: the guard would see only the proxy's address.
"""

import errno
import ipaddress
import socket
from typing import Any

from tasks.exceptions import TasksError

GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class PrivateAddress(TasksError, PermissionError):
    """A connection to an address that isn't public was refused; `address` is that address.

    An OSError, so that aiohttp tries a host's other addresses before it gives up.
    """

    def __init__(self, address: str) -> None:
        super().__init__(
            errno.EACCES, f"{address} is a private address: only public ones are allowed"
        )
        self.address = address


def is_public(address: str) -> bool:
    """Return whether an IP address belongs to the public internet.

    IPv6 addresses that carry an IPv4 address (mapped, NAT64, 6to4) are judged by that one.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        embedded = ip.ipv4_mapped or ip.sixtofour
        if ip in NAT64:
            embedded = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        if embedded is None:
            return ip.is_global and ip in GLOBAL_UNICAST
        ip = embedded
    return ip.is_global and not ip.is_multicast


class AddressGuard:
    """A socket factory that makes sockets for public addresses only.

    aiohttp calls it once the name is resolved, with the address that it is about to connect to:
    no later DNS answer can change it. `refused` is the last address that was
    refused, None if there was none. Raises PrivateAddress.
    """

    def __init__(self) -> None:
        self.refused: str | None = None

    def __call__(self, addr_info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, address = addr_info
        if not is_public(address[0]):
            self.refused = address[0]
            raise PrivateAddress(address[0])
        return socket.socket(family, kind, protocol)
