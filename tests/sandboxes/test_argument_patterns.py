"""Rules about arguments: what loosens is read narrowly, what tightens widely, whatever a call does to be read otherwise."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandboxes.tool_server.argument_patterns import covers, may_hold


@pytest.mark.parametrize(
    "call",
    [
        {"repo": "acme/x"}, {"repo": "acme/grüße"}, {"repo": ["acme/x", "acme/y"]}, {"repo": "acme/50%", "other": 1},
        {"repo": "acme/a..b"}, {"repo": "acme/x y"}, {"repo": "acme/a%20b"},
    ],
)  # fmt: skip
def test_what_is_of_the_shape_is_let_through(call: dict[str, Any]) -> None:
    assert covers("repo=acme/*", json.dumps(call))


@pytest.mark.parametrize(
    "call",
    [
        {}, {"repo": "evil/x"}, {"repo": []}, {"repo": ["acme/x", "evil/x"]}, {"inner": {"repo": "acme/x"}},
        {"repo": "acme/x", "Repo": "evil/x"}, {"repo": "acme/x", "repo ": "evil/x"}, {"REPO": "acme/x"},
        {"repo": "acme/x", "ｒｅｐｏ": "evil/x"}, {"repo": "acme/x", "re\u200bpo": "evil/x"},
        {"repo": "acme/../evil/x"}, {"repo": "acme/.."}, {"repo": "acme/\nevil"}, {"repo": "acme/..\\..\\evil"},
        {"repo": "acme/%2e%2e/evil"}, {"repo": "acme/%252e%252e/evil"}, {"repo": "acme/%25252525252e"},
        {"repo": "acme/．．/evil"}, {"repo": "acme/.\u200b./evil"}, {"repo": "acme/%0aevil"}, {"repo": "acme/%2E./evil"},
        {"repo": "acme/x%00"}, {"repo": "acme/..%2fevil"}, {"repo": "acme/..%5cevil"},
    ],
)  # fmt: skip
def test_what_could_be_read_otherwise_is_not_let_through(call: dict[str, Any]) -> None:
    assert not covers("repo=acme/*", json.dumps(call))


def test_a_whole_value_and_a_star_are_what_they_say() -> None:
    assert covers("path=../shared", json.dumps({"path": "../shared"}))
    assert covers("text=*", json.dumps({"text": "line\nline ../ %2e"}))


@pytest.mark.parametrize(
    "call",
    [
        {"path": "/etc/passwd"}, {"path": "/ETC/passwd"}, {"Path": "/etc/passwd"}, {"a": [{"path": "/etc/passwd"}]},
        {"path": "//etc/passwd"}, {"path": "/./etc/passwd"}, {"path": "/tmp/../etc/passwd"}, {"path": " /etc/passwd"},
        {"path": "file:///etc/passwd"}, {"path": "FILE://localhost/etc/passwd"}, {"path": "%2Fetc%2Fpasswd"},
        {"path": "/%65tc/passwd"}, {"path": "%252Fetc/passwd"}, {"path ": "/etc/passwd"}, {"ｐａｔｈ": "/etc/passwd"},
        {"pa\u200bth": "/etc/passwd"}, {"path": "\u200b/etc/passwd"}, {"path": "／etc／passwd"}, {"path": "\\etc\\passwd"},
        {"path": "///tmp//..///etc/./passwd"}, {"path": {"is": "/etc/passwd"}}, {"path": "\t/etc/passwd"},
    ],
)  # fmt: skip
def test_what_is_meant_is_refused_however_it_is_spelled(call: dict[str, Any]) -> None:
    assert may_hold("path=/etc/*", json.dumps(call))


@pytest.mark.parametrize(
    "call", [{"path": "/tmp/etc/passwd"}, {"paths": "/etc/passwd"}, {"path": "etc/passwd"}, {"path": "/etc/../tmp"}, {}]
)
def test_what_is_not_meant_goes_on_where_it_is_plain(call: dict[str, Any]) -> None:
    # "/etc/../tmp" begins with /etc/ as it is written: it is refused, and that is the side to err on.
    assert may_hold("path=/etc/*", json.dumps(call)) == (call.get("path") == "/etc/../tmp")
