"""Patterns of rules: what they cover, and what they can never be talked into."""

from __future__ import annotations

import time

import pytest

from agents.errors import Invalid
from agents.wildcards import fits
from sandboxes.tool_server import patterns


@pytest.mark.parametrize(
    ("written", "path", "covered"),
    [
        ("secrets", "secrets", True),
        ("secrets", "secrets/a/b", True),
        ("secrets", "notes/secrets/key", True),
        ("secrets", "secretsx", False),
        ("/workspace/secrets", "notes/secrets", False),
        ("/workspace/secrets", "secrets/a", True),
        ("notes/*.md", "notes/a.md", True),
        ("notes/*.md", "notes/sub/a.md", False),
        ("notes/**/*.md", "notes/sub/deep/a.md", True),
        ("notes/**/*.md", "notes/a.md", True),
        ("notes/**", "notes", True),
        ("*.key", "deep/down/my.key", True),
        ("*.key", "my.key.pub", False),
        ("a", "", False),
    ],
)
def test_a_path_is_covered_with_all_below_it(written: str, path: str, covered: bool) -> None:
    assert patterns.covers_path(patterns.path_pattern(written), path) is covered


@pytest.mark.parametrize(
    ("written", "tree", "may"),
    [
        ("notes/private", "", True),
        ("notes/private", "notes", True),
        ("notes/private", "other", False),
        ("/workspace/secrets", "notes", False),
        ("secrets", "notes", True),
        ("a/**/z", "a/b/c", True),
        ("a/b", "a/b/c", False),
    ],
)
def test_a_tree_may_hold_what_is_covered(written: str, tree: str, may: bool) -> None:
    assert patterns.may_cover_below(patterns.path_pattern(written), tree) is may


@pytest.mark.parametrize("written", ["", "**", "/", "/etc/passwd", "../x", "a\x00", "x" * 400])
def test_a_pattern_that_names_nothing_or_elsewhere_is_refused(written: str) -> None:
    with pytest.raises(Invalid):
        patterns.path_pattern(written)


@pytest.mark.parametrize("written", ["a", "/workspace/a", "a/b", "**/a", "a/**", "100%.md", "x%FF"])
def test_a_pattern_read_again_stays_what_it_is(written: str) -> None:
    once = patterns.path_pattern(written)

    assert patterns.path_pattern(once) == once


def test_a_command_is_held_whole() -> None:
    assert patterns.covers_command("git status *", "git status --short")
    assert not patterns.covers_command("git status *", "sudo git status x")
    assert not patterns.covers_command("git status", "git status; rm -rf /")
    assert patterns.covers_command("*rm*-rf*", "a; rm -rf /")


def test_no_pattern_makes_it_slow() -> None:
    began = time.process_time()
    fits("*a" * 150 + "b", "a" * 32_000)
    patterns.covers_path("/".join(["**", "a*a*a*a"] * 40), "/".join(["a" * 40] * 90))

    assert time.process_time() - began < 20
