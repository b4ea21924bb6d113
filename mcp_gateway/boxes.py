"""The sandbox of an MCP server: what of this host it is shown, which hosts it may reach, whose its folder is.

Its tree is that of agents' sandboxes: the system read-only, a folder of its own at ``/workspace``, and what somebody
said is shown to it, read-only and under the same path. It has no network but a proxy, and that only with hosts.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from agents import hosts as host_names
from agents.errors import Invalid
from agents.numbers import whole
from agents.reach import Reach, Rule
from mcp_gateway import fetching
from mcp_gateway.remote.places import OWN_NETWORK, permitted
from sandboxes.driver import Limits, Mount, SandboxSpec
from sandboxes.egress.addresses import Places, Refusal, not_public
from sandboxes.hermes.configuration import proxy_environment

OWN = "/workspace"
SHARED = "shared"
PATH = "/usr/local/bin:/usr/bin:/bin"
PROXY_PORT = 3128
MAX_HOSTS, MAX_SHOWN = 50, 20
# Before a host that may be in our own network.
PRIVATE = "private:"
# For the users of servers' folders, when Logos runs as root: far above those of agents.
FIRST_UID = 1_200_000
# Programs with all they start; those of servers are small beside an agent's.
LIMITS = {"memory_mb": 2048, "processes": 256, "disk_mb": 4096, "tmp_mb": 256}

# Already there, private, or of the kernel: nothing of it can be shown.
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_NEVER = ("/proc", "/sys", "/dev", "/run", "/boot", "/etc", "/root", "/tmp", "/var/log", OWN)  # noqa: S108
_TOO_MUCH = ("/", "/home", "/opt", "/var", "/srv", "/mnt", "/media", "/var/lib", "/var/tmp")  # noqa: S108
# Where people keep what lets them in elsewhere.
_KEYS = frozenset({".ssh", ".gnupg", ".aws", ".kube", ".docker", ".azure"})

_allocating = threading.Lock()


def clean_hosts(given: Any) -> list[str]:
    """Hosts as ``name`` or ``name:port``, ``*.name`` for all below it, and ``private:`` before one that may be in our
    own network. Raises Invalid."""
    if not isinstance(given, list | tuple) or len(given) > MAX_HOSTS:
        raise Invalid(f"Hosts are a list of at most {MAX_HOSTS} names.", field="hosts")
    found = []
    for each in given:
        if not isinstance(each, str) or len(each) > 300:
            raise Invalid("A host is a name, like api.example.org or api.example.org:8443.", field="hosts")
        is_private = each.strip().startswith(PRIVATE)
        name, colon, number = each.strip().removeprefix(PRIVATE).partition(":")
        port = whole(number, 5) if colon else 443
        if port is None or not 1 <= port <= 65535:
            raise Invalid(f"{each[:80]!r}: a port is 1 to 65535.", field="hosts")
        found.append(
            PRIVATE + _written(_own_name(name), port) if is_private else _written(host_names.pattern(name), port)
        )
    return list(dict.fromkeys(found))


def _own_name(name: str) -> str:
    """A whole name: what a wildcard covers is decided by others, who could let it lead into our network."""
    name = name.strip()
    if "*" in name:
        raise Invalid("Name the whole host behind private:, without a *.", field="hosts")
    try:
        return host_names.canonical(name)
    except Invalid as error:
        raise Invalid(error.message, field="hosts", action=error.action) from error


def places(hosts: Iterable[str]) -> Places:
    """Which of these hosts may be in our own network: those somebody has said so of, on their port alone."""
    own = {each.removeprefix(PRIVATE).partition(":")[::2] for each in hosts if each.startswith(PRIVATE)}
    return lambda host, port: _in_our_network if (host, "" if port == 443 else str(port)) in own else None


def refusals(hosts: Iterable[str]) -> Refusal:
    """What a refusal says of a name that leads where it must not: which entry would let it in, if one would."""
    own = places(hosts)

    def refusal(host: str, port: int, found: Sequence[str]) -> str:
        if own(host, port) is not None:
            wrong = next((address for address in found if not _in_our_network(address)), "")
            return f"{host} leads to {wrong}, which is neither on the open internet nor another machine of your own network ({OWN_NETWORK})."
        said = not_public(host, port, found)
        if not all(map(_in_our_network, found)):
            return said
        return f"{said} If it is yours, write {PRIVATE}{_written(host, port)} among the server's hosts."

    return refusal


def _in_our_network(address: str) -> bool:
    """Never this machine itself: whoever answers for the name would choose among all that listens on it."""
    if not permitted(address, True):
        return False
    led = ipaddress.ip_address(address)
    return not (getattr(led, "ipv4_mapped", None) or led).is_loopback


def reach(hosts: Iterable[str]) -> Reach:
    """What these hosts, in their one spelling, let through: a rule for each, so that records say which it was."""
    rules = []
    for each in hosts:
        name, _, number = each.removeprefix(PRIVATE).partition(":")
        rules.append(Rule(each, (name,), (int(number or 443),)))
    return Reach(rules)


def clean_shown(given: Any) -> list[str]:
    """Folders and files of this host that are shown to it. Raises Invalid."""
    if not isinstance(given, list | tuple) or len(given) > MAX_SHOWN:
        raise Invalid(f"At most {MAX_SHOWN} folders can be shown.", field="shows")
    found = []
    for each in given:
        path = each.strip() if isinstance(each, str) else ""
        pure = PurePosixPath(path)
        if not path.startswith("/") or "\x00" in path or len(path) > 300 or str(pure) != path or ".." in pure.parts:
            raise Invalid("What is shown is an absolute path, without .. and a / at its end.", field="shows")
        found.append(path)
    check_shown(found)
    return list(dict.fromkeys(found))


def check_shown(paths: Iterable[str], field: str = "shows") -> None:
    """Raises Invalid for what no server is shown."""
    for path in paths:
        parts = PurePosixPath(path).parts
        if path in _TOO_MUCH or (len(parts) == 3 and parts[1] == "home"):
            raise Invalid(f"{path} is more than one server needs.", field=field, action="Name the folder it needs.")
        if ".." in parts or _KEYS & set(parts) or any(_is_in(path, each) for each in _NEVER):
            raise Invalid(f"{path} cannot be shown in a sandbox.", field=field, action="Put it somewhere else.")


def spec(
    name: str, root: Path, *, cwd: str, shows: Sequence[str], hosts: Sequence[str], limits: Mapping[str, int],
    secret_places: Sequence[Path], uid: int | None,
) -> SandboxSpec:  # fmt: skip
    """The sandbox, tied to whoever starts it. Raises Invalid when what is to be shown is not there, or leads to
    ``secret_places``."""
    mounts = [Mount(root / "files", OWN, writable=True)]
    for path in _outermost([*shows, *([cwd] if cwd and not _is_in(cwd, OWN) else [])]):
        if not any(_is_in(path, each) for each in _SYSTEM):
            mounts.append(Mount(_real(path, secret_places), path))
    return SandboxSpec(
        name,
        root,
        tuple(mounts),
        environment={"PATH": PATH, "HOME": OWN, "TMPDIR": "/tmp", "LANG": "C.UTF-8"}  # noqa: S108 (its own)
        | ({**proxy_environment(PROXY_PORT), **fetching.trust()} if hosts else {}),
        listen=(PROXY_PORT,) if hosts else (),
        limits=Limits(**{**LIMITS, **limits}),
        uid=uid,
        working_directory=cwd or OWN,
        tied=True,
    )


def is_own(path: str) -> bool:
    """Does this lie in the server's own folder, as it is called inside?"""
    return _is_in(path, OWN)


def folder(top: Path, server_id: str, whose: str = SHARED) -> Path:
    """The root of a server's sandbox; ``files`` in it is its own folder."""
    return top / server_id / whose


def erase(top: Path, server_id: str) -> None:
    """Remove everything that a server and the copies of it kept; nothing runs there any more."""
    directory = top / server_id
    if directory.parent == top and not directory.is_symlink():
        shutil.rmtree(directory, ignore_errors=True)


def owner(top: Path, root: Path) -> int | None:
    """The user its programs run as, when Logos runs as root: that of its folder, which is made if need be."""
    files = root / "files"
    with _allocating:
        for directory in (top, root.parent, root):
            directory.mkdir(mode=0o711, parents=True, exist_ok=True)
            if os.geteuid() == 0:
                directory.chmod(0o711)  # it walks through, and sees nothing on the way
        if os.geteuid() != 0:
            return None
        try:
            known = os.stat(files, follow_symlinks=False).st_uid
        except FileNotFoundError:
            known = 0
        if known >= FIRST_UID:
            return known
        uid = max((_uid_of(each) for each in top.glob("*/*/files")), default=0) + 1
        uid = max(uid, FIRST_UID)
        if not known:
            files.mkdir(mode=0o700, exist_ok=True)
            os.chown(files, uid, uid, follow_symlinks=False)
        return uid


def _uid_of(path: Path) -> int:
    try:
        return os.stat(path, follow_symlinks=False).st_uid
    except OSError:
        return 0


def _written(name: str, port: int) -> str:
    return name if port == 443 else f"{name}:{port}"


def _is_in(path: str, directory: str) -> bool:
    return path == directory or path.startswith(f"{directory}/")


def _outermost(paths: Iterable[str]) -> list[str]:
    """Without those that lie in another one."""
    once = sorted(set(paths), key=len)
    return [path for path in once if not any(_is_in(path, other) for other in once if other != path)]


def _real(path: str, secret_places: Sequence[Path]) -> Path:
    try:
        real = Path(path).resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise Invalid(f"{path} is not there, so it cannot be shown.", field="shows") from error
    check_real(path, secret_places)
    return real


def check_real(path: str, secret_places: Sequence[Path], field: str = "shows") -> None:
    """Raises Invalid when it leads to what no server is shown, or to ``secret_places``."""
    try:
        real = Path(path).resolve()
    except (OSError, RuntimeError) as error:
        raise Invalid(f"{path} leads nowhere.", field=field) from error
    check_shown([str(real)], field)
    for place in secret_places:
        place = place.resolve()
        if real.is_relative_to(place) or place.is_relative_to(real):
            raise Invalid(f"{path} holds files of Logos itself, which no server is shown.", field=field)
