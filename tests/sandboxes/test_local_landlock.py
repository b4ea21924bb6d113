"""Landlock's rights by ABI: what is asked of an old kernel is what it knows."""

from __future__ import annotations

import os
import struct

import pytest

from sandboxes.local import landlock


@pytest.mark.parametrize(("abi", "rights"), [(1, 13), (2, 14), (3, 15), (4, 15), (5, 16), (6, 16), (7, 16), (9, 16)])
def test_rights_grow_with_the_abi(abi: int, rights: int) -> None:
    assert landlock.handled_rights(abi) == (1 << rights) - 1


@pytest.mark.parametrize(("abi", "size"), [(1, 8), (3, 8), (5, 8), (6, 24), (7, 24)])
def test_an_old_kernel_gets_the_short_header(abi: int, size: int) -> None:
    assert len(landlock.attributes(abi)) == size


def test_signals_and_abstract_sockets_stay_in_the_domain_where_the_kernel_can_keep_them() -> None:
    _, network, scopes = struct.unpack("<QQQ", landlock.attributes(6))

    assert scopes == 0b11
    assert network == 0, "a port list breaks test servers on ephemeral ports; the network namespace is the wall"


@pytest.mark.parametrize("abi", [1, 3, 5, 7])
def test_no_device_is_made_in_the_agents_directories(abi: int) -> None:
    rights = landlock.read_write(abi)

    assert not rights & (landlock.MAKE_CHAR | landlock.MAKE_BLOCK | landlock.IOCTL_DEV)
    assert rights & landlock.WRITE_FILE


def test_a_ruleset_leaves_out_what_does_not_exist() -> None:
    if not landlock.abi():
        pytest.skip("this kernel has no Landlock")
    descriptor = landlock.ruleset(landlock.abi(), [("/usr", landlock.READ_ONLY), ("/no/such/path", 1)])

    assert not os.get_inheritable(descriptor)
    os.close(descriptor)
