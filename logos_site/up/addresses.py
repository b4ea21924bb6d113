"""Where Logos will listen: is the port free, which names lead there, what address to show."""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import struct

from agents.errors import Conflict, Invalid

_SIOCGIFADDR = 0x8915
EVERYWHERE = {"0.0.0.0", "::"}  # noqa: S104 - compared with, never bound here


def check_free(host: str, port: int) -> None:
    """Return if ``host:port`` can be listened on; Invalid for an impossible one, Conflict for one in use."""
    if not 1 <= port <= 65_535:
        raise Invalid(f"{port} is not a port.", field="port", action="Choose a number from 1 to 65535.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
            trial.listen()
        except PermissionError:
            raise Invalid(
                f"Port {port} may only be used by root.", field="port", action="Choose a port above 1023 with --port."
            ) from None
        except OSError as error:
            if isinstance(error, socket.gaierror) or error.errno == 99:
                raise Invalid(
                    f"{host} is not an address of this machine.", field="host", action="Use --host 127.0.0.1."
                ) from None
            raise Conflict(
                f"Port {port} on {host} is in use.",
                reason="port_in_use",
                action="End what listens there, or choose another port with --port.",
            ) from None


def is_local(host: str) -> bool:
    """Can only this machine reach it?"""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def names_for(host: str) -> list[str]:
    """The names and numbers under which a browser may ask for a Logos that listens on ``host``."""
    if is_local(host):
        return []
    if host not in EVERYWHERE:
        return [bracketed(host)]
    own = socket.gethostname()
    return list(dict.fromkeys([own, socket.getfqdn(), *own_addresses()]))


def own_addresses() -> list[str]:
    """The IPv4 addresses of this machine's interfaces, the loopback left out."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(query.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:
                continue  # an interface without an address
            found.append(socket.inet_ntoa(answer[20:24]))
    return [address for address in found if not address.startswith("127.")]


def shown(host: str, port: int, public: str = "") -> str:
    """The address to open in a browser, without a final slash."""
    if public:
        return public.rstrip("/")
    if host in EVERYWHERE:
        host = next(iter(own_addresses()), socket.gethostname())
    return f"http://{bracketed(host)}:{port}"


def dialled(host: str) -> str:
    """Where this machine itself reaches it."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


def bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def is_listening(host: str, port: int) -> bool:
    """Does anything answer there?"""
    try:
        with socket.create_connection((dialled(host), port), timeout=1):
            return True
    except OSError:
        return False
