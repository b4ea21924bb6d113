"""What is made from code: ``.env.example``, and in ``docs/`` settings, permissions, commands and addresses between two markers."""

from __future__ import annotations

import argparse
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path

from django.apps import apps
from django.core.management import load_command_class

from agents.actions import ACTIONS, Action
from agents.gate.rules import Rule, shipped
from logos_site.env import REGISTRY, Variable

BEGIN = "<!-- made by `./logos docs`: begin -->"
END = "<!-- made by `./logos docs`: end -->"

OURS = ("agents", "sandboxes", "runs", "mcp_gateway", "channels_app", "logos_site")

# What the registry holds as a value is a rule: it depends on the machine or on another variable.
_DEFAULTS = {
    "LOGOS_HOME": "`~/.logos`; as root `/var/lib/logos`",
    "LOGOS_SECRET_KEY": "the file `secrets/secret_key` below `LOGOS_HOME`, made once",
    "LOGOS_SEAL_KEYS": "the file `secrets/seal_keys` below `LOGOS_HOME`, made once",
    "LOGOS_TRUSTED_ORIGINS": "the value of `LOGOS_URL`",
}
_ROLES = ("admin", "operator", "user", "viewer")


def settings() -> str:
    """A heading for every LOGOS_* variable, in the order of ``logos_site/settings.py``."""
    return "\n\n".join(_setting(variable) for variable in REGISTRY.values())


_EXAMPLE = """\
# Copy to .env and take away the # of what you change. ./logos reads it; what the environment says wins.
# docs/settings.md says more about each; NAME_FILE=/path reads a value from a file instead.
"""


def example() -> str:
    """The text of ``.env.example``: every variable with its meaning, commented out at its default."""
    return "\n".join([_EXAMPLE, *(_exemplified(variable) for variable in REGISTRY.values())])


def _exemplified(variable: Variable) -> str:
    # Where the state lies depends on who asks; the file says it for both.
    where = variable.name == "LOGOS_HOME"
    rule = " Default: ~/.logos, as root /var/lib/logos." if where else ""
    return f"# {variable.help}{rule}\n#{variable.name}={'/var/lib/logos' if where else variable.default}\n"


def default_of(variable: Variable) -> str:
    """The default as people read it."""
    return _DEFAULTS.get(variable.name) or (f"`{variable.default}`" if variable.default else "empty")


def _setting(variable: Variable) -> str:
    return f"### `{variable.name}`\n\n{variable.help}\n\nDefault: {default_of(variable)}."


def permissions() -> str:
    """A row for every action: what it is, the level it needs, who may do it at all."""
    head = ["| Action | What | Level | " + " | ".join(_ROLES) + " |", "| --- | --- | --- |" + " :-: |" * len(_ROLES)]
    return "\n".join([*head, *(_action(action) for action in ACTIONS.values())])


def _action(action: Action) -> str:
    marks = " | ".join("yes" if role in action.roles else "" for role in _ROLES)
    return f"| `{action.name}` | {action.sentence} | {action.level or 'none'} | {marks} |"


def addresses() -> str:
    """A row for every operation of the API, in the order of its schema."""
    # The API imports every room; settings and commands are described without it.
    from logos_site.api import api

    rows = [
        f"| {method.upper()} | `{path}` | {operation['summary']} |"
        for path, methods in api.get_openapi_schema()["paths"].items()
        for method, operation in methods.items()
    ]
    return "\n".join(["| Method | Address | What it does |", "| --- | --- | --- |", *rows])


def commands() -> str:
    """A section for every command of our apps: usage, arguments, exit codes."""
    return "\n\n".join(_command(app, name) for app, name in our_commands())


def our_commands() -> Iterator[tuple[str, str]]:
    """(app, command) for every management command that is ours, by name."""
    found = []
    for config in apps.get_app_configs():
        directory = Path(config.path) / "management" / "commands"
        if config.name in OURS and directory.is_dir():
            found += [(config.name, module.name) for module in pkgutil.iter_modules([str(directory)])]
    yield from sorted(found, key=lambda each: each[1])


def _command(app: str, name: str) -> str:
    command = load_command_class(app, name)
    parser = command.create_parser("./logos", name)
    verbs = next((a for a in parser._actions if isinstance(a, argparse._SubParsersAction)), None)
    parts = [f"### `{name}`", _plain(parser.description or command.help)]
    if verbs is None:
        parts += _usage(name, parser)
    else:
        sentences = {choice.dest: choice.help or "" for choice in verbs._choices_actions}
        for verb, below in verbs.choices.items():
            parts += [f"**`{name} {verb}`**: {sentences.get(verb, '')}.", *_usage(f"{name} {verb}", below)]
    return "\n\n".join([*parts, *([_block(parser.epilog)] if parser.epilog else [])])


# Django gives these to every command.
_DJANGOS = frozenset(
    {"help", "version", "verbosity", "settings", "pythonpath", "traceback", "no_color", "force_color", "skip_checks"}
)


# Arguments whose name says it all carry no help; those that return everywhere are explained all the same.
_UNSAID = {"json": "print JSON"}


def _usage(name: str, parser: argparse.ArgumentParser) -> list[str]:
    shown = [a for a in parser._actions if a.dest not in _DJANGOS]
    # argparse's own words change from one Python to the next, so the line is made here.
    line = " ".join(["./logos", name, *map(_in_usage, sorted(shown, key=lambda a: not a.option_strings))])
    rows = [f"| `{_spelling(a)}` | {meaning} |" for a in shown if (meaning := _meaning(a))]
    table = ["\n".join(["| Argument | Meaning |", "| --- | --- |", *rows])] if rows else []
    return [_block(line), *table]


def _in_usage(action: argparse.Action) -> str:
    spelling = _spelling(action)
    return spelling if not action.option_strings and action.nargs not in ("?", "*") else f"[{spelling}]"


def _spelling(action: argparse.Action) -> str:
    value = str(action.metavar or action.dest.upper())
    if not action.option_strings:
        return f"[--] {value}..." if action.nargs == argparse.REMAINDER else value
    return action.option_strings[-1] if action.nargs == 0 else f"{action.option_strings[-1]} {value}"


def _meaning(action: argparse.Action) -> str:
    known = REGISTRY.get(f"LOGOS_{action.dest.upper()}")
    default = known.default if known else action.default
    said = (action.help or _UNSAID.get(action.dest, "")).replace("%(default)s", str(default))
    choices = ", ".join(f"`{choice}`" for choice in action.choices or ())
    return _plain("; ".join(part for part in (said, choices and f"one of {choices}") if part))


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _block(text: str) -> str:
    return f"```text\n{text}\n```"


def gate_rules() -> str:
    """A table of the rules of the command gate, by file; the examples are those the tests run."""
    head = "| Rule | Severity | What it is about | For instance |\n| --- | --- | --- | --- |"
    return "\n".join([head, *(_gate_rule(rule) for rule in shipped().all)])


def _gate_rule(rule: Rule) -> str:
    example = next((text for text in rule.fires if not set(text) & set("`|\n\\") and text.isprintable()), "")
    shown = f"`{example}`" if example else ""
    severity = "**nobody may approve it**" if rule.hardline else rule.severity
    return f"| `{rule.id}` | {severity} | {rule.sentence} | {shown} |"


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings,
    "permissions.md": permissions,
    "commands.md": commands,
    "api.md": addresses,
    "command-gate.md": gate_rules,
}


def renewed(page: str, made: str) -> str:
    """``page`` with ``made`` between its markers. ValueError when it has not exactly one pair."""
    if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(BEGIN) > page.index(END):
        raise ValueError("the page needs the two markers once each, in order")
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{made}\n\n{END}{rest.split(END)[1]}"


def stale(directory: Path) -> dict[Path, str]:
    """The pages below ``directory`` whose made part is not what the code says, and ``.env.example`` beside it, with
    their new text."""
    found = {}
    path = directory.parent / ".env.example"
    if path.read_text() != (text := example()):
        found[path] = text
    for name, make in PAGES.items():
        path = directory / name
        page = path.read_text()
        if (text := renewed(page, make())) != page:
            found[path] = text
    return found
