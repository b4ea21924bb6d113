"""What an agent meets when it tries the walls of a real local sandbox, and that honest work still goes through."""

from __future__ import annotations

import os
import platform
import socket

import pytest

from sandboxes.driver import Attachment, SandboxHandle
from sandboxes.local import landlock, seccomp
from tests.sandboxes.conftest import Attempt, Inside

pytestmark = pytest.mark.sandbox

NUMBERS = seccomp.NUMBERS.get(platform.machine(), {})


def test_the_handle_names_the_walls_that_are_up(sandbox: SandboxHandle) -> None:
    expected = {"userns", "mnt", "pid", "net", "ipc", "uts", "rlimits", "seccomp"}
    expected |= {f"landlock:{landlock.abi()}"} if landlock.abi() else set()
    expected |= {"uid"} if os.geteuid() == 0 else set()

    assert expected <= set(sandbox.layers)


# Network


async def test_there_is_no_network_but_loopback(attempt: Attempt) -> None:
    assert await attempt("print([name for _, name in socket.if_nameindex()])") == "['lo']"


@pytest.mark.parametrize("address", ["192.0.2.1", "169.254.169.254", "10.0.0.1", "8.8.8.8"])
async def test_no_address_is_reachable(attempt: Attempt, address: str) -> None:
    assert await attempt(f"print(errno_of(lambda: socket.create_connection(('{address}', 80), 2)))") == "ENETUNREACH"


async def test_a_server_of_the_host_is_not_on_the_loopback_inside(attempt: Attempt) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert await attempt(f"print(errno_of(lambda: socket.create_connection(('127.0.0.1', {port}))))") == (
            "ECONNREFUSED"
        )


async def test_an_abstract_socket_of_the_host_is_not_reachable(attempt: Attempt) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(b"\0logos-test-abstract")
        server.listen()
        source = "s = socket.socket(socket.AF_UNIX); print(errno_of(lambda: s.connect(b'\\0logos-test-abstract')))"
        assert await attempt(source) in ("ECONNREFUSED", "EPERM")


# Files


@pytest.mark.parametrize("path", ["/etc/shadow", "/root", "/home/root", "/var/lib", "/sys", "/boot", "/oldroot",
                                  "/run/systemd", "/run/dbus", "/.dockerenv"])  # fmt: skip
async def test_host_files_are_not_there(inside: Inside, path: str) -> None:
    assert (await inside("test", "-e", path)).code == 1


async def test_a_file_of_the_host_next_to_the_agents_own_is_not_there(inside: Inside, sandbox: SandboxHandle) -> None:
    engine = sandbox.state["engine"]
    assert "keeper.sock" in os.listdir(engine)

    assert (await inside("ls", engine)).code == 2


@pytest.mark.parametrize("path", ["/usr/bin/x", "/etc/x", "/x", "/run/logos/x", "/hermes/config.yaml", "/proc/sys/x"])
async def test_what_is_not_the_agents_is_not_writable(attempt: Attempt, path: str) -> None:
    found = await attempt(f"print(errno_of(lambda: os.open('{path}', os.O_WRONLY | os.O_CREAT)))")

    assert found in ("EROFS", "EACCES", "ENOENT")


async def test_the_agents_own_directories_are_writable(inside: Inside) -> None:
    code = "for d in /workspace /home/agent /hermes /tmp /dev/shm; do echo x > $d/probe && rm $d/probe || exit 1; done"

    assert (await inside("sh", "-c", code)).code == 0


@pytest.mark.parametrize(
    ("move", "refusals"),
    [
        ("os.rename('/hermes', '/elsewhere')", ("EROFS", "EBUSY")),
        ("os.rmdir('/hermes')", ("EROFS", "EBUSY", "ENOTEMPTY")),
        ("os.symlink('/workspace', '/evil')", ("EROFS", "EACCES")),
        ("os.rename('/hermes/config.yaml', '/hermes/x')", ("EBUSY",)),
        ("os.rename('/workspace/mine', '/hermes/config.yaml')", ("EBUSY", "EXDEV")),
        ("os.unlink('/hermes/config.yaml')", ("EBUSY",)),
        ("os.rename('/hermes/plugins', '/hermes/x')", ("EBUSY",)),
        ("os.rmdir('/hermes/plugins')", ("EBUSY",)),
        ("open('/hermes/plugins/evil.py', 'w')", ("EROFS", "EACCES")),
    ],
)
async def test_a_fixed_mount_point_stays_what_it_is(
    attempt: Attempt, inside: Inside, move: str, refusals: tuple[str, ...]
) -> None:
    found = await attempt(f"open('/workspace/mine', 'w').close(); print(errno_of(lambda: {move}))")

    assert found in refusals
    assert (await inside("cat", "/hermes/config.yaml")).stdout == b"fixed\n"


# System calls


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("unshare", "0x10000000"),
        ("unshare", "0x20000"),
        ("keyctl", "0, 0"),
        ("add_key", "None, None, None, 0, 0"),
        ("io_uring_setup", "1, None"),
        ("ptrace", "0"),
        ("bpf", "0, None, 0"),
        ("perf_event_open", "None, 0, 0, 0, 0"),
        ("userfaultfd", "0"),
        ("mount", "None, None, None, 0, None"),
        ("fsopen", "None, 0"),
        ("open_tree", "-100, None, 0"),
        ("setns", "0, 0"),
        ("chroot", "b'/tmp'"),
        ("name_to_handle_at", "0, None, None, None, 0"),
        ("memfd_secret", "0"),
    ],
)
async def test_a_dangerous_call_is_refused(attempt: Attempt, name: str, arguments: str) -> None:
    assert await attempt(f"print(call({NUMBERS[name]}, {arguments}))") == "EPERM"


@pytest.mark.parametrize("name", ["clone3", "openat2"])
async def test_a_call_that_cannot_be_judged_looks_absent(attempt: Attempt, name: str) -> None:
    assert await attempt(f"print(call({NUMBERS[name]}, 0, 0))") == "ENOSYS"


@pytest.mark.parametrize(
    ("family", "kind", "protocol", "answer"),
    [(40, 1, 0, "EAFNOSUPPORT"), (17, 3, 0, "EAFNOSUPPORT"), (38, 5, 0, "EAFNOSUPPORT"), (2, 3, 1, "EPERM"),
     (16, 3, 9, "EPERM"), (2, 1, 262, "EPERM"), (1, 1, 0, "ok"), (2, 1, 0, "ok"), (16, 3, 0, "ok")],
)  # fmt: skip
async def test_socket_families(attempt: Attempt, family: int, kind: int, protocol: int, answer: str) -> None:
    assert await attempt(f"print(errno_of(lambda: socket.socket({family}, {kind}, {protocol})))") == answer


async def test_nothing_is_typed_into_a_terminal(attempt: Attempt) -> None:
    source = """
    import fcntl, pty
    ours, theirs = pty.openpty()
    print(errno_of(lambda: fcntl.ioctl(theirs, 0x5412, b"x")))
    """
    assert await attempt(source) == "EPERM"


async def test_no_set_id_bit_is_planted(attempt: Attempt) -> None:
    source = """
    open("/workspace/tool", "w").close()
    print(errno_of(lambda: os.chmod("/workspace/tool", 0o4755)), errno_of(lambda: os.chmod("/workspace/tool", 0o755)),
          errno_of(lambda: os.open("/workspace/tool2", os.O_CREAT | os.O_WRONLY, 0o2755)))
    """
    assert await attempt(source) == "EPERM ok EPERM"


async def test_a_namespace_of_ones_own_is_refused(inside: Inside) -> None:
    assert (await inside("unshare", "--user", "true")).code != 0


# Processes and privileges


async def test_the_environment_is_the_specs_and_nothing_else(inside: Inside) -> None:
    done = await inside("env")

    names = sorted(line.split("=")[0] for line in done.stdout.decode().splitlines())
    assert names == ["HOME", "PATH"]


@pytest.mark.parametrize("name", ["environ", "mem", "maps", "fd", "root", "cwd/x", "exe"])
async def test_pid_1_cannot_be_inspected(attempt: Attempt, name: str) -> None:
    code = f"""
    path = "/proc/1/{name}"
    def look():
        os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(1)
    print(errno_of(look))
    """
    assert await attempt(code) in ("EACCES", "EPERM", "ENOENT")


@pytest.mark.parametrize("number", [9, 15, 2, 17, 19, 11])
async def test_pid_1_cannot_be_ended_from_inside(inside: Inside, attempt: Attempt, number: int) -> None:
    await attempt(f"print(errno_of(lambda: os.kill(1, {number})))")

    assert (await inside("echo", "alive")).stdout == b"alive\n"


async def test_no_process_of_the_host_is_visible(attempt: Attempt) -> None:
    assert await attempt("print(max(int(name) for name in os.listdir('/proc') if name.isdigit()) < 10000)") == "True"
    assert await attempt(f"print(errno_of(lambda: os.kill({os.getpid()}, 0)))") == "ESRCH"


async def test_a_command_has_no_capability_and_gains_none(inside: Inside) -> None:
    status = (await inside("cat", "/proc/self/status")).stdout.decode()

    marks = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert {marks[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (marks["NoNewPrivs"], marks["Seccomp"]) == ("1", "2")


async def test_two_commands_cannot_signal_each_other(inside: Inside, attached: Attachment) -> None:
    if landlock.abi() < 6:
        pytest.skip("this kernel's Landlock does not scope signals")
    output, stdout = os.pipe()
    sleeping = await attached.exec(["sh", "-c", "echo $$; exec sleep 100"], stdio=(stdout, stdout, stdout))
    os.close(stdout)
    pid = int(os.read(output, 100))
    os.close(output)

    refused = await inside("sh", "-c", f"kill -9 {pid}")

    assert refused.code != 0
    await sleeping.signal(15)
    assert await sleeping.wait() == -15


async def test_a_command_goes_before_pid_1_when_memory_runs_out(inside: Inside) -> None:
    assert (await inside("cat", "/proc/self/oom_score_adj")).stdout == b"500\n"


async def test_nothing_is_left_open_for_a_command(inside: Inside) -> None:
    assert (await inside("sh", "-c", "ls /proc/self/fd | wc -l")).stdout.strip() == b"4"  # 0, 1, 2 and ls's own


async def test_limits_are_hard(attempt: Attempt) -> None:
    source = """
    import resource as r
    print(r.getrlimit(r.RLIMIT_CORE), r.getrlimit(r.RLIMIT_NPROC)[1], r.getrlimit(r.RLIMIT_DATA)[1] >> 20)
    """
    assert await attempt(source) == "(0, 0) 400 4096"


async def test_tmp_is_limited(inside: Inside) -> None:
    done = await inside("df", "-m", "--output=size", "/tmp", "/dev/shm")

    assert done.stdout.split() == [b"1M-blocks", b"512", b"64"]


# Honest work


@pytest.mark.parametrize(
    "command",
    [
        "ls / && ls /usr/bin >/dev/null && ls /proc/self",
        "python3 -c 'import multiprocessing as m; p = m.Pool(2); print(p.map(abs, [-1, -2]))'",
        "python3 -c 'import ssl, sqlite3; ssl.create_default_context()'",
        "echo hello | tr a-z A-Z > /workspace/x && mv /workspace/x /workspace/y && rm /workspace/y",
        "python3 -c 'import os, pty; pty.openpty()'",
        "(sleep 0.01 & wait)",
    ],
)
async def test_honest_work_goes_through(inside: Inside, command: str) -> None:
    done = await inside("sh", "-c", command)

    assert done.code == 0, done.stderr.decode()
