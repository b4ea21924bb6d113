"""Where MCP servers elsewhere may be: the open internet over https, or one's own network where an admin allowed it.

A name is looked up once for each connection, every address it has must be permitted, and the connection goes to what
was checked. What is kept in an address is readable by everybody who sees the server: secrets are refused there.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from django.core.exceptions import ValidationError

from agents.addresses import web_address
from agents.errors import Invalid
from agents.hosts import OWN_NAMES, canonical
from agents.secrets import redact
from sandboxes.egress.addresses import LOOKUP_TIMEOUT_S, Lookup, is_public, system_lookup

MAX_URL = 500
CONNECT_S = 15.0
# Below what common servers keep an unused connection open: one they have just closed loses a request.
KEEP_S = 4.0
MAX_CONNECTIONS = 256

# What "one's own network" means. Not in it, whoever allows what: addresses of the link, where clouds give away the
# credentials of the machine, and their like elsewhere.
_OWN = tuple(
    ipaddress.ip_network(each)
    for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "100.64.0.0/10", "::1/128", "fc00::/7")
)
OWN_NETWORK = ", ".join(str(each) for each in _OWN if not each.is_loopback)
_METADATA = tuple(ipaddress.ip_network(each) for each in ("100.100.100.200/32", "fd00:ec2::/32", "192.0.0.192/32"))

_SECRETIVE = re.compile(r"(?i)(?:^|[_-])(?:token|secret|password|passwd|key|apikey|auth|signature|sig|credentials?)$")


class Forbidden(OSError):
    """The name or address leads where this server must not be; the text says so."""


def permitted(text: str, allows_private: bool, *, plain: bool = False) -> bool:
    """May a connection go to this address? ``plain``: one without https, which never leaves one's own network."""
    if is_public(text):
        return not plain
    if not allows_private:
        return False
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return permitted(str(address.ipv4_mapped), True, plain=plain)
    return _is_in(address, _OWN) and not _is_in(address, _METADATA)


def _is_in(address: Any, networks: tuple[Any, ...]) -> bool:
    return any(address in network for network in networks if network.version == address.version)


def clean_url(text: str, allows_private: bool, field: str = "url") -> str:
    """The address in its one spelling. Raises Invalid for anything but https to a public host, unless
    ``allows_private``, and for everything that holds a secret."""
    text = text.strip()
    try:
        web_address(text)
        parts = urlsplit(text)
    except (ValidationError, ValueError) as error:
        sentence = error.messages[0] if isinstance(error, ValidationError) else "This is not a web address."
        raise Invalid(
            sentence, field=field, action="Write the whole address, as in https://example.org/mcp."
        ) from error
    if len(text) > MAX_URL or not text.isascii() or parts.fragment:
        raise Invalid(f"An address has at most {MAX_URL} plain characters and no #.", field=field)
    if _holds_secret(text, parts.query):
        raise Invalid(
            "An address holds a secret, and everybody who sees the server reads addresses.",
            field=field,
            reason="secret_in_url",
            action="Put it into a header as ${NAME} and set the secret NAME.",
        )
    host = _clean_host(parts.hostname or "", allows_private, field)
    if parts.scheme == "http" and not (allows_private and _may_be_own(host)):
        raise Invalid(
            "Without https everybody on the way could read and change what agents get.",
            field=field,
            action="Use https; http is for addresses of your own network, where an admin allowed those.",
        )
    port = f":{parts.port}" if parts.port and parts.port != {"http": 80, "https": 443}[parts.scheme] else ""
    shown = f"[{host}]" if ":" in host else host
    return urlunsplit((parts.scheme, f"{shown}{port}", parts.path or "/", parts.query, ""))


def _holds_secret(text: str, query: str) -> bool:
    named = any(_SECRETIVE.search(name) and value for name, value in parse_qsl(query))
    return named or redact(text) != text or "${" in text


def _clean_host(host: str, allows_private: bool, field: str) -> str:
    try:
        address = str(ipaddress.ip_address(host))
    except ValueError:
        address = ""
    if address and not permitted(address, allows_private):
        raise _not_there(address, field)
    if address:
        return address
    try:
        name = canonical(host)
    except Invalid as error:
        raise Invalid(error.message, field=field) from error
    is_own = "." not in name or any(name == own or name.endswith(f".{own}") for own in OWN_NAMES)
    if is_own and not allows_private:
        raise _not_there(name, field)
    return name


def _may_be_own(host: str) -> bool:
    """Could it be in one's own network? Where a name leads is known when it is connected to."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return True
    return not is_public(host)


def _not_there(place: str, field: str) -> Invalid:
    return Invalid(
        f"{place} is not on the open internet.",
        field=field,
        reason="private_address",
        action="Only an admin can allow addresses of your own network.",
    )


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80}.get(parts.scheme, 443)


class CheckedResolver(AbstractResolver):
    """The machine's resolver, for names all of whose addresses are permitted."""

    def __init__(self, allows_private: bool, lookup: Lookup, plain: bool = False) -> None:
        self._allows_private, self._lookup, self._plain = allows_private, lookup, plain

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        # With the final dot a name is complete: the machine's search list must not turn it into another. Names of
        # one's own network are often found by that list.
        name = host if self._allows_private else f"{host}."
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT_S):
                found = await self._lookup(name, port)
        except (OSError, UnicodeError) as problem:
            raise OSError(f"{host} could not be looked up.") from problem
        if not found:
            raise OSError(f"{host} has no address.")
        if wrong := next((e for e in found if not permitted(e, self._allows_private, plain=self._plain)), ""):
            raise Forbidden(f"{host} leads to {wrong}, where this server may not be{_why_not(wrong, self._plain)}.")
        return [
            ResolveResult(
                hostname=host,
                host=each,
                port=port,
                family=socket.AF_INET6 if ":" in each else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for each in found
        ]

    async def close(self) -> None:
        return None


def _why_not(address: str, plain: bool) -> str:
    return " without https" if plain and is_public(address) else ""


def is_plain(url: str) -> bool:
    """Would it be asked without https?"""
    return urlsplit(url).scheme == "http"


def open_session(allows_private: bool, lookup: Lookup = system_lookup, *, plain: bool = False) -> aiohttp.ClientSession:
    """A session that connects only to permitted addresses, follows nothing, keeps no cookies, and knows no proxies.
    ``plain``: for addresses without https, so that they are not those of the open internet."""

    def made(where: Any) -> socket.socket:
        # The last look, at the very address: also of those that were never looked up.
        address = str(where[4][0])
        if not permitted(address, allows_private, plain=plain):
            raise Forbidden(f"{address} is where this server may not be{_why_not(address, plain)}.")
        return socket.socket(where[0], where[1], where[2])

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            resolver=CheckedResolver(allows_private, lookup, plain),
            use_dns_cache=False,
            socket_factory=made,
            limit=MAX_CONNECTIONS,
            keepalive_timeout=KEEP_S,
        ),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        # Neither proxies nor ~/.netrc of whoever runs Logos.
        trust_env=False,
        # What is packed may be a thousand times as large as it looks.
        auto_decompress=False,
        headers={"User-Agent": "Logos", "Accept-Encoding": "identity"},
    )


def may_pass(error: BaseException) -> bool:
    """May this failure to connect pass without anybody changing something here?"""
    found = (error, getattr(error, "os_error", None), error.__cause__)
    return not any(isinstance(each, Forbidden | aiohttp.ClientSSLError) for each in found)


def why(error: BaseException) -> str:
    """What a failed attempt to reach a server means, in a sentence without internals."""
    for each in (error, getattr(error, "os_error", None), error.__cause__):
        if isinstance(each, Forbidden):
            return f"It cannot be reached: {each}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "Its certificate is not trusted on this machine."
    if isinstance(error, aiohttp.ClientSSLError):
        return "It does not speak TLS at this address."
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "It cannot be reached: its name is not known."
    if isinstance(error, TimeoutError):
        return "It cannot be reached: it does not answer at its address."
    if isinstance(error, aiohttp.ClientConnectorError):
        return "It cannot be reached: nothing answers at its address."
    return "The connection to it broke off."
