"""Attempts on the network and on sockets: to reach anything outside without, around and through the proxy."""
# ruff: noqa: S104, S108 (attempts)

from __future__ import annotations

import ctypes
import fcntl
import glob
import os
import socket
import struct
from typing import Any

from sandboxes.escapes.attempt import attempt, each, syscall

PROXY = 3128
FAMILIES = {"vsock": (40, 1, 0), "packet": (17, 3, 0), "crypto": (38, 5, 0), "bluetooth": (31, 3, 1), "can": (29, 3, 1),
            "tipc": (30, 1, 0), "key": (15, 3, 2), "xdp": (44, 3, 0), "rds": (21, 5, 0), "qipcrtr": (42, 2, 0),
            "smc": (43, 1, 0), "kcm": (41, 2, 0), "phonet": (35, 2, 0), "x25": (9, 5, 0), "appletalk": (5, 2, 0),
            "raw": (2, 3, 1), "raw 6": (10, 3, 58), "sctp": (2, 1, 132), "mptcp": (2, 1, 262), "udplite": (2, 2, 136),
            "dccp": (2, 6, 33), "netlink audit": (16, 3, 9), "netlink uevent": (16, 3, 15),
            "netlink netfilter": (16, 3, 12), "netlink generic": (16, 3, 16), "netlink xfrm": (16, 3, 6)}  # fmt: skip
REFUSALS = (1, 97)  # EPERM, EAFNOSUPPORT
LOOPBACKS = ("127.0.0.1", "127.0.0.2", "127.1.2.3", "0.0.0.0", "localhost", "::1", "::ffff:127.0.0.1")
OUTSIDE = (("1.1.1.1", 443), ("8.8.8.8", 53), ("169.254.169.254", 80), ("10.0.0.1", 80), ("192.168.1.1", 80),
           ("172.17.0.1", 2375), ("100.100.100.200", 80), ("192.0.2.1", 80), ("2606:4700:4700::1111", 443),
           ("fd00:ec2::254", 80), ("64:ff9b::101:101", 443))  # fmt: skip
DATAGRAMS = (
    ("8.8.8.8", 53),
    ("224.0.0.251", 5353),
    ("255.255.255.255", 67),
    ("169.254.169.254", 123),
    ("ff02::fb", 5353),
)
HOST_SOCKETS = ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock",
                "/run/dbus/system_bus_socket", "/run/systemd/private", "/run/systemd/journal/socket", "/run/snapd.socket",
                "/run/udev/control", "/tmp/.X11-unix/X0", "/run/user/0/bus", "/run/nscd/socket", "/dev/log",
                "/run/acpid.socket", "/run/crio/crio.sock", "/run/libvirt/libvirt-sock")  # fmt: skip


def connect(bait: dict[str, Any], host: str, port: int) -> object:
    with socket.create_connection((host, port), 1.0) as connection:
        connection.sendall(bait["mark"].encode() + b"\n")
        return f"connected to {host}:{port}"


def _socket(name: str) -> object:
    family, kind, protocol = FAMILIES[name]
    try:
        socket.socket(family, kind, protocol).close()
    except OSError as problem:
        return None if problem.errno in REFUSALS else f"the kernel answered {problem.strerror}"
    return "made"


each("sockets", "make a {} socket", FAMILIES, lambda bait, name: _socket(name))
each("sockets", "connect to {}", HOST_SOCKETS, lambda bait, path: _unix(bait, path))


def _unix(bait: dict[str, Any], address: Any) -> object:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        connection.sendall(bait["mark"].encode() + b"\n")
        return "connected"


each("sockets", "connect to the host's {}", ("abstract_socket", "unix_socket", "keeper_socket"),
     lambda bait, name: _unix(bait, "\0" + bait[name] if name.startswith("abstract") else bait[name]))  # fmt: skip
each("sockets", "connect to the host's socket through {}", ("/proc/1/root", "/proc/self/root", "/oldroot"),
     lambda bait, way: _unix(bait, way + bait["unix_socket"]))  # fmt: skip


@attempt("sockets", "see the names of the host's sockets")
def _(bait: dict[str, Any]) -> object:
    with open("/proc/net/unix") as file:
        return bait["abstract_socket"] in file.read()


@attempt("sockets", "attach the host's shared memory")
def _(bait: dict[str, Any]) -> object:
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.shmget(bait["shared_key"], 0, 0) >= 0


@attempt("sockets", "find the host's files in /dev/shm or /tmp")
def _(bait: dict[str, Any]) -> object:
    return [path for path in (bait["shared_file"], bait["tmp_file"]) if os.path.exists(path)]


@attempt("sockets", "pass a socket of another family as a pair")
def _(bait: dict[str, Any]) -> object:
    socket.socketpair(socket.AF_INET, socket.SOCK_STREAM)
    return "made"


# Network


@attempt("network", "find another interface than loopback")
def _(bait: dict[str, Any]) -> object:
    return [name for _, name in socket.if_nameindex() if name != "lo"]


each("network", "reach a server of the host at {}", LOOPBACKS, lambda bait, host: connect(bait, host, bait["tcp_port"]))


@attempt("network", "reach a server of the host at the address it has outside")
def _(bait: dict[str, Any]) -> object:
    return connect(bait, bait["host_address"], bait["tcp_port"])


each("network", "connect to {0[0]} port {0[1]}", OUTSIDE, lambda bait, place: connect(bait, *place))
each("network", "send a datagram to {0[0]} port {0[1]}", DATAGRAMS, lambda bait, place: _datagram(bait, *place))


def _datagram(bait: dict[str, Any], host: str, port: int) -> object:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        return sender.sendto(bait["mark"].encode(), (host, port))


@attempt("network", "send the host a datagram over loopback")
def _(bait: dict[str, Any]) -> object:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", bait["udp_port"]))
        sender.send(bait["mark"].encode())
        sender.settimeout(0.3)
        return sender.recv(10)


each("network", "look up {}", ("example.org", "localhost.localdomain.example", "metadata.google.internal"),
     lambda bait, name: socket.getaddrinfo(name, 80))  # fmt: skip


@attempt("network", "ping")
def _(bait: dict[str, Any]) -> object:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as sender:
        return sender.sendto(b"\x08\0\xf7\xff\0\0\0\0", ("1.1.1.1", 0))


@attempt("network", "listen on a low port")
def _(bait: dict[str, Any]) -> object:
    socket.socket().bind(("127.0.0.1", 80))
    return "bound"


@attempt("network", "take the proxy's port for itself")
def _(bait: dict[str, Any]) -> object:
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    server.bind(("127.0.0.1", PROXY))
    server.listen()
    return "bound"


each("network", "change the network by netlink: {}", ("link", "address", "route"), lambda bait, what: _netlink(what))


def _netlink(what: str) -> object:
    kind = {"link": 16, "address": 20, "route": 24}[what]
    bodies = {
        "link": struct.pack("=BxHiII", 0, 0, 0, 1, 1) + struct.pack("=HH", 10, 3) + b"dummy0\0\0" + bytes(4),
        "address": struct.pack("=BBBBI", 2, 8, 0, 0, 1) + struct.pack("=HH", 8, 2) + socket.inet_aton("10.9.9.9"),
        "route": struct.pack("=BBBBBBBBI", 2, 0, 0, 0, 254, 3, 0, 1, 0) + struct.pack("=HHi", 8, 4, 1),
    }
    body = bodies[what]
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as talker:
        talker.send(struct.pack("=IHHII", 16 + len(body), kind, 0x605, 1, 0) + body)
        code = struct.unpack("=i", talker.recv(4096)[16:20])[0]
    return None if code < 0 else "changed"


@attempt("network", "take loopback down")
def _(bait: dict[str, Any]) -> object:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as talker:
        fcntl.ioctl(talker, 0x8914, b"lo".ljust(16, b"\0") + struct.pack("=H", 0) + bytes(22))
    return "down"


@attempt("network", "mark its packets")
def _(bait: dict[str, Any]) -> object:
    socket.socket().setsockopt(socket.SOL_SOCKET, 36, 1)
    return "marked"


@attempt("network", "change the packet filter")
def _(bait: dict[str, Any]) -> object:
    talker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    talker.setsockopt(socket.IPPROTO_IP, 64, bytes(84))
    return "changed"


@attempt("network", "see connections of the host")
def _(bait: dict[str, Any]) -> object:
    wanted = f":{bait['tcp_port']:04X} "
    return [line for path in glob.glob("/proc/net/tcp*") for line in open(path) if wanted in line]


@attempt("network", "make a tunnel device")
def _(bait: dict[str, Any]) -> object:
    os.mknod("/workspace/tun", 0o600 | 0o020000, os.makedev(10, 200))
    return os.open("/workspace/tun", os.O_RDWR) >= 0


@attempt("network", "let a new kernel ring connect for it")
def _(bait: dict[str, Any]) -> object:
    try:
        return syscall(425, 8, bytes(120)) >= 0
    except OSError as problem:
        return None if problem.errno == 1 else f"the kernel answered {problem.strerror}"


# The proxy: what it must not be talked into. ALLOWED is the one host there is a rule for, port 443 and 80.

ALLOWED, DENIED = "allowed.example", "denied.example"
SPELLINGS = (
    f"CONNECT {DENIED}:443", f"CONNECT {DENIED}.:443", f"CONNECT {DENIED.upper()}:443", f"CONNECT {ALLOWED}:22",
    f"CONNECT {ALLOWED}:25", f"CONNECT {ALLOWED}:0", f"CONNECT {ALLOWED}:65536", f"CONNECT {ALLOWED}:443x",
    f"CONNECT {ALLOWED}:-443", f"CONNECT {ALLOWED}", f"CONNECT x.{ALLOWED}:443", f"CONNECT {ALLOWED}.{DENIED}:443",
    f"CONNECT {ALLOWED}@{DENIED}:443", f"CONNECT {DENIED}@{ALLOWED}:443", f"CONNECT {ALLOWED}%00.{DENIED}:443",
    f"CONNECT {ALLOWED}\0.{DENIED}:443", f"CONNECT {ALLOWED}%2e{DENIED}:443", f"CONNECT {ALLOWED}#.{DENIED}:443",
    f"CONNECT {ALLOWED}/.{DENIED}:443", f"CONNECT {ALLOWED}\\.{DENIED}:443", f"CONNECT {ALLOWED} {DENIED}:443",
    f"CONNECT {ALLOWED}:443@{DENIED}:443", f"CONNECT {ALLOWED}..:443", f"CONNECT .{ALLOWED}:443", "CONNECT :443",
    "CONNECT 127.0.0.1:443", "CONNECT 127.1:443", "CONNECT 2130706433:443", "CONNECT 0x7f000001:443",
    "CONNECT 0177.0.0.1:443", "CONNECT 127.0.0.1.:443", "CONNECT [::1]:443", "CONNECT [::ffff:127.0.0.1]:443",
    "CONNECT 169.254.169.254:80", "CONNECT localhost:443", "CONNECT inference.local:8081", "CONNECT 1.1.1.1:443",
    "CONNECT 1.1.1.1.nip.io:443", "CONNECT \u212allowed.example:443", "CONNECT \uff11\uff12\uff17.0.0.1:443",
    f"GET http://{DENIED}/", f"GET http://{ALLOWED}:8080/", f"GET https://{DENIED}/", f"GET http://{ALLOWED}@{DENIED}/",
    f"GET http://{DENIED}#@{ALLOWED}/", f"GET http://{DENIED}\\@{ALLOWED}/", f"GET ftp://{ALLOWED}/",
    f"GET file:///etc/passwd?{ALLOWED}", f"GET //{DENIED}/", "GET /", f"GET http:/{DENIED}/", f"GET http://{DENIED}?{ALLOWED}/",
    f"GET http:///{DENIED}/", f"GET http://[::1]?{ALLOWED}/", f"get http://{DENIED}/", f"G\tET http://{ALLOWED}/",
)  # fmt: skip
HEADS = {
    "two host headers": f"GET http://{DENIED}/ HTTP/1.1\r\nHost: {ALLOWED}\r\nHost: {DENIED}\r\n\r\n",
    "a host header of an allowed one": f"GET http://{DENIED}/ HTTP/1.1\r\nHost: {ALLOWED}\r\n\r\n",
    "both lengths": f"POST http://{ALLOWED}/ HTTP/1.1\r\nHost: {ALLOWED}\r\nContent-Length: 5\r\n"
    "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": f"POST http://{ALLOWED}/ HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 50\r\n\r\nhello",
    "a folded header": f"GET http://{ALLOWED}/ HTTP/1.1\r\nHost: {ALLOWED}\r\n X: y\r\n\r\n",
    "a header with a NUL": f"GET http://{ALLOWED}/ HTTP/1.1\r\nX: a\0b\r\n\r\n",
    "bare line feeds": f"GET http://{DENIED}/ HTTP/1.1\nHost: {ALLOWED}\n\n",
    "another version": f"GET http://{ALLOWED}/ HTTP/9.9\r\n\r\n",
    "a socks greeting": "\x05\x01\x00",
    "a tls greeting": "\x16\x03\x01\x02\x00\x01",
}


def _said(head: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", PROXY), 2) as proxy:
        proxy.settimeout(2)
        proxy.sendall(head)
        proxy.shutdown(socket.SHUT_WR)
        said = b""
        while len(said) < 12 and (piece := proxy.recv(4096)):
            said += piece
        return said


def _ask(head: bytes) -> object:
    said = _said(head)
    return said[:60] if said[9:12] not in (b"", b"400", b"403", b"502") else None


each("proxies", "ask for {!r}", SPELLINGS,
     lambda bait, line: _ask(f"{line} HTTP/1.1\r\nHost: {ALLOWED}\r\n\r\n".encode()))  # fmt: skip
each("proxies", "ask with {}", HEADS, lambda bait, name: _ask(HEADS[name].encode("latin-1")))


@attempt("control", "pass the proxy to a host there is a rule for")
def _(bait: dict[str, Any]) -> object:
    if not bait.get("proxy"):
        return "there is no proxy"
    return _said(f"CONNECT {ALLOWED}:443 HTTP/1.1\r\n\r\n".encode())[9:12] == b"200"


@attempt("control", "serve and connect on its own loopback")
def _(bait: dict[str, Any]) -> object:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        return server.accept() is not None


@attempt("control", "use sockets of its own in the file system")
def _(bait: dict[str, Any]) -> object:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("/workspace/own.sock")
        server.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect("/workspace/own.sock")
            return "connected"


@attempt("control", "list interfaces as node does")
def _(bait: dict[str, Any]) -> object:
    return [name for _, name in socket.if_nameindex()] == ["lo"]
