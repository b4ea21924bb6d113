"""The system calls an agent may not make, compiled to a seccomp filter for x86-64 and aarch64.

The filter allows what it does not name, because browsers, node and compilers must run; it refuses every way to a
new namespace, a mount, a kernel keyring, io_uring, a foreign socket family or a set-id bit. For several of those
(keyrings, io_uring, vsock, TIOCSTI, set-id bits) it is the only wall, so there is no running without it.
Runs inside the sandbox too (see ``pid1``): standard library only, Python 3.9 or newer.
"""

from __future__ import annotations

import ctypes
import errno
import struct
from typing import NamedTuple

from sandboxes.local import kernel

ALLOW = 0x7FFF0000
KILL_PROCESS = 0x80000000


def _errno(code: int) -> int:
    return 0x00050000 | code


EPERM = _errno(errno.EPERM)
ENOSYS = _errno(errno.ENOSYS)
EAFNOSUPPORT = _errno(errno.EAFNOSUPPORT)

# Refused on every machine that has them. Grouped by what they would open.
DENIED = {
    "another process": "ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd process_madvise",
    "kernel keyrings, which no namespace divides": "keyctl add_key request_key",
    "large kernel interfaces with a history of holes": "bpf perf_event_open userfaultfd io_uring_setup io_uring_enter "
    "io_uring_register",
    "the kernel itself": "init_module finit_module delete_module kexec_load kexec_file_load reboot swapon swapoff "
    "create_module get_kernel_syms query_module nfsservctl uselib sysfs _sysctl ustat lookup_dcookie vhangup",
    "mounts": "mount umount2 pivot_root chroot open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr "
    "open_tree_attr statmount listmount",
    "namespaces": "setns unshare",
    "files by handle, past the mount tree": "open_by_handle_at name_to_handle_at fanotify_init fanotify_mark",
    "accounting, logs and quotas": "acct syslog quotactl quotactl_fd",
    "ports, clocks and segments": "iopl ioperm modify_ldt settimeofday clock_settime clock_adjtime",
    "memory placement and memory hidden from the host": "mbind set_mempolicy set_mempolicy_home_node migrate_pages "
    "move_pages memfd_secret",
}

# Their arguments lie in memory, where a filter cannot look; the C library falls back to the older calls.
ABSENT = ("clone3", "openat2")

# The newest call this table was checked against (file_setattr, Linux 6.17). What came later is answered like on an
# older kernel, so that a new interface is shut until somebody has read about it.
NEWEST = 469

_SAME_EVERYWHERE = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429,
    "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "clone3": 435, "openat2": 437, "pidfd_getfd": 438,
    "process_madvise": 440, "mount_setattr": 442, "quotactl_fd": 443, "memfd_secret": 447,
    "set_mempolicy_home_node": 450, "fchmodat2": 452, "statmount": 457, "listmount": 458, "open_tree_attr": 467,
}  # fmt: skip

NUMBERS = {
    "x86_64": {
        **_SAME_EVERYWHERE,
        "open": 2, "ioctl": 16, "socket": 41, "socketpair": 53, "clone": 56, "creat": 85, "chmod": 90, "fchmod": 91,
        "ptrace": 101, "syslog": 103, "mknod": 133, "uselib": 134, "ustat": 136, "sysfs": 139, "vhangup": 153,
        "modify_ldt": 154, "pivot_root": 155, "_sysctl": 156, "chroot": 161, "acct": 163, "settimeofday": 164,
        "mount": 165, "umount2": 166, "swapon": 167, "swapoff": 168, "reboot": 169, "iopl": 172, "ioperm": 173,
        "create_module": 174, "init_module": 175, "delete_module": 176, "get_kernel_syms": 177, "query_module": 178,
        "quotactl": 179, "nfsservctl": 180, "lookup_dcookie": 212, "clock_settime": 227, "mbind": 237,
        "set_mempolicy": 238, "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250,
        "migrate_pages": 256, "openat": 257, "mknodat": 259, "fchmodat": 268, "unshare": 272, "move_pages": 279,
        "perf_event_open": 298, "fanotify_init": 300, "fanotify_mark": 301, "name_to_handle_at": 303,
        "open_by_handle_at": 304, "clock_adjtime": 305, "setns": 308, "process_vm_readv": 310,
        "process_vm_writev": 311, "kcmp": 312, "finit_module": 313, "kexec_file_load": 320, "bpf": 321,
        "userfaultfd": 323, "seccomp": 317,
    },
    "aarch64": {
        **_SAME_EVERYWHERE,
        "lookup_dcookie": 18, "ioctl": 29, "mknodat": 33, "umount2": 39, "mount": 40, "pivot_root": 41,
        "nfsservctl": 42, "chroot": 51, "fchmod": 52, "fchmodat": 53, "openat": 56, "vhangup": 58, "quotactl": 60,
        "acct": 89, "unshare": 97, "kexec_load": 104, "init_module": 105, "delete_module": 106, "clock_settime": 112,
        "syslog": 116, "ptrace": 117, "reboot": 142, "settimeofday": 170, "socket": 198, "socketpair": 199,
        "add_key": 217, "request_key": 218, "keyctl": 219, "clone": 220, "swapon": 224, "swapoff": 225, "mbind": 235,
        "set_mempolicy": 237, "migrate_pages": 238, "move_pages": 239, "perf_event_open": 241, "fanotify_init": 262,
        "fanotify_mark": 263, "name_to_handle_at": 264, "open_by_handle_at": 265, "clock_adjtime": 266, "setns": 268,
        "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272, "finit_module": 273, "bpf": 280,
        "userfaultfd": 282, "kexec_file_load": 294, "seccomp": 277,
    },
}  # fmt: skip

AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32_BIT = 0x40000000

_NEW_NAMESPACES = 0x7E020000  # every CLONE_NEW* that clone() takes
_SET_ID_BITS = 0o6000
_CREATES_A_FILE = 0o100 | 0o20000000  # O_CREAT, __O_TMPFILE: only then open() looks at its mode
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_SOCK_STREAM, _SOCK_DGRAM, _SOCK_TYPE_MASK = 1, 2, 0xF
_FIRST_ODD_PROTOCOL = 18  # TCP is 6, UDP 17; above lie SCTP and MPTCP, large and rarely audited


class Instruction(NamedTuple):
    code: int
    if_true: int
    if_false: int
    value: int


def _load(offset: int) -> Instruction:
    return Instruction(0x20, 0, 0, offset)


def _argument(index: int) -> Instruction:
    """The low 32 bits of an argument: all the kernel looks at for an int, on either little-endian machine."""
    return _load(16 + 8 * index)


def _answer(action: int) -> Instruction:
    return Instruction(0x06, 0, 0, action)


def _equal(value: int, if_true: int, if_false: int) -> Instruction:
    return Instruction(0x15, if_true, if_false, value)


def _at_least(value: int, if_true: int, if_false: int) -> Instruction:
    return Instruction(0x35, if_true, if_false, value)


def _any_bit(value: int, if_true: int, if_false: int) -> Instruction:
    return Instruction(0x45, if_true, if_false, value)


def _mask(value: int) -> Instruction:
    return Instruction(0x54, 0, 0, value)


def _when(value: int, *body: Instruction) -> list[Instruction]:
    """``body`` (which must end in an answer) if the loaded word is ``value``; otherwise on, the word untouched."""
    return [_equal(value, 0, len(body)), *body]


def _refuse_bits(index: int, bits: int) -> list[Instruction]:
    return [_argument(index), _any_bit(bits, 0, 1), _answer(EPERM), _answer(ALLOW)]


def _refuse_set_id_when_creating(flags: int, mode: int) -> list[Instruction]:
    return [_argument(flags), _any_bit(_CREATES_A_FILE, 1, 0), _answer(ALLOW), *_refuse_bits(mode, _SET_ID_BITS)]


def _refuse_terminal_input() -> list[Instruction]:
    refused = [instruction for request in (_TIOCSTI, _TIOCLINUX) for instruction in _when(request, _answer(EPERM))]
    return [_argument(1), *refused, _answer(ALLOW)]


def _judge_socket() -> list[Instruction]:
    """Unix; TCP and UDP; netlink only to ask about routes (node lists interfaces). Never raw, never vsock."""
    internet = [
        _argument(2),
        _at_least(_FIRST_ODD_PROTOCOL, 0, 1),
        _answer(EPERM),
        _argument(1),
        _mask(_SOCK_TYPE_MASK),
        *_when(_SOCK_STREAM, _answer(ALLOW)),
        *_when(_SOCK_DGRAM, _answer(ALLOW)),
        _answer(EPERM),
    ]
    return [
        _argument(0),
        *_when(_AF_UNIX, _answer(ALLOW)),
        *_when(_AF_INET, *internet),
        *_when(_AF_INET6, *internet),
        *_when(_AF_NETLINK, _argument(2), *_when(0, _answer(ALLOW)), _answer(EPERM)),
        _answer(EAFNOSUPPORT),
    ]


def _judged_by_argument() -> dict[str, list[Instruction]]:
    no_set_id = _SET_ID_BITS
    return {
        "clone": _refuse_bits(0, _NEW_NAMESPACES),
        "ioctl": _refuse_terminal_input(),
        "socket": _judge_socket(),
        "socketpair": [_argument(0), *_when(_AF_UNIX, _answer(ALLOW)), _answer(EAFNOSUPPORT)],
        "chmod": _refuse_bits(1, no_set_id),
        "fchmod": _refuse_bits(1, no_set_id),
        "fchmodat": _refuse_bits(2, no_set_id),
        "fchmodat2": _refuse_bits(2, no_set_id),
        "creat": _refuse_bits(1, no_set_id),
        "mknod": _refuse_bits(1, no_set_id),
        "mknodat": _refuse_bits(2, no_set_id),
        "open": _refuse_set_id_when_creating(1, 2),
        "openat": _refuse_set_id_when_creating(2, 3),
    }


def denied_names() -> list[str]:
    return [name for names in DENIED.values() for name in names.split()]


def program(machine: str) -> list[Instruction]:
    """The filter for one machine (``platform.machine()``). KeyError for a machine without a table."""
    numbers = NUMBERS[machine]
    result = [_load(4), _equal(AUDIT_ARCH[machine], 1, 0), _answer(KILL_PROCESS), _load(0)]
    if machine == "x86_64":
        result += [_at_least(X32_BIT, 0, 1), _answer(KILL_PROCESS)]
    result += [_at_least(NEWEST + 1, 0, 1), _answer(ENOSYS)]
    for name, body in _judged_by_argument().items():
        if name in numbers:
            result += _when(numbers[name], *body)
    for name in ABSENT:
        result += _when(numbers[name], _answer(ENOSYS))
    for name in denied_names():
        if name in numbers:
            result += _when(numbers[name], _answer(EPERM))
    return [*result, _answer(ALLOW)]


def install(machine: str) -> None:
    """Put the filter on this process for good; children inherit it. OSError if the kernel refuses."""
    instructions = program(machine)
    code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *i) for i in instructions))
    header = struct.pack("<HxxxxxxQ", len(instructions), ctypes.addressof(code))
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    set_mode_filter = 1
    kernel.syscall(NUMBERS[machine]["seccomp"], set_mode_filter, 0, header)
