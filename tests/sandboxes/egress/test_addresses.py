"""Where names lead: only to the open internet, and one private address among others is enough to refuse."""

from __future__ import annotations

import pytest

from sandboxes.egress.addresses import NotPublic, is_public, resolve


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001::1", "::ffff:1.1.1.1"]
)
def test_addresses_of_the_open_internet(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "0.1.2.3"),
        *(
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "192.88.99.1",
        ),
        *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "64:ff9b::7f00:1"),
        *("64:ff9b:1::1", "2002:7f00:1::", "2001::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::7f00:1"),
        *("5f00::1", "3fff::1", "100::1", "", "example.org", "1.2.3"),
    ],
)
def test_everything_else(address: str) -> None:
    assert not is_public(address)


async def test_a_name_is_looked_up_whole_and_once() -> None:
    asked = []

    async def lookup(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return ["1.1.1.1", "2606:4700:4700::1111"]

    assert await resolve("example.org", 443, lookup) == ["1.1.1.1", "2606:4700:4700::1111"]
    assert asked == [("example.org.", 443)]


@pytest.mark.parametrize("found", [["1.1.1.1", "10.0.0.1"], ["127.0.0.1"], ["64:ff9b::a00:1"], []])
async def test_one_private_address_refuses_the_name(found: list[str]) -> None:
    async def lookup(host: str, port: int) -> list[str]:
        return found

    with pytest.raises(NotPublic, match=r"example\.org"):
        await resolve("example.org", 443, lookup)


async def test_a_name_that_cannot_be_looked_up_is_refused_with_a_sentence() -> None:
    async def lookup(host: str, port: int) -> list[str]:
        raise OSError("no such host")

    with pytest.raises(NotPublic, match="could not be looked up"):
        await resolve("example.org", 443, lookup)
