"""bubblewrap's words and the sentence and fix a person gets for them."""

from __future__ import annotations

import pytest

from sandboxes.local import diagnosis


@pytest.mark.parametrize(
    ("words", "reason", "in_fix"),
    [
        ("bwrap: setting up uid map: Permission denied", "apparmor", "bwrap-userns-restrict"),
        ("bwrap: loopback: Failed RTM_NEWADDR: Operation not permitted", "apparmor", "apparmor"),
        ("bwrap: No permissions to create new namespace, likely because...", "userns_off", "unprivileged_userns"),
        ("bwrap: Creating new namespace failed: Operation not permitted", "userns_off", "container"),
        ("bwrap: Creating new namespace failed: No space left on device", "userns_limit", "max_user_namespaces"),
        ("bwrap: Failed to make / slave: Permission denied", "nested", "virtual machine"),
        ("bwrap: Can't mount proc on /newroot/proc: Operation not permitted", "nested", "container"),
        ("bwrap: Can't find source path /home/ann/x: Permission denied", "sandbox_source_unreachable", "chmod"),
        ("bwrap: Can't find source path /srv/x: No such file or directory", "sandbox_source_missing", "up"),
        ("bwrap: execvp /usr/bin/python3: No such file or directory", "python_missing", "apt-get install python3"),
        ("ModuleNotFoundError: No module named '_ctypes'", "python_incomplete", "libpython3-stdlib"),
        ("WallMissing: ptrace is possible", "wall_missing", "doctor"),
        ("OSError: [Errno 98] Address already in use", "sandbox_spec", "port"),
        ("bwrap: something new", "sandbox_start_failed", "doctor"),
        ("", "sandbox_start_failed", "doctor"),
    ],
)
def test_words_become_a_reason_and_a_fix(words: str, reason: str, in_fix: str) -> None:
    problem = diagnosis.explain(words)

    assert problem.reason == reason
    assert in_fix in problem.action
    assert "Traceback" not in problem.message


def test_the_path_in_the_way_is_named() -> None:
    problem = diagnosis.explain("bwrap: Can't find source path /home/ann/secret: Permission denied")

    assert "/home/ann/secret" in problem.message
