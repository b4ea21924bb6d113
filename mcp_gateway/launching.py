"""What may be started as an MCP server, and what becomes of ``${NAME}`` in its environment (pure)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from agents.errors import Invalid
from agents.invisible import first_hidden
from agents.numbers import whole
from agents.secrets import redact
from mcp_gateway import launchers

NAME = re.compile(r"[a-z0-9](?:[a-z0-9]|-(?=[a-z0-9])){0,31}")
TOOL = re.compile(r"[^\x00-\x1f\x7f]{1,128}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
REFERENCE = re.compile(r"\$\{([A-Z][A-Z0-9_]{0,63})\}")

# Words that are addresses or names of ours: a server called so would pass for one of Logos.
RESERVED = frozenset({"control", "logos", "capabilities", "hub", "mcp", "system", "admin", "builtin", "health"})

TIERS = ("category", "auto", "user", "admin", "deny")
MAX_ARGS, MAX_ARG, MAX_VARIABLES, MAX_TOOLS = 64, 2_000, 64, 500
LIMITS: dict[str, tuple[int, int]] = {"memory_mb": (64, 1_048_576), "open_files": (32, 65_536), "file_mb": (1, 102_400)}

# In KB: a line of a server, and the body of a request, have no more.
SIZES = {"max_result_kb": 16_384, "max_argument_kb": 4_096}

# Names whose values are secrets: written down plainly, everybody who may see the server reads them.
_SECRETIVE = re.compile(r"(?:^|_)(?:TOKEN|SECRET|PASSWORD|PASSWD|APIKEY|API_KEY|ACCESS_KEY|PRIVATE_KEY|CREDENTIALS?)$")
_PLAIN_NAME = "Name it ${NAME} in the environment and set the secret NAME."


def clean_name(name: str) -> str:
    """The name; Invalid unless it can stand in addresses and in front of ``__`` and a tool."""
    name = name.strip()
    if not NAME.fullmatch(name):
        raise Invalid(
            "A server's name has 1 to 32 small letters, digits and single dashes, and begins and ends with a letter or digit.",
            field="name",
        )
    if name in RESERVED:
        raise Invalid(f"{name} is a name of Logos itself.", field="name", reason="reserved_name")
    return name


def clean_command(command: str) -> str:
    """One program: a name on the search path or an absolute path, and no arguments."""
    command = command.strip()
    if not command or len(command) > 300 or first_hidden(command) is not None or re.search(r"[\s;|&$`<>]", command):
        raise Invalid(
            "The command is one program, by name or absolute path; no shell runs it.",
            field="command",
            action="Put what follows it into the arguments, one each.",
        )
    if "/" in command and not command.startswith("/"):
        raise Invalid("Give the program by its name or its whole path.", field="command")
    return command


def clean_args(args: Any) -> list[str]:
    """The arguments, none of which looks like a secret: every user of the host can read them."""
    if not isinstance(args, list | tuple) or len(args) > MAX_ARGS:
        raise Invalid(f"Arguments are a list of at most {MAX_ARGS} texts.", field="args")
    before = ""
    for arg in args:
        if not isinstance(arg, str) or "\x00" in arg or len(arg) > MAX_ARG:
            raise Invalid(f"An argument is a text of at most {MAX_ARG:,} characters.", field="args")
        if first_hidden(arg) is not None:
            raise Invalid("An argument holds a character that nobody sees.", field="args", reason="hidden_character")
        name, _, value = arg.lstrip("-").partition("=")
        is_said = bool(value) and _is_secretive(name)
        # "--password", then the value as an argument of its own.
        is_next = bool(arg) and arg[0] != "-" and before.startswith("-") and _is_secretive(before.lstrip("-"))
        before = arg
        if redact(arg) != arg or REFERENCE.search(arg) or is_said or is_next or _names_one(arg):
            raise Invalid(
                "An argument holds a secret, and every user of the host can read arguments.",
                field="args",
                reason="secret_in_args",
                action=_PLAIN_NAME,
            )
    return list(args)


def _is_secretive(name: str) -> bool:
    """Is the value of an option, a variable or a key of this name a secret?"""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_")
    return _SECRETIVE.search(words.upper()) is not None


def _names_one(arg: str) -> bool:
    """Is it JSON in which a key of such a name has a value?"""
    try:
        return arg[:1] in ("{", "[") and _holds_one(json.loads(arg))
    except (ValueError, RecursionError):
        return False


def _holds_one(value: Any) -> bool:
    if isinstance(value, dict):
        return any(
            (each and isinstance(each, str) and _is_secretive(key)) or _holds_one(each) for key, each in value.items()
        )
    return isinstance(value, list) and any(_holds_one(each) for each in value)


def clean_env(env: Any) -> dict[str, str]:
    """The environment; what its names say is secret must be a reference."""
    if not isinstance(env, dict) or len(env) > MAX_VARIABLES:
        raise Invalid(f"The environment is an object of at most {MAX_VARIABLES} texts.", field="env")
    for name, value in env.items():
        if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
            raise Invalid(f"{str(name)[:60]!r} is no name of a variable.", field="env")
        if not isinstance(value, str) or "\x00" in value or len(value) > MAX_ARG:
            raise Invalid(f"{name} is a text of at most {MAX_ARG:,} characters.", field="env")
        bare = REFERENCE.sub("", value)
        if redact(bare) != bare or (_SECRETIVE.search(name.upper()) and bare == value and value):
            raise Invalid(f"{name} holds a secret.", field="env", reason="secret_in_env", action=_PLAIN_NAME)
    return dict(env)


def clean_cwd(cwd: str) -> str:
    """An absolute directory, or nothing: then the server gets an empty one of its own."""
    cwd = cwd.strip()
    if cwd and (not cwd.startswith("/") or "\x00" in cwd or ".." in PurePosixPath(cwd).parts or len(cwd) > 300):
        raise Invalid("The working directory is an absolute path.", field="cwd")
    return cwd


def clean_limits(limits: Any) -> dict[str, int]:
    """What the process may use, by the names in ``LIMITS``."""
    if not isinstance(limits, dict) or set(limits) - set(LIMITS):
        raise Invalid(f"Limits are {', '.join(LIMITS)}.", field="limits")
    for name, value in limits.items():
        low, high = LIMITS[name]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise Invalid(f"{name} is a whole number from {low:,} to {high:,}.", field="limits")
    return dict(limits)


def clean_tools(tools: Any, field: str) -> list[str]:
    """Names of tools, exactly as the server spells them."""
    if not isinstance(tools, list | tuple) or len(tools) > MAX_TOOLS:
        raise Invalid(f"Name at most {MAX_TOOLS} tools.", field=field)
    for tool in tools:
        if not isinstance(tool, str) or not TOOL.fullmatch(tool):
            raise Invalid("A tool's name has 1 to 128 visible characters.", field=field)
    return list(dict.fromkeys(tools))


def clean_tier(tier: Any) -> str:
    """Who may let agents use it."""
    if tier not in TIERS:
        raise Invalid(f"Access is given by one of: {', '.join(TIERS)}.", field="tier")
    return str(tier)


def clean_size(value: Any, field: str) -> int:
    """A size in KB, as large as Logos carries at most."""
    number = whole(value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= SIZES[field]:
        raise Invalid(f"A size is 1 to {SIZES[field]:,} KB.", field=field)
    return number


def clean_seconds(value: Any, field: str) -> int:
    """A time limit of a second to an hour."""
    number = whole(value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= 3600:
        raise Invalid("A time limit is 1 to 3,600 seconds.", field=field)
    return number


def warnings(command: str, args: list[str]) -> list[str]:
    """What people should know before they trust this command."""
    found = launchers.warning(command, args)
    return [found] if found else []


def references(env: Mapping[str, str]) -> list[str]:
    """The names of secrets that ``env`` asks for."""
    return sorted({name for value in env.values() for name in REFERENCE.findall(value)})


def directory(cwd: str, own: Path) -> Path:
    """Where it runs: the directory it was given, else one of its own, made now."""
    if cwd:
        return Path(cwd)
    own.mkdir(parents=True, exist_ok=True, mode=0o700)
    return own


def resolved(env: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    """``env`` with every reference replaced. Raises Invalid naming a secret that is not set."""
    if missing := [name for name in references(env) if name not in values]:
        raise Invalid(f"The secret {missing[0]} is not set.", field="env", reason="secret_missing")
    return {name: REFERENCE.sub(lambda match: values[match[1]], value) for name, value in env.items()}
