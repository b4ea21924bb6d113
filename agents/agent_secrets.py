"""Set, give and take away the secrets of an agent: which names and values are taken, and what goes into its sandbox."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from django.db import transaction
from django.utils import timezone

from agents import audit, capabilities, permissions, secrets
from agents.catalogue import NEEDS, Capability, Receiver
from agents.errors import Invalid, NotFound
from agents.models import Agent, AgentSecret, User

MAX_BYTES = 8_192
MIN_CHARS = 8  # a shorter one could not be kept out of records without blackening words
MAX_SECRETS = 40
_NAME = re.compile(r"[A-Z][A-Z0-9_]{1,63}")

# Variables that make programs load code, find other programs or files, or send traffic elsewhere, and those that are
# the runtime's or ours. A secret is data: it must not be able to become any of these.
_RESERVED = (
    "PATH HOME USER LOGNAME SHELL PWD OLDPWD LANG LANGUAGE TERM TERMINFO TERMCAP IFS ENV CDPATH GLOBIGNORE SHELLOPTS "
    "PROMPT_COMMAND HOSTNAME HOSTALIASES HOSTFILE LOCALDOMAIN RES_OPTIONS EDITOR VISUAL PAGER BROWSER TMPDIR TMP TEMP "
    "TZ TZDIR MANPATH INFOPATH INPUTRC CC CXX MAKEFLAGS CLASSPATH GOFLAGS GOPATH GOROOT"
)
_BEGINNINGS = (
    "LD_ LC_ DYLD_ PYTHON BASH PS1 PS2 PS3 PS4 LOGOS_ HERMES API_SERVER_ GATEWAY_ TERMINAL_ MCP_ AUXILIARY_ GIT_ SSH_ "
    "SSL_ CURL_ REQUESTS_ OPENSSL_ NODE_ NPM_ PIP_ UV_ PERL RUBY JAVA_ JDK_ XDG_ GCONV_ MALLOC_ GLIBC_ VIRTUAL_ENV "
    "CONDA_ LESS DOCKER_ SUDO_ CARGO_ RUSTC BUNDLE_ GEM_ LUA_"
)
RESERVED = frozenset(_RESERVED.split())
RESERVED_BEGINNINGS = tuple(_BEGINNINGS.split())
RESERVED_ENDINGS = ("_PROXY", "_PRELOAD", "_LIBRARY_PATH")


@dataclass(frozen=True, slots=True)
class Granted:
    """A secret on its way into a sandbox. ``version`` rises with every new value, so it can stand for the value."""

    id: str
    name: str
    to: tuple[Receiver, ...]
    version: int
    value: str = field(repr=False)

    @property
    def mark(self) -> str:
        """What a sandbox's configuration remembers of it: never the value, not even hashed."""
        return f"{self.id}:{self.name}:{'+'.join(self.to)}:{self.version}"


def check_name(name: str) -> str:
    """The name, if an environment variable of this name can only be data. Raises Invalid."""
    name = name.strip()
    if not _NAME.fullmatch(name):
        raise Invalid(
            "A secret is named like an environment variable: capital letters, digits and underscores.",
            field="name",
            action="For instance GITHUB_TOKEN; at most 64 characters.",
        )
    if name in RESERVED or name.startswith(RESERVED_BEGINNINGS) or name.endswith(RESERVED_ENDINGS):
        raise Invalid(
            f"{name} steers programs or the runtime itself, so it cannot be a secret.",
            field="name",
            reason="reserved_name",
            action="Use the name of a key or token.",
        )
    return name


def check_value(value: str) -> str:
    """The value without surrounding blanks. Raises Invalid; the message never repeats it."""
    value = value.replace("\r\n", "\n").strip()
    if not value:
        raise Invalid("Enter the secret's value.", field="value")
    if any((ord(char) < 32 and char not in "\n\t") or ord(char) == 127 for char in value):
        raise Invalid("The value holds a NUL byte or another control character.", field="value")
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise Invalid("The value is not valid Unicode.", field="value") from error
    if size > MAX_BYTES:
        raise Invalid(f"A value may have {MAX_BYTES:,} bytes.", field="value", reason="too_large")
    if len(value) < MIN_CHARS:
        raise Invalid(
            f"A value of fewer than {MIN_CHARS} characters cannot be kept out of the records.",
            field="value",
            reason="too_short",
            action="Use a longer key.",
        )
    return value


def put(user: User, agent: Agent, name: str, value: str, *, always_given: bool | None = None) -> AgentSecret:
    """Store ``value`` under ``name``, in place of what was there. The sandbox has it from the next run on, if granted.

    ``always_given`` None keeps what was chosen before. Raises Invalid."""
    permissions.require(user, "secret.edit", agent)
    name, value = check_name(name), check_value(value)
    with transaction.atomic():
        # The agent's row, so that two at once neither pass the limit nor make the same name twice.
        if Agent.objects.select_for_update().alive().filter(pk=agent.pk).first() is None:
            raise Invalid("This agent was deleted.", reason="conflict")
        row = AgentSecret.objects.filter(agent=agent, name=name).first()
        if row is None:
            if AgentSecret.objects.filter(agent=agent).count() >= MAX_SECRETS:
                raise Invalid(
                    f"An agent may have {MAX_SECRETS} secrets.",
                    field="name",
                    reason="too_many",
                    action="Remove one it no longer needs.",
                )
            row = AgentSecret(agent=agent, name=name)
        row.set_value(value)
        row.set_by, row.set_at = user, timezone.now()
        if always_given is not None:
            row.always_given = always_given
        row.save()
        audit.note("secret_set", about=agent, name=name, always_given=row.always_given)
    return row


def give(user: User, agent: Agent, name: str, *, always: bool) -> AgentSecret:
    """Put a secret into every command's environment, or only while a capability names it."""
    permissions.require(user, "secret.edit", agent)
    with transaction.atomic():
        row = _locked(agent, name)
        if row.always_given != always:
            row.always_given = always
            row.save(update_fields=["always_given"])
            audit.note("secret_grant", about=agent, name=name, always_given=always)
    return row


def remove(user: User, agent: Agent, name: str) -> None:
    """Forget a secret. The sandbox loses it before its next run."""
    permissions.require(user, "secret.edit", agent)
    with transaction.atomic():
        _locked(agent, name).delete()
        audit.note("secret_removed", about=agent, name=name)


def _locked(agent: Agent, name: str) -> AgentSecret:
    row = AgentSecret.objects.select_for_update().filter(agent=agent, name=name).first()
    if row is None:
        raise NotFound("Secret")
    return row


def granted(agent: Agent) -> tuple[Granted, ...]:
    """What the agent's sandbox is to have now, opened, by name: what its capabilities ask for, and what is always
    given. Raises LogosError(reason="seal_broken")."""
    needed = capabilities.needed_by(agent)
    going = ((row, receivers(row, needed)) for row in agent.secrets.all())
    return tuple(Granted(row.pk, row.name, to, row.version, secrets.unseal(row.sealed)) for row, to in going if to)


def granted_names(agent: Agent, agreed_to: Iterable[Capability] | None = None) -> tuple[str, ...]:
    """The names of what ``granted`` gives, without opening anything."""
    needed = capabilities.needs_of(agent.agreed_capabilities() if agreed_to is None else agreed_to)
    return tuple(row.name for row in agent.secrets.defer("sealed") if receivers(row, needed))


def receivers(row: AgentSecret, needed: Mapping[str, object]) -> tuple[Receiver, ...]:
    """Where a stored secret goes, given the names that capabilities ask for now."""
    to: set[Receiver] = {NEEDS[row.name].to} if row.name in needed else set()
    return tuple(sorted(to | ({"commands"} if row.always_given else set())))


def known_values(agent: Agent) -> frozenset[str]:
    """Every value stored for the agent, granted or not, to keep out of its records."""
    return frozenset(secrets.unseal(sealed) for sealed in agent.secrets.values_list("sealed", flat=True))
