"""The filter's verdicts, by running its program in a small interpreter: both machines, on any machine."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import pytest

from sandboxes.local import seccomp
from sandboxes.local.seccomp import ALLOW, EAFNOSUPPORT, ENOSYS, EPERM, KILL_PROCESS, Instruction

MACHINES = ["x86_64", "aarch64"]
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


def verdict(machine: str, name: str | int, *arguments: int, arch: int | None = None) -> int:
    """What the kernel would answer. Arguments are 64 bits; the program reads words of 32."""
    number = name if isinstance(name, int) else seccomp.NUMBERS[machine][name]
    words = {0: number, 4: seccomp.AUDIT_ARCH[machine] if arch is None else arch}
    for index in range(6):
        value = arguments[index] if index < len(arguments) else 0
        words[16 + 8 * index] = value & 0xFFFFFFFF
        words[20 + 8 * index] = value >> 32
    return interpret(seccomp.program(machine), words)


def interpret(program: list[Instruction], words: dict[int, int]) -> int:
    accumulator, position = 0, 0
    while True:
        code, if_true, if_false, value = program[position]
        position += 1
        if code == 0x20:
            accumulator = words[value]
        elif code == 0x54:
            accumulator &= value
        elif code == 0x06:
            return value
        else:
            holds = {
                0x15: accumulator == value,
                0x35: accumulator >= value,
                0x45: bool(accumulator & value),
            }[code]
            position += if_true if holds else if_false


@pytest.mark.parametrize("machine", MACHINES)
def test_every_named_call_is_refused(machine: str) -> None:
    for name in seccomp.denied_names():
        if name in seccomp.NUMBERS[machine]:
            assert verdict(machine, name) == EPERM, name


@pytest.mark.parametrize("machine", MACHINES)
def test_every_denied_name_has_a_number_where_the_machine_has_the_call(machine: str) -> None:
    only_on_x86 = {
        "create_module",
        "get_kernel_syms",
        "query_module",
        "uselib",
        "sysfs",
        "_sysctl",
        "ustat",
        "iopl",
        "ioperm",
        "modify_ldt",
    }
    missing = {name for name in seccomp.denied_names() if name not in seccomp.NUMBERS[machine]}

    assert missing == (only_on_x86 if machine == "aarch64" else set())


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", seccomp.ABSENT)
def test_calls_whose_arguments_lie_in_memory_look_absent(machine: str, name: str) -> None:
    assert verdict(machine, name) == ENOSYS


@pytest.mark.parametrize("machine", MACHINES)
def test_a_foreign_architecture_is_killed(machine: str) -> None:
    i386 = 0x40000003
    assert verdict(machine, 1, arch=i386) == KILL_PROCESS


def test_the_x32_numbers_are_killed() -> None:
    assert verdict("x86_64", 0x40000000 | 1) == KILL_PROCESS


@pytest.mark.parametrize("machine", MACHINES)
def test_a_call_newer_than_the_table_looks_absent(machine: str) -> None:
    assert verdict(machine, seccomp.NEWEST) == ALLOW
    assert verdict(machine, seccomp.NEWEST + 1) == ENOSYS


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (0x11, ALLOW),  # fork: SIGCHLD
        (0x3D0F00, ALLOW),  # a thread
        (0x4111, ALLOW),  # vfork
        (0x10000000, EPERM),
        (0x20000, EPERM),
        (0x40000000 | 0x11, EPERM),
        (0x02000000, EPERM),
    ],
)
def test_clone_makes_processes_but_no_namespaces(machine: str, flags: int, expected: int) -> None:
    assert verdict(machine, "clone", flags) == expected


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("family", "kind", "protocol", "expected"),
    [
        (1, 1, 0, ALLOW),  # unix
        (2, 1, 0, ALLOW),  # TCP
        (2, 1 | 0o2000000 | 0o4000, 6, ALLOW),  # TCP, close-on-exec, non-blocking
        (10, 2, 17, ALLOW),  # UDP over v6
        (2, 3, 1, EPERM),  # raw
        (2, 1, 262, EPERM),  # MPTCP
        (2, 1, 132, EPERM),  # SCTP
        (2, 5, 132, EPERM),
        (16, 3, 0, ALLOW),  # netlink: routes
        (16, 3, 9, EPERM),  # netlink: audit
        (16, 3, 15, EPERM),  # netlink: device events
        (40, 1, 0, EAFNOSUPPORT),  # vsock
        (17, 3, 0, EAFNOSUPPORT),  # packet
        (38, 5, 0, EAFNOSUPPORT),  # alg
        (31, 3, 1, EAFNOSUPPORT),  # bluetooth
        (1 << 32 | 2, 1, 0, ALLOW),  # the kernel drops the high half as well
    ],
)
def test_socket_families(machine: str, family: int, kind: int, protocol: int, expected: int) -> None:
    assert verdict(machine, "socket", family, kind, protocol) == expected


@pytest.mark.parametrize("machine", MACHINES)
def test_socket_pairs_are_unix_ones(machine: str) -> None:
    assert verdict(machine, "socketpair", 1, 1, 0) == ALLOW
    assert verdict(machine, "socketpair", 30, 1, 0) == EAFNOSUPPORT


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("request_", "expected"),
    [(0x5412, EPERM), (0x541C, EPERM), (0xFFFFFFFF00005412, EPERM), (0x5413, ALLOW), (0x5401, ALLOW)],
)
def test_nothing_is_typed_into_a_terminal(machine: str, request_: int, expected: int) -> None:
    assert verdict(machine, "ioctl", 0, request_) == expected


def _mode_calls(machine: str) -> list[tuple[str, int]]:
    """Each call that sets a mode, and which argument that is."""
    calls = [("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("fchmodat2", 2), ("creat", 1), ("mknod", 1), ("mknodat", 2)]
    return [(name, index) for name, index in calls if name in seccomp.NUMBERS[machine]]


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o6000])
def test_no_set_id_bit_is_set(machine: str, mode: int) -> None:
    for name, index in _mode_calls(machine):
        arguments = [0] * 6
        arguments[index] = mode
        assert verdict(machine, name, *arguments) == EPERM, name
        arguments[index] = 0o1777
        assert verdict(machine, name, *arguments) == ALLOW, name


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("flags", "mode", "expected"),
    [
        (0o100 | 1, 0o644, ALLOW),
        (0o100 | 1, 0o4755, EPERM),
        (0o20200000 | 2, 0o2755, EPERM),  # O_TMPFILE
        (0, 0o7777, ALLOW),  # without creating, the mode is whatever lay in the register
    ],
)
def test_open_looks_at_the_mode_only_when_it_creates(machine: str, flags: int, mode: int, expected: int) -> None:
    assert verdict(machine, "openat", 0, 0, flags, mode) == expected
    if machine == "x86_64":
        assert verdict(machine, "open", 0, flags, mode) == expected


@pytest.mark.parametrize("machine", MACHINES)
def test_what_programs_need_is_allowed(machine: str) -> None:
    needed = {"x86_64": (0, 1, 9, 59, 61, 202, 231, 332), "aarch64": (63, 64, 222, 221, 260, 98, 94, 291)}

    for number in needed[machine]:  # read, write, mmap, execve, wait4, futex, exit_group, statx
        assert verdict(machine, number) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
def test_the_numbers_are_those_of_the_kernel_headers(machine: str) -> None:
    header = HEADERS[machine]
    if not header.exists():
        pytest.skip("the kernel headers are not installed")
    pattern = re.compile(r"#define __NR(?:3264)?_(\w+)\s+(\d+)\s*$", re.MULTILINE)
    theirs = {name: int(number) for name, number in pattern.findall(header.read_text())}
    ours = seccomp.NUMBERS[machine]

    assert {name: theirs[name] for name in ours if name in theirs} == {
        name: number for name, number in ours.items() if name in theirs
    }
    assert len(theirs.keys() & ours.keys()) > 60


@pytest.mark.parametrize("machine", MACHINES)
def test_the_program_is_well_formed(machine: str) -> None:
    program = seccomp.program(machine)

    assert program[-1] == Instruction(0x06, 0, 0, ALLOW)
    assert len(program) < 4096
    for position, instruction in enumerate(program):
        assert 0 <= instruction.if_true <= 255
        assert 0 <= instruction.if_false <= 255
        if instruction.code not in (0x20, 0x54, 0x06):
            assert position + 1 + max(instruction.if_true, instruction.if_false) < len(program)


def test_an_unknown_machine_has_no_program() -> None:
    with pytest.raises(KeyError):
        seccomp.program("riscv64")


def test_the_answers_are_the_errors_they_name() -> None:
    assert [EPERM & 0xFFFF, ENOSYS & 0xFFFF, EAFNOSUPPORT & 0xFFFF] == [errno.EPERM, errno.ENOSYS, errno.EAFNOSUPPORT]
