"""The guard that refuses private addresses, alone and inside an HTTP client."""

import asyncio
import socket

import aiohttp
import pytest

from tasks.address_guard import AddressGuard, PrivateAddress, is_public
from tasks.exceptions import TasksError


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"],
)
def test_an_address_of_the_internet_is_public(address: str):
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "169.254.169.254", "127.0.0.1"),
        *("0.0.0.0", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1"),
        *("::", "::1", "::7f00:1", "fe80::1%eth0", "fc00::1", "fec0::1", "ff02::1", "2001:db8::1"),
        *("::ffff:10.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::1", "2002:a00:1::1", "2001::1"),
    ],
)
def test_an_address_outside_the_internet_is_not_public(address: str):
    assert not is_public(address)


def test_the_guard_makes_a_socket_for_a_public_address():
    guard = AddressGuard()
    with guard((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("8.8.8.8", 80))) as made:
        assert (made.family, made.type) == (socket.AF_INET, socket.SOCK_STREAM)
    assert guard.refused is None


def test_the_guard_refuses_a_private_address_by_an_error_that_names_it():
    guard = AddressGuard()
    with pytest.raises(TasksError, match=r"10\.0\.0\.1 is a private address") as caught:
        guard((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("10.0.0.1", 80)))
    assert isinstance(caught.value, PrivateAddress)
    assert (caught.value.address, guard.refused) == ("10.0.0.1", "10.0.0.1")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
def test_an_http_client_with_the_guard_does_not_connect_to_a_private_address(host: str):
    guard = AddressGuard()

    async def request(port: int) -> None:
        connector = aiohttp.TCPConnector(socket_factory=guard, force_close=True)
        async with aiohttp.ClientSession(connector=connector) as session:
            await session.get(f"http://{host}:{port}/")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        with pytest.raises(aiohttp.ClientConnectorError, match="private address"):
            asyncio.run(request(listener.getsockname()[1]))
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert guard.refused is not None
