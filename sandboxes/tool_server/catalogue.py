"""The tools there are: names, what they say of themselves, their arguments, and what they do without a rule. Pure.

A tool is called ``filesystem.read``; clients that take no dots write ``filesystem_read``. The four hints are those of
the Model Context Protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agents.errors import Invalid
from sandboxes.tool_server.schemas import Schema, arguments, choice, number, switch, table, text, texts
from sandboxes.tool_server.tiers import Tier

READ_MOST = 256 * 1024
WRITE_MOST = 1024 * 1024
LONGEST_S = 600


@dataclass(frozen=True, slots=True)
class Rates:
    """How many calls a minute and an hour before the next ones have to be asked for."""

    minute: int
    hour: int


OFTEN, SOMETIMES, SELDOM = Rates(120, 3_000), Rates(60, 1_000), Rates(30, 300)


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool. ``paths``: its arguments that name what lies in the workspace; ``trees``: those whose contents it
    touches too."""

    name: str
    title: str
    description: str
    schema: Schema
    tier: Tier
    rates: Rates
    paths: tuple[str, ...] = ()
    trees: tuple[str, ...] = ()
    reads_only: bool = False
    destroys: bool = False
    is_repeatable: bool = False
    reaches_out: bool = False

    @property
    def family(self) -> str:
        """``filesystem`` of ``filesystem.read``."""
        return self.name.partition(".")[0]

    @property
    def wire_name(self) -> str:
        """The name without dots."""
        return self.name.replace(".", "_")

    def as_mcp(self, *, dots: bool = True) -> dict[str, Any]:
        """The entry of ``tools/list``."""
        return {
            "name": self.name if dots else self.wire_name,
            "title": self.title,
            "description": self.description,
            "inputSchema": self.schema,
            "annotations": {
                "title": self.title,
                "readOnlyHint": self.reads_only,
                "destructiveHint": self.destroys,
                "idempotentHint": self.is_repeatable or self.reads_only,
                "openWorldHint": self.reaches_out,
            },
        }


_PATH = text("Below the workspace, for instance notes/today.md. A byte that is no text is written %XX.")
_WHERE = text("A directory below the workspace; empty is the workspace.")
_REPO = text("The repository's directory below the workspace; empty is the workspace.")
_REF = text("A branch, tag or commit.", 200)
_URL = text("The https address of the repository.", 2_000, minLength=1)
_GIT_TIME = number("Seconds after which it is stopped.", 1, LONGEST_S, 120)
_READS = {"reads_only": True, "is_repeatable": True}


def _tool(name: str, title: str, description: str, schema: Schema, tier: Tier, rates: Rates, **more: Any) -> Tool:
    return Tool(name, title, description, schema, tier, rates, **more)


TOOLS: tuple[Tool, ...] = (
    _tool(
        "filesystem.read", "Read a file", "The content of a file in the workspace, as text or base64, up to 256 KB.",
        arguments(("path",), path=_PATH, offset=number("The first byte.", 0, 2**40, 0),
                  length=number("How many bytes at most.", 1, READ_MOST, 64 * 1024)),
        Tier.ALLOW, OFTEN, paths=("path",), **_READS,
    ),
    _tool(
        "filesystem.write", "Write a file",
        "Write text or base64 to a file in the workspace, whole or not at all. Replaces only with mode replace.",
        arguments(("path",), path=_PATH, text=text("The content as text.", WRITE_MOST),
                  base64=text("The content as base64, instead of text.", WRITE_MOST * 4 // 3 + 4),
                  mode=choice("What to do when the file is there.", "create", "replace", "append"),
                  directories=switch("Make the directories above it.")),
        Tier.ALLOW, SOMETIMES, paths=("path",), destroys=True,
    ),
    _tool(
        "filesystem.list", "List a directory", "What is in a directory of the workspace, a page at a time.",
        arguments(path=_WHERE, after=text("The `next` of the page before."),
                  limit=number("How many names at most.", 1, 1_000, 200)),
        Tier.ALLOW, OFTEN, paths=("path",), **_READS,
    ),
    _tool(
        "filesystem.stat", "Look at a file", "Kind, size, time and, if asked for, SHA-256 of a file.",
        arguments(("path",), path=_PATH, digest=switch("Give the SHA-256 of a file of up to 64 MB.")),
        Tier.ALLOW, OFTEN, paths=("path",), **_READS,
    ),
    _tool(
        "filesystem.search", "Search files", "Find files by name, or lines that hold a text, below a directory.",
        arguments(path=_WHERE, text=text("Lines that hold this.", 500), regex=switch("The text is a regular expression."),
                  name=text("Files of this name, with * and ?.", 200),
                  limit=number("How many finds at most.", 1, 500, 100)),
        Tier.ALLOW, SOMETIMES, trees=("path",), **_READS,
    ),
    _tool(
        "filesystem.move", "Move a file", "Give a file or directory another name or place. Nothing is replaced.",
        arguments(("path", "to"), path=_PATH, to=_PATH),
        Tier.ALLOW, SOMETIMES, trees=("path", "to"), destroys=True,
    ),
    _tool(
        "filesystem.delete", "Delete a file", "Delete a file, or with recursive a directory and all that is in it.",
        arguments(("path",), path=_PATH, recursive=switch("Also a directory that is not empty.")),
        Tier.NOTIFY, SOMETIMES, trees=("path",), destroys=True,
    ),
    _tool(
        "filesystem.diff", "Compare files", "The difference between a file and another one, or a text.",
        arguments(("path",), path=_PATH, other=text("The file to compare with."),
                  text=text("The text to compare with, instead.", WRITE_MOST)),
        Tier.ALLOW, SOMETIMES, paths=("path", "other"), **_READS,
    ),
    _tool(
        "process.run", "Run a command",
        "Run a program in the sandbox: argv without a shell, or command with one. Its environment is made from nothing.",
        arguments(argv=texts("The program and its arguments.", 32_000), command=text("A line for sh.", 32_000),
                  directory=_WHERE, stdin=text("What it reads.", WRITE_MOST), env=table("Variables to add."),
                  timeout_s=number("Seconds after which it is stopped.", 1, LONGEST_S, 60),
                  background=switch("Do not wait for it; process.stop ends it.")),
        Tier.ASK, SELDOM, destroys=True, reaches_out=True,
    ),
    _tool(
        "process.list", "List processes", "What runs in the sandbox.",
        arguments(), Tier.ALLOW, SOMETIMES, **_READS,
    ),
    _tool(
        "process.stop", "Stop a process", "End what process.run began in the background.",
        arguments(("id",), id=text("What process.run gave as id.", 60, minLength=1),
                  signal=choice("How.", "TERM", "INT", "KILL")),
        Tier.ALLOW, SOMETIMES, is_repeatable=True,
    ),
    _tool(
        "network.fetch", "Fetch an address",
        "One HTTP request through the sandbox's proxy, whose rules decide. Redirects are told, not followed.",
        arguments(("url",), url=text("An http or https address.", 8_000, minLength=1),
                  method=choice("The method.", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"),
                  headers=table("Headers to send."), body=text("What to send.", WRITE_MOST),
                  timeout_s=number("Seconds to wait at most.", 1, 120, 30),
                  length=number("How many bytes of the answer at most.", 1, READ_MOST, 64 * 1024)),
        Tier.NOTIFY, SOMETIMES, reaches_out=True,
    ),
    _tool(
        "network.resolve", "Look a name up", "The addresses of a host, if the agent's policy lets it reach that host.",
        arguments(("host",), host=text("The name.", 253, minLength=1), port=number("For which port.", 1, 65_535, 443)),
        Tier.ALLOW, SOMETIMES, reaches_out=True, **_READS,
    ),
    _tool("git.status", "Git status", "What has changed in a repository.", arguments(repository=_REPO),
          Tier.ALLOW, OFTEN, trees=("repository",), **_READS),
    _tool(
        "git.log", "Git log", "The last commits.",
        arguments(repository=_REPO, ref=_REF, path=text("Only those that touch this."),
                  limit=number("How many commits.", 1, 200, 20)),
        Tier.ALLOW, OFTEN, trees=("repository",), **_READS,
    ),
    _tool(
        "git.diff", "Git diff", "Changes in the working tree, what is staged, or between two commits.",
        arguments(repository=_REPO, staged=switch("What is staged."), base=_REF, target=_REF, path=text("Only this.")),
        Tier.ALLOW, OFTEN, trees=("repository",), **_READS,
    ),
    _tool("git.show", "Git show", "One commit with its changes.", arguments(repository=_REPO, ref=_REF),
          Tier.ALLOW, OFTEN, trees=("repository",), **_READS),
    _tool("git.init", "Git init", "Make an empty repository.", arguments(repository=_REPO),
          Tier.ALLOW, SOMETIMES, trees=("repository",), is_repeatable=True),
    _tool("git.add", "Git add", "Stage files.",
          arguments(("paths",), repository=_REPO, paths=texts("Files and directories in the repository.")),
          Tier.ALLOW, SOMETIMES, trees=("repository",), is_repeatable=True),
    _tool("git.commit", "Git commit", "Commit what is staged.",
          arguments(("message",), repository=_REPO, message=text("The message.", 8_000, minLength=1)),
          Tier.ALLOW, SOMETIMES, trees=("repository",)),
    _tool("git.branch", "Git branch", "List branches, or make one.",
          arguments(repository=_REPO, name=text("Make this one; empty lists them.", 200), start=_REF),
          Tier.ALLOW, SOMETIMES, trees=("repository",)),
    _tool("git.checkout", "Git checkout", "Change to a branch or commit. What is not committed is kept or it refuses.",
          arguments(("ref",), repository=_REPO, ref={**_REF, "minLength": 1}),
          Tier.ALLOW, SOMETIMES, trees=("repository",), destroys=True),
    _tool(
        "git.clone", "Git clone", "Copy a repository into the workspace, through the sandbox's proxy.",
        arguments(("url", "directory"), url=_URL, directory=_PATH, branch=_REF,
                  depth=number("How many commits of history.", 1, 100_000), timeout_s=_GIT_TIME),
        Tier.NOTIFY, SELDOM, trees=("directory",), reaches_out=True,
    ),
    _tool("git.fetch", "Git fetch", "Get commits of another repository, into remote branches called logos/….",
          arguments(("url",), repository=_REPO, url=_URL, branch=_REF, timeout_s=_GIT_TIME),
          Tier.NOTIFY, SELDOM, trees=("repository",), reaches_out=True),
    _tool("git.push", "Git push", "Send a branch to another repository. Never forced.",
          arguments(("url", "branch"), repository=_REPO, url=_URL, branch={**_REF, "minLength": 1},
                    timeout_s=_GIT_TIME),
          Tier.ASK, SELDOM, trees=("repository",), destroys=True, reaches_out=True),
)  # fmt: skip

BY_NAME: Mapping[str, Tool] = {tool.name: tool for tool in TOOLS}
_BY_WIRE_NAME = {tool.wire_name: tool for tool in TOOLS}
FAMILIES = tuple(dict.fromkeys(tool.family for tool in TOOLS))


def find(name: str) -> Tool:
    """The tool of this name, in either spelling. Invalid (reason "unknown_tool") when there is none."""
    tool = BY_NAME.get(name) or _BY_WIRE_NAME.get(name)
    if tool is None:
        known = f"The tools are {', '.join(BY_NAME)}."
        raise Invalid("There is no such tool.", field="tool", reason="unknown_tool", action=known)
    return tool


def listed(*, dots: bool = True) -> list[dict[str, Any]]:
    """Every tool as ``tools/list`` gives it."""
    return [tool.as_mcp(dots=dots) for tool in TOOLS]
