"""Look at a repository before git does, inside: where its top is, and whether its own settings would run programs."""

from __future__ import annotations

import os
import re
import subprocess

from sandboxes import beneath
from sandboxes.tool_server.inside.answers import Names, Refused, Told, parts_of, root
from sandboxes.tool_server.inside.files import closing

# What git runs, or goes elsewhere for, because a repository's own settings say so.
RUNS = (
    "filter.", "diff.", "merge.", "alias.", "include", "url.", "credential.", "gpg.", "remote.", "submodule.",
    "core.fsmonitor", "core.hookspath", "core.sshcommand", "core.gitproxy", "core.editor", "core.pager",
    "core.askpass", "core.worktree", "core.alternaterefscommand", "extensions.worktreeconfig", "http.", "protocol.",
    "uploadpack.", "receive.", "sequence.editor", "interactive.", "pager.", "trailer.", "hook.", "push.gpgsign",
)  # fmt: skip
HARMLESS = re.compile(
    r"remote\.[a-z0-9_-]+\.(url|fetch|tagopt|prune)|submodule\.(active|[a-z0-9/_-]+\.(url|active))"
    r"|merge\.conflictstyle|diff\.(algorithm|renames|renamelimit|colormoved)|http\.postbuffer"
)


def check(path: Names, environment: dict[str, str]) -> Told:
    """Refused unless the directory is a repository of its own whose settings run nothing."""
    names = parts_of(path)
    with closing(root()) as top, closing(beneath.opened(top, names, beneath.DIRECTORY)) as directory:
        try:
            with closing(os.open(b".git", beneath.DIRECTORY, dir_fd=directory)):
                pass
        except OSError:
            raise Refused("There is no git repository in this directory.", "no_repository") from None
        os.fchdir(directory)
    done = subprocess.run(
        ["git", "config", "--local", "--includes", "--name-only", "--null", "--list"],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, timeout=20,
    )  # fmt: skip
    if done.returncode:
        raise Refused("The settings of this repository cannot be read.", "no_repository")
    for raw in done.stdout.split(b"\0"):
        key = raw.decode("utf-8", "replace").lower()
        if key.startswith(RUNS) and not HARMLESS.fullmatch(key):
            raise Refused(
                f"This repository's settings hold {key[:100]}, which may run programs; use process.run for it.",
                "runs_programs",
            )
    return {}


def clear(path: Names) -> Told:
    """Refused unless a repository can be put there: no link on the way, and nothing there yet."""
    names = parts_of(path)
    with closing(root()) as top, closing(beneath.opened(top, names[:-1], beneath.DIRECTORY)) as above:
        try:
            with closing(beneath.opened(above, names[-1:], beneath.DIRECTORY)) as directory:
                if beneath.entries(directory, 1):
                    raise Refused("There is something in this directory already.", "name_taken")
        except FileNotFoundError:
            pass
    return {}
