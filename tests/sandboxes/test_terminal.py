"""A shell in a real sandbox: a terminal made inside, its size, its exit code, and nothing left when it is closed."""

from __future__ import annotations

import asyncio

import pytest

from sandboxes.driver import Attachment
from sandboxes.terminal import Terminal

pytestmark = pytest.mark.sandbox


async def until(heard: bytearray, words: bytes) -> None:
    async with asyncio.timeout(120):
        while words not in heard:
            await asyncio.sleep(0.02)


async def test_a_shell_has_a_terminal_a_size_and_an_exit_code(attached: Attachment) -> None:
    heard = bytearray()
    terminal = Terminal(heard.extend)
    await terminal.open(attached, 31, 97)
    try:
        terminal.type(b"stty size; tty; echo u=$(id -u)=\n")
        await until(heard, b"u=10001=")
        terminal.resize(40, 120)
        terminal.type(b"stty size\n")
        await until(heard, b"40 120")
        terminal.type(b"exit 7\n")
        code = await terminal.wait()
    finally:
        await terminal.close()

    assert b"31 97" in heard
    assert b"/dev/pts/" in heard
    assert code == 7


async def test_control_characters_reach_what_runs_in_it(attached: Attachment) -> None:
    heard = bytearray()
    terminal = Terminal(heard.extend)
    await terminal.open(attached, 24, 80)
    try:
        terminal.type(b"sh -c 'echo begun; exec sleep 60'; echo $((6*7))\n")
        await until(heard, b"begun\r\n")
        terminal.type(b"\x03")
        await until(heard, b"^C")
        terminal.type(b"echo $((6*7+1))\n")
        await until(heard, b"43\r\n")
    finally:
        await terminal.close()

    assert b"42\r\n" not in heard
