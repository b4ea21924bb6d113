"""A document is held against the documented schema: whatever OpenShell would refuse is refused here, in a sentence."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from sandboxes.openshell.schema import problems

GOOD: dict[str, Any] = {
    "version": 1,
    "filesystem_policy": {"include_workdir": True, "read_only": ["/usr"], "read_write": ["/tmp"]},
    "landlock": {"compatibility": "best_effort"},
    "process": {"run_as_user": "sandbox", "run_as_group": "1500"},
    "network_policies": {
        "one": {
            "name": "One",
            "endpoints": [
                {"host": "api.example.org", "port": 443, "enforcement": "enforce"},
                {"host": "*.example.org", "ports": [80, 443], "enforcement": "enforce"},
                {"host": "**.example.org", "port": 443, "enforcement": "enforce"},
            ],
            "binaries": [{"path": "/usr/bin/git"}, {"path": "/opt/**"}],
        }
    },
}
ENTRY = ("network_policies", "one")
FIRST = (*ENTRY, "endpoints", 0)


def changed(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    made = copy.deepcopy(GOOD)
    place: Any = made
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return made


def test_a_good_document_has_no_problems() -> None:
    assert problems(GOOD) == []
    assert problems({"version": 1}) == []


@pytest.mark.parametrize("value", [None, [], "version: 1", 1])
def test_what_is_no_mapping_is_no_document(value: Any) -> None:
    assert problems(value) == ["The document is no mapping."]


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("version",), None, "has no version"),
        (("version",), 2, "version must be 1"),
        (("version",), True, "version must be 1"),
        (("inference",), {}, "'inference' is not a field"),
        (("network_middlewares",), {}, "is not a field Logos writes"),
        (("filesystem_policy",), [], "no mapping"),
        (("filesystem_policy", "writable"), [], "is not a field"),
        (("filesystem_policy", "include_workdir"), "yes", "yes or no"),
        (("filesystem_policy", "read_only"), "/usr", "list of paths"),
        (("filesystem_policy", "read_only"), ["usr"], "no absolute path"),
        (("filesystem_policy", "read_only"), ["/usr/../etc"], "no absolute path"),
        (("filesystem_policy", "read_only"), ["/" + "x" * 4096], "no absolute path"),
        (("filesystem_policy", "read_write"), ["/"], "nobody may write everything"),
        (("filesystem_policy", "read_write"), ["//"], "nobody may write everything"),
        (("filesystem_policy", "read_only"), [f"/{number}" for number in range(256)], "257 paths"),
        (("landlock",), {}, "compatibility"),
        (("landlock", "compatibility"), "off", "compatibility"),
        (("process", "run_as_user"), "root", "“sandbox” or a number"),
        (("process", "run_as_user"), "0", "“sandbox” or a number"),
        (("process", "run_as_user"), str(2**32 - 1), "“sandbox” or a number"),
        (("process", "run_as_user"), 1500, "“sandbox” or a number"),
        (("network_policies",), [], "no mapping"),
        (("network_policies", "_provider_x"), {}, "cannot be the key"),
        (ENTRY, [], "no mapping"),
        ((*ENTRY, "deny"), [], "is not a field"),
        ((*ENTRY, "name"), 3, "name is a text"),
        ((*ENTRY, "endpoints"), [], "endpoints is a list"),
        ((*ENTRY, "endpoints"), None, "has no endpoints"),
        ((*ENTRY, "binaries"), [], "binaries is a list with something in it"),
        ((*ENTRY, "binaries"), [{"path": "git"}], "absolute path"),
        ((*ENTRY, "binaries"), [{"path": "/x", "harness": True}], "nothing else"),
        ((*ENTRY, "binaries"), ["/x"], "absolute path"),
        (FIRST, "api.example.org:443", "no mapping"),
        ((*FIRST, "enforcement"), None, "enforcement must be written"),
        ((*FIRST, "enforcement"), "audit", "be enforce"),
        ((*FIRST, "tls"), "skip", "is not a field"),
        ((*FIRST, "port"), None, "either port or ports"),
        ((*FIRST, "ports"), [443], "either port or ports"),
        ((*FIRST, "port"), 0, "from 1 to 65535"),
        ((*FIRST, "port"), True, "from 1 to 65535"),
        ((*FIRST, "port"), "443", "from 1 to 65535"),
        ((*ENTRY, "endpoints", 1, "ports"), [], "from 1 to 65535"),
        ((*ENTRY, "endpoints", 1, "ports"), [80, 80], "each once"),
        ((*FIRST, "host"), "*", "three labels"),
        ((*FIRST, "host"), "**", "three labels"),
        ((*FIRST, "host"), "*.org", "three labels"),
        ((*FIRST, "host"), "a.*.example.org", "no name of a host"),
        ((*FIRST, "host"), "*x.example.org", "no name of a host"),
        ((*FIRST, "host"), "10.0.0.1", "no name of a host"),
        ((*FIRST, "host"), "", "no name of a host"),
        ((*FIRST, "host"), "a" * 300, "a host is a name"),
        ((*FIRST, "host"), 7, "a host is a name"),
    ],
)
def test_each_rule_of_the_schema_is_kept(path: tuple[Any, ...], value: Any, said: str) -> None:
    found = problems(changed(path, value))

    assert any(said in sentence for sentence in found), found
