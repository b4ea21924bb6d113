"""The git tools: git in the sandbox with fixed words, no prompts, no hooks, and nothing a repository's settings would run."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from agents.errors import Invalid
from sandboxes.tool_server import paths, subjects
from sandboxes.tool_server.processes import OUTPUT_MOST, shown
from sandboxes.tool_server.results import Outcome, done
from sandboxes.tool_server.room import ENVIRONMENT, Room, ToolRefusal

LOCAL_S = 60.0
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/~^@{}+-]{0,199}\Z")
_NEW = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+-]{0,199}\Z")

# Settings on the command line win over those of the repository.
_SETTINGS = (
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.pager", "cat"),
    ("core.askPass", "true"),
    ("core.editor", "true"),
    ("credential.helper", ""),
    ("protocol.allow", "never"),
    ("protocol.https.allow", "always"),
    ("submodule.recurse", "false"),
    ("commit.gpgSign", "false"),
    ("tag.gpgSign", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("http.followRedirects", "false"),
    ("color.ui", "false"),
    ("core.quotePath", "false"),
)
_VARIABLES = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "/usr/bin/true",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_PAGER": "cat",
    "GIT_LITERAL_PATHSPECS": "1",
}

Words = Callable[[dict[str, Any]], list[str]]


def status(given: dict[str, Any]) -> list[str]:
    """git.status"""
    return ["status", "--porcelain=v2", "--branch", "--ignore-submodules=all"]


def log(given: dict[str, Any]) -> list[str]:
    """git.log"""
    form = "--format=%H%x09%aI%x09%an%x09%s"
    return ["log", f"--max-count={given['limit']}", "--no-show-signature", form,
            _ref(given, "ref", "HEAD"), "--", *_within(given)]  # fmt: skip


def diff(given: dict[str, Any]) -> list[str]:
    """git.diff"""
    ends = [_ref(given, name) for name in ("base", "target") if given.get(name)]
    if given.get("target") and not given.get("base"):
        raise Invalid("A target needs a base.", field="base", reason="invalid_arguments")
    staged = ["--cached"] if given["staged"] else []
    return ["diff", "--no-ext-diff", "--no-textconv", "--ignore-submodules=all", *staged, *ends,
            "--", *_within(given)]  # fmt: skip


def show(given: dict[str, Any]) -> list[str]:
    """git.show"""
    return ["show", "--no-ext-diff", "--no-textconv", "--no-show-signature",
            _ref(given, "ref", "HEAD"), "--"]  # fmt: skip


def init(given: dict[str, Any]) -> list[str]:
    """git.init"""
    return ["init", "--quiet", "--template=", "--initial-branch=main"]


def add(given: dict[str, Any]) -> list[str]:
    """git.add"""
    return ["add", "--", *(_inner(path, "paths") for path in given["paths"])]


def commit(given: dict[str, Any]) -> list[str]:
    """git.commit"""
    if "\x00" in given["message"] or not given["message"].strip():
        raise Invalid("A commit needs a message.", field="message", reason="invalid_arguments")
    return ["commit", "--no-verify", "--no-gpg-sign", f"--message={given['message']}"]


def branch(given: dict[str, Any]) -> list[str]:
    """git.branch"""
    if not given.get("name"):
        return ["branch", "--list", "--all", "--format=%(HEAD)%09%(refname:short)%09%(objectname:short)%09%(subject)"]
    return ["branch", "--no-track", _new(given, "name"), _ref(given, "start", "HEAD")]


def checkout(given: dict[str, Any]) -> list[str]:
    """git.checkout"""
    return ["checkout", "--quiet", "--no-recurse-submodules", "--no-overwrite-ignore", _ref(given, "ref"), "--"]


def fetch(given: dict[str, Any]) -> list[str]:
    """git.fetch"""
    name = _new(given, "branch") if given.get("branch") else "*"
    return ["fetch", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head",
            _url(given), f"+refs/heads/{name}:refs/remotes/logos/{name}"]  # fmt: skip


def push(given: dict[str, Any]) -> list[str]:
    """git.push"""
    name = _new(given, "branch")
    return ["push", "--no-verify", "--no-signed", "--porcelain", _url(given),
            f"refs/heads/{name}:refs/heads/{name}"]  # fmt: skip


WORDS: dict[str, Words] = {
    "git.status": status,
    "git.log": log,
    "git.diff": diff,
    "git.show": show,
    "git.init": init,
    "git.add": add,
    "git.commit": commit,
    "git.branch": branch,
    "git.checkout": checkout,
    "git.fetch": fetch,
    "git.push": push,
}


def tool(name: str) -> Callable[[Room, dict[str, Any]], Any]:
    """What carries this tool out."""

    async def run(room: Room, given: dict[str, Any]) -> Outcome:
        words = WORDS[name](given)
        where = paths.parsed(given.get("repository", ""), "repository", may_be_root=True)
        if name == "git.init":
            await room.ask("list", path=paths.sent(where), after="", limit=1)  # it is there, and no link
        else:
            await room.ask("repository", path=paths.sent(where), environment=_environment(room))
        return await _git(room, words, paths.inside(where), given.get("timeout_s", LOCAL_S))

    return run


async def clone(room: Room, given: dict[str, Any]) -> Outcome:
    """git.clone"""
    where = paths.parsed(given["directory"], "directory")
    name = paths.inside(where)
    depth = [f"--depth={given['depth']}"] if given.get("depth") else []
    only = [f"--branch={_new(given, 'branch')}"] if given.get("branch") else []
    await room.ask("clear", path=paths.sent(where))
    return await _git(
        room, ["clone", "--quiet", "--template=", "--no-recurse-submodules", *depth, *only, "--", _url(given), name],
        paths.ROOT, given["timeout_s"],
    )  # fmt: skip


async def _git(room: Room, words: list[str], directory: str, timeout_s: float) -> Outcome:
    settings = [word for name, value in _SETTINGS for word in ("-c", f"{name}={value}")]
    ended = await room.run(
        ["git", "--no-pager", *settings, *words], env=_environment(room), directory=directory, timeout_s=timeout_s,
        limit_bytes=OUTPUT_MOST,
    )  # fmt: skip
    data = {"exit_code": ended.code, **shown("stdout", ended.stdout), **shown("stderr", ended.stderr)}
    if ended.code:
        why = str(data["stderr"] or data["stdout"]).strip() or f"git ended with exit code {ended.code}."
        raise ToolRefusal(why[:4_000], reason="git_failed")
    text = str(data["stdout"]) or str(data["stderr"]) or "Done."
    return done(data, text + ("\n… the rest is left out" if data["stdout_is_cut"] else ""))


def _environment(room: Room) -> dict[str, str]:
    # Who commits is the agent; the address leads nowhere.
    name = "".join(char for char in room.agent_name if char.isprintable() and char not in "<>") or "agent"
    who = {f"GIT_{role}_{field}": value for role in ("AUTHOR", "COMMITTER")
           for field, value in (("NAME", name), ("EMAIL", "agent@invalid"))}  # fmt: skip
    return {**ENVIRONMENT, **_VARIABLES, **who}


def _ref(given: dict[str, Any], name: str, default: str = "") -> str:
    ref: str = given.get(name) or default
    if not _REF.match(ref) or ".." in ref or ref.endswith(".lock"):
        raise Invalid(f"{ref[:80]!r} cannot be a branch, tag or commit.", field=name, reason="invalid_arguments")
    return ref


def _new(given: dict[str, Any], name: str) -> str:
    found: str = given[name]
    if not _NEW.match(found) or ".." in found or "//" in found or found.endswith(("/", ".", ".lock")):
        raise Invalid(f"{found[:80]!r} cannot be a branch.", field=name, reason="invalid_arguments")
    return found


def _inner(path: str, field: str) -> str:
    try:
        return "/".join(part.decode() for part in paths.parsed(path, field, may_be_root=True)) or "."
    except UnicodeDecodeError:
        raise Invalid("This name is no text.", field=field, reason="invalid_arguments") from None


def _within(given: dict[str, Any]) -> list[str]:
    return [_inner(given["path"], "path")] if given.get("path") else []


def _url(given: dict[str, Any]) -> str:
    subjects.address_of(given["url"], only_https=True)
    url: str = given["url"]
    return url
