"""Host names as requests and policies may write them: one spelling per host, no addresses, nothing that is not public.

A request's name is taken as it stands or refused (``canonical``); a policy's name is a person's, so Unicode and
capitals are turned into the one spelling first (``pattern``). Numbers in any disguise (decimal, octal, hex, short,
percent or full-width spellings) are refused by one rule: the last label must not begin like a number.
"""

from __future__ import annotations

import re
from functools import cache

import idna
from publicsuffixlist import PublicSuffixList

from agents.errors import Invalid

MAX_NAME = 253
MAX_LABEL = 63
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\Z")

# Names that mean this machine, this network or the metadata service of a cloud (RFC 6761, 6762, 8375; the vendors'
# documentation). What they resolve to is refused again when it is not public; here the rule is said in words.
OWN_NAMES = (
    "localhost",
    "localdomain",
    "localdomain6",
    "local",
    "internal",
    "lan",
    "intranet",
    "home.arpa",
    "in-addr.arpa",
    "ip6.arpa",
    "test",
    "onion",
    "metadata.tencentyun.com",
)


def canonical(host: str) -> str:
    """The one spelling of a host name in a request: lower case, without the trailing dot. Invalid for everything
    that is no plain name, which includes every spelling of an address."""
    name = host.lower().removesuffix(".")
    if not host.isascii() or not name or len(name) > MAX_NAME:
        raise _not_a_name(host)
    labels = name.split(".")
    if not all(len(label) <= MAX_LABEL and _LABEL.match(label) for label in labels) or labels[-1][0].isdigit():
        raise _not_a_name(host)
    return name


def pattern(text: str) -> str:
    """The one spelling of a policy's host: a name, or ``*.`` and a name for everything below it (not the name
    itself). Invalid with the rule it breaks: addresses, names of this machine or network, names without a dot, and
    a ``*`` anywhere else or over a public suffix, where strangers may have names of their own."""
    text = text.strip()
    is_wild, name = text.startswith("*."), text.removeprefix("*.")
    if "*" in name:
        raise Invalid("A * stands for whole labels at the front only, as in *.example.org.", field="hosts")
    name = canonical(_in_ascii(name))
    if _is_own(name):
        raise Invalid(f"{name} is a name of this machine or its network, which agents never reach.", field="hosts")
    if is_wild and not _suffixes().privatesuffix(name):
        raise Invalid(f"Anybody may own a name below {name}: name the hosts you mean.", field="hosts")
    if "." not in name:
        raise Invalid(f"{name} has no dot: name the whole host, as in www.example.org.", field="hosts")
    return f"*.{name}" if is_wild else name


def covers(wanted: str, name: str) -> bool:
    """Does the canonical pattern ``wanted`` cover the canonical ``name``?"""
    return name.endswith(wanted[1:]) if wanted.startswith("*.") else name == wanted


def _in_ascii(name: str) -> str:
    try:
        return name if name.isascii() else idna.encode(name, uts46=True).decode()
    except idna.IDNAError as error:
        raise _not_a_name(name) from error


def _is_own(name: str) -> bool:
    return any(name == own or name.endswith(f".{own}") for own in OWN_NAMES)


def _not_a_name(host: str) -> Invalid:
    shown = host if host.isprintable() and len(host) <= 80 else "This"
    return Invalid(
        f"{shown} is not a host name.",
        field="hosts",
        action="Write a name such as api.example.org; addresses are refused.",
    )


@cache
def _suffixes() -> PublicSuffixList:
    # Read once, when the first policy is written: most processes never need it.
    return PublicSuffixList(accept_unknown=True)
