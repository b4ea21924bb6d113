"""Attempts on privileges and processes: more rights, calls with a history of holes, and others' processes."""
# ruff: noqa: S103 (attempts)

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import pty
import resource
import signal
import stat
import subprocess
import time
from typing import Any

from sandboxes.escapes.attempt import attempt, each, is_x86, syscall

# By name: number on x86-64, on aarch64, arguments that would be wrong at once or do no harm.
CALLS: dict[str, tuple[int, int, tuple[object, ...]]] = {
    "ptrace": (101, 117, (0, 0, 0, 0)), "process_vm_readv": (310, 270, (1, 0, 0, 0, 0, 0)),
    "process_vm_writev": (311, 271, (1, 0, 0, 0, 0, 0)), "kcmp": (312, 272, (1, 1, 0, 0, 0)),
    "pidfd_getfd": (438, 438, (-1, 0, 0)), "process_madvise": (440, 440, (-1, 0, 0, 0, 0)),
    "keyctl": (250, 219, (0, 0)), "add_key": (248, 217, (0, 0, 0, 0, 0)), "request_key": (249, 218, (0, 0, 0, 0)),
    "bpf": (321, 280, (0, 0, 0)), "perf_event_open": (298, 241, (0, 0, 0, 0, 0)), "userfaultfd": (323, 282, (0x80000,)),
    "io_uring_setup": (425, 425, (0, 0)), "io_uring_enter": (426, 426, (-1, 0, 0, 0, 0, 0)),
    "io_uring_register": (427, 427, (-1, 0, 0, 0)), "init_module": (175, 105, (0, 0, 0)),
    "finit_module": (313, 273, (-1, 0, 0)), "delete_module": (176, 106, (0, 0)), "kexec_load": (246, 104, (0, 0, 0, 1)),
    "reboot": (169, 142, (0, 0, 0, 0)), "swapon": (167, 224, (0, 0)), "swapoff": (168, 225, (0,)),
    "mount": (165, 40, (0, 0, 0, 0, 0)), "umount2": (166, 39, (0, 0)), "pivot_root": (155, 41, (0, 0)),
    "chroot": (161, 51, (b"/tmp",)), "open_tree": (428, 428, (-100, 0, 0)), "move_mount": (429, 429, (-1, 0, -1, 0, 0)),
    "fsopen": (430, 430, (0, 0)), "fsconfig": (431, 431, (-1, 0, 0, 0, 0)), "fsmount": (432, 432, (-1, 0, 0)),
    "fspick": (433, 433, (-100, 0, 0)), "mount_setattr": (442, 442, (-100, 0, 0, 0, 0)),
    "statmount": (457, 457, (0, 0, 0, 0)), "listmount": (458, 458, (0, 0, 0, 0)),
    "name_to_handle_at": (303, 264, (-100, 0, 0, 0, 0)), "open_by_handle_at": (304, 265, (-1, 0, 0)),
    "fanotify_init": (300, 262, (0, 0)), "acct": (163, 89, (0,)), "syslog": (103, 116, (3, 0, 0)),
    "quotactl": (179, 60, (0, 0, 0, 0)), "settimeofday": (164, 170, (0, 0)), "clock_settime": (227, 112, (0, 0)),
    "clock_adjtime": (305, 266, (0, 0)), "mbind": (237, 235, (0, 0, 0, 0, 0, 0)),
    "migrate_pages": (256, 238, (1, 0, 0, 0)), "move_pages": (279, 239, (1, 0, 0, 0, 0, 0)),
    "memfd_secret": (447, 447, (0,)), "clone3": (435, 435, (0, 0)), "openat2": (437, 437, (-100, 0, 0, 0)),
    "a call newer than the filter": (499, 499, (0,)),
}  # fmt: skip
NAMESPACES = {"user": 0x10000000, "mount": 0x20000, "network": 0x40000000, "pid": 0x20000000, "uts": 0x4000000,
              "ipc": 0x8000000, "cgroup": 0x2000000, "time": 0x80}  # fmt: skip
REFUSALS = (1, 38)  # EPERM, ENOSYS: the filter's; any other answer means that the kernel looked at the arguments
LIMITS = ("RLIMIT_NPROC", "RLIMIT_NOFILE", "RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_CORE", "RLIMIT_MEMLOCK",
          "RLIMIT_NICE", "RLIMIT_RTPRIO", "RLIMIT_MSGQUEUE")  # fmt: skip
SET_ID = 0o4755


def reached(name: str) -> object:
    on_x86, on_arm, arguments = CALLS[name]
    try:
        syscall(on_x86 if is_x86() else on_arm, *arguments)
    except OSError as problem:
        return None if problem.errno in REFUSALS else f"the kernel answered {problem.strerror}"
    return "it worked"


each("privileges", "call {}", CALLS, lambda bait, name: reached(name))
each("privileges", "unshare a {} namespace", NAMESPACES,
     lambda bait, name: syscall(272 if is_x86() else 97, NAMESPACES[name]) == 0)  # fmt: skip
each("privileges", "clone into a {} namespace", [name for name in NAMESPACES if name != "time"],
     lambda bait, name: _clone(NAMESPACES[name]))  # fmt: skip
each("privileges", "join the {} namespace of PID 1", ("user", "mnt", "net", "pid"),
     lambda bait, name: syscall(308 if is_x86() else 268, os.open(f"/proc/1/ns/{name}", os.O_RDONLY), 0) == 0)  # fmt: skip


def _clone(flags: int) -> object:
    pid = syscall(56 if is_x86() else 220, flags | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    return f"process {pid}"


each(
    "privileges", "become root: {}", ("setuid", "setgid", "seteuid"), lambda bait, name: getattr(os, name)(0) or "root"
)


@attempt("privileges", "join other groups")
def _(bait: dict[str, Any]) -> object:
    os.setgroups([0])
    return "joined"


each("privileges", "gain by the set-id program {}", ("su", "sudo", "mount", "newgrp", "passwd", "chsh", "pkexec"),
     lambda bait, name: _set_id_program(name))  # fmt: skip


def _set_id_program(name: str) -> object:
    """It may run; what matters is as whom: the kernel notes it at exec."""
    path = next((f"/usr/bin/{name}" for _ in "x" if os.path.exists(f"/usr/bin/{name}")), None)
    if path is None:
        return None
    process = subprocess.Popen(
        [path], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        time.sleep(0.02)
        with open(f"/proc/{process.pid}/status") as file:
            uids = next(line.split()[1:5] for line in file if line.startswith("Uid:"))
        return "0" in uids and f"it runs as {uids}"
    finally:
        process.kill()
        process.wait()


def _plant(name: str) -> object:
    path = "/workspace/planted"
    try:
        os.unlink(path)
    except OSError:
        pass
    if name in ("chmod", "fchmodat2", "group bit"):
        open(path, "w").close()
    if name == "chmod":
        os.chmod(path, SET_ID)
    elif name == "fchmod":
        os.fchmod(os.open(path, os.O_CREAT | os.O_WRONLY), SET_ID)
    elif name == "fchmodat2":
        syscall(452, -100, path.encode(), SET_ID, 0)
    elif name == "open":
        os.open(path, os.O_CREAT | os.O_WRONLY, SET_ID)
    elif name == "open as temporary":
        os.open("/workspace", os.O_TMPFILE | os.O_WRONLY, SET_ID)
    elif name == "mknod":
        os.mknod(path, SET_ID | stat.S_IFREG)
    elif name == "group bit":
        os.chmod(path, 0o2755)
    else:
        os.makedirs(path + ".d", exist_ok=True)
        os.chmod(path + ".d", 0o2755)
    return "planted"


each("privileges", "plant a set-id file by {}",
     ("chmod", "fchmod", "fchmodat2", "open", "open as temporary", "mknod", "group bit", "group bit of a directory"),
     lambda bait, name: _plant(name))  # fmt: skip


@attempt("privileges", "give a file capabilities")
def _(bait: dict[str, Any]) -> object:
    open("/workspace/capable", "w").close()
    os.setxattr("/workspace/capable", "security.capability", b"\x01\0\0\x02\xff\xff\xff\xff" + bytes(12))
    return "given"


@attempt("privileges", "hold any capability")
def _(bait: dict[str, Any]) -> object:
    with open("/proc/self/status") as file:
        sets = {line.split()[0]: int(line.split()[1], 16) for line in file if line.startswith("Cap")}
    return {name: value for name, value in sets.items() if value}


@attempt("privileges", "be without the filter, or free to gain by exec")
def _(bait: dict[str, Any]) -> object:
    with open("/proc/self/status") as file:
        marks = dict(line.split(":\t", 1) for line in file if ":\t" in line)
    return (marks["Seccomp"].strip(), marks["NoNewPrivs"].strip()) != ("2", "1") and "it is"


each("privileges", "type into the terminal by {:#x}", (0x5412, 0x541C), lambda bait, request: _type(request))


def _type(request: int) -> object:
    _, theirs = pty.openpty()
    try:
        fcntl.ioctl(theirs, request, b"\x03")
    except OSError as problem:
        return None if problem.errno == 1 else f"the kernel answered {problem.strerror}"
    return "typed"


@attempt("privileges", "call as a 32-bit program")
def _(bait: dict[str, Any]) -> object:
    if not is_x86():
        return None
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")  # mov eax, getpid of i386; int 0x80; ret
    function = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    return f"process {function()}"


@attempt("privileges", "call by the numbers of x32")
def _(bait: dict[str, Any]) -> object:
    return syscall(0x40000000 + 39) > 0 if is_x86() else None


@attempt("privileges", "rename the machine")
def _(bait: dict[str, Any]) -> object:
    os_name = b"owned"
    return syscall(170 if is_x86() else 161, os_name, len(os_name)) == 0


@attempt("privileges", "run before everybody else")
def _(bait: dict[str, Any]) -> object:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    return "real time"


@attempt("privileges", "be nicer to itself")
def _(bait: dict[str, Any]) -> object:
    before = os.nice(0)
    return os.nice(-5) < before


each("privileges", "raise {}", LIMITS, lambda bait, name: _raise(name))


def _raise(name: str) -> object:
    kind = getattr(resource, name)
    hard = resource.getrlimit(kind)[1]
    if hard == resource.RLIM_INFINITY:
        return "there is no limit"
    resource.setrlimit(kind, (hard + 1, hard + 1))
    return "raised"


# Processes

each("processes", "read /proc/1/{}", ("environ", "mem", "maps", "fd", "root", "cwd", "exe", "stack", "map_files", "io"),
     lambda bait, name: _inspect(f"/proc/1/{name}"))  # fmt: skip


def _inspect(path: str) -> object:
    if os.path.islink(path):
        return os.readlink(path)
    if os.path.isdir(path):
        return os.listdir(path)
    with open(path, "rb") as file:
        return file.read(1)


each("processes", "end PID 1 by signal {}", (9, 15, 2, 1, 11, 19, 6, 31), lambda bait, number: _signal_1(number))


def _signal_1(number: int) -> object:
    """Sending may be allowed or not; what it must not do is to have an effect."""
    try:
        os.kill(1, number)
    except OSError:
        return None
    time.sleep(0.02)
    with open("/proc/1/stat") as file:
        state = file.read().rpartition(")")[2].split()[0]
    return state in "TtZX" and f"PID 1 is in state {state}"


each("processes", "touch a process of the host: {}",
     ("look", "priority", "limits", "affinity", "pidfd", "memory score", "kill"),
     lambda bait, verb: _touch(bait["host_pid"], verb))  # fmt: skip


def _touch(pid: int, verb: str) -> object:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            if b"86399" not in file.read():
                return None  # a process in here that happens to have this number
    except FileNotFoundError:
        pass
    ways = {
        "kill": lambda: os.kill(pid, 9),
        "look": lambda: os.stat(f"/proc/{pid}"),
        "priority": lambda: os.setpriority(os.PRIO_PROCESS, pid, 19),
        "limits": lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE, (1, 1)),
        "affinity": lambda: os.sched_setaffinity(pid, {0}),
        "pidfd": lambda: syscall(434, pid, 0),
        "memory score": lambda: os.stat(f"/proc/{pid}/oom_score_adj"),
    }
    ways[verb]()
    return f"{verb} worked"


@attempt("processes", "see more processes than its own")
def _(bait: dict[str, Any]) -> object:
    return [name for name in os.listdir("/proc") if name.isdigit() and int(name) > 30_000]


@attempt("processes", "name its parent outside")
def _(bait: dict[str, Any]) -> object:
    with open("/proc/1/status") as file:
        return next(line for line in file if line.startswith("PPid:")).split()[1] != "0"


@attempt("processes", "take the descriptors of PID 1")
def _(bait: dict[str, Any]) -> object:
    return syscall(438, syscall(434, 1, 0), 3, 0) >= 0


# Honest work

each("control", "run {}", ("true", "sh -c 'echo x | tr x y'", "python3 -c 'import ssl, sqlite3, ctypes'", "ls -l /usr/bin",
                           "sh -c 'sleep 0.01 & wait'", "env", "id", "git --version"),
     lambda bait, line: subprocess.run(["sh", "-c", line], capture_output=True).returncode == 0)  # fmt: skip


@attempt("control", "work in several processes")
def _(bait: dict[str, Any]) -> object:
    import multiprocessing

    with multiprocessing.Pool(2) as pool:
        return pool.map(abs, [-1, -2]) == [1, 2]


@attempt("control", "signal and wait for its own processes")
def _(bait: dict[str, Any]) -> object:
    child = subprocess.Popen(["sleep", "10"])
    child.terminate()
    return child.wait() == -15


@attempt("control", "open a terminal of its own")
def _(bait: dict[str, Any]) -> object:
    ours, theirs = pty.openpty()
    os.write(theirs, b"x")
    return os.read(ours, 1)
