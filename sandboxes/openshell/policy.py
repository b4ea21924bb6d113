"""From the rules of an agent to OpenShell's policy document, and a sentence for all that it cannot say. Pure.

The document never allows a host, port or program that the rules do not. What it cannot say is "left out" of it and
told; so is where OpenShell "differs" whatever is written, and what has its place "elsewhere".

How the two differ: ``*.`` of a rule is every level below, which OpenShell writes ``**.``; ``/*`` of a directory is
``/**``; any program is ``/**``, because an empty list has two readings there. Hosts cannot be denied at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

from agents.errors import Invalid
from agents.reach import Rule
from sandboxes.openshell.boxes import Box, Denial, Denials, joined
from sandboxes.openshell.schema import MOST_BYTES

VERSION = 1
# Patterns of paths: a directory whose own name holds one of these cannot be meant literally.
_PATTERN_CHARACTERS = frozenset("*?[]{}\\!")
# The characters that each of these takes at least in the file, besides its own.
_ENDPOINT_CHARS, _PORT_CHARS, _BINARY_CHARS = 50, 10, 12
_NAMED = 3

Kind = Literal["left out", "differs", "elsewhere"]


@dataclass(frozen=True, slots=True)
class Walls:
    """What of a document holds from the start of a sandbox to its end: paths, user, and what if Landlock is missing."""

    read_only: tuple[str, ...] = ()
    read_write: tuple[str, ...] = ()
    user: str = "sandbox"
    # A sandbox that cannot be closed is not started.
    compatibility: str = "hard_requirement"


@dataclass(frozen=True, slots=True)
class Note:
    """Something the document does not say: in a sentence, with a way forward. ``boxes`` is what is let through by
    the rules and not by the document."""

    kind: Kind
    sentence: str
    action: str = ""
    rule: str = ""
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True, slots=True)
class Compiled:
    """A document, and what it does not say."""

    document: dict[str, Any]
    notes: tuple[Note, ...] = field(default=())

    @property
    def is_whole(self) -> bool:
        """Does it let through all that the rules let through, as far as a document can?"""
        return not any(note.kind == "left out" for note in self.notes)

    def as_yaml(self, title: str = "") -> str:
        """The document as a file, its notes as comments above it. Invalid when OpenShell would find it too large."""
        lines = [f"{title} OpenShell policy, written by Logos.".strip()]
        lines += [f"{note.kind}: {note.sentence} {note.action}".strip() for note in self.notes]
        head = "".join(f"# {_one_line(line)}\n" for line in lines)
        body = yaml.dump(self.document, Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=4096)
        text = f"{head}\n{body}"
        if len(text.encode()) > MOST_BYTES:
            raise _too_large()
        return text


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]  # of the C library where there is one
    """Never an anchor or an alias: everything is said where it stands."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def compiled(
    rules: Iterable[Rule], walls: Walls, limits: Mapping[str, str] | None = None, closed: str = ""
) -> Compiled:
    """The document of these rules. ``limits`` are those of the sandbox, by their words, for the notes; ``closed`` is
    why nothing is let through whatever the rules say. Invalid when it would be too large."""
    rules = tuple(rules)
    notes: list[Note] = []
    entries: dict[str, Any] = {}
    if closed:
        notes.append(Note("left out", closed, "Mend that policy first."))
    else:
        denials, least = Denials(rule for rule in rules if not rule.allows), 0
        for rule in rules:
            if rule.allows:
                boxes, told = _said(rule, denials)
                notes += told
                # Asked before it is built: a policy can name a million combinations.
                if (least := least + sum(map(_least_chars, boxes))) > MOST_BYTES:
                    raise _too_large()
                for box in boxes:
                    entries[_key(rule.name, entries)] = _entry(rule, box)
    notes += [*_always(rules, bool(entries)), *_elsewhere(limits or {})]
    return Compiled({"version": VERSION, "network_policies": entries, **_static(walls)}, tuple(notes))


def _static(walls: Walls) -> dict[str, Any]:
    return {
        "filesystem_policy": {
            "include_workdir": False,
            "read_only": list(walls.read_only),
            "read_write": list(walls.read_write),
        },
        "landlock": {"compatibility": walls.compatibility},
        "process": {"run_as_user": walls.user, "run_as_group": walls.user},
    }


def _said(rule: Rule, denials: Denials) -> tuple[list[Box], list[Note]]:
    """What of a rule that allows can be said, and a note for each reason why something cannot."""
    if not rule.ports:
        return [], [
            Note(
                "left out",
                f"Where {rule.name[1:]} leads is a secret, so it is not shown here.",
                "The sandbox itself is told.",
                rule.label,
            )
        ]
    whole, notes = _sayable(rule, Box.of(rule))
    left, lost = denials.cut_out_of(whole) if whole else ([], [])
    by_denial: dict[str, list[Box]] = {}
    names = {denial.rule.label if denial else "": denial for _, denial in lost}
    for box, denial in lost:
        by_denial.setdefault(denial.rule.label if denial else "", []).append(box)
    notes += [_lost(rule, names[label], joined(boxes)) for label, boxes in by_denial.items()]
    return joined(left), notes


def _sayable(rule: Rule, box: Box) -> tuple[Box, list[Note]]:
    """``box`` without hosts and programs that have no name in OpenShell."""
    notes = []
    short = tuple(host for host in box.hosts if host.startswith("*.") and host.count(".") < 2)
    odd = tuple(
        path for path in box.binaries if path.endswith("/*") and _PATTERN_CHARACTERS & set(path.removesuffix("/*"))
    )
    if short:
        notes.append(
            Note(
                "left out",
                f"{_listed(short)}: a wildcard has three labels at least in OpenShell.",
                "Name the hosts you mean.",
                rule.label,
                (Box(short, box.ports, box.binaries),),
            )
        )
    if odd:
        notes.append(
            Note(
                "left out",
                f"{_listed(odd)}: OpenShell reads a part of this path as a pattern.",
                "Name the programs in it.",
                rule.label,
                (Box(box.hosts, box.ports, odd),),
            )
        )
    hosts = tuple(host for host in box.hosts if host not in short)
    return Box(hosts, box.ports, tuple(path for path in box.binaries if path not in odd)), notes


def _lost(rule: Rule, denial: Denial | None, boxes: list[Box]) -> Note:
    hosts = tuple(dict.fromkeys(host for box in boxes for host in box.hosts))
    ports = sorted({port for box in boxes for port in box.ports})
    what = f"{_listed(hosts)} on port {_listed(ports)}"
    if denial is None:
        return Note(
            "left out",
            f"{what} is left out: more denials cut into it than can be taken out of one document.",
            "Name the hosts you need instead of denying others.",
            rule.label,
            tuple(boxes),
        )
    is_host = any(host.startswith("*.") for host in hosts)
    return Note(
        "left out",
        f"{what} is left out: {denial.rule.name} denies a part of it, and OpenShell denies no hosts.",
        "Name the hosts you need instead of the wildcard." if is_host else "Name the programs that may.",
        rule.label,
        tuple(boxes),
    )


def _least_chars(box: Box) -> int:
    each = _ENDPOINT_CHARS + (_PORT_CHARS * len(box.ports) if len(box.ports) > 1 else 0)
    return sum(map(len, box.hosts)) + each * len(box.hosts) + sum(_BINARY_CHARS + len(path) for path in box.binaries)


def _entry(rule: Rule, box: Box) -> dict[str, Any]:
    return {
        "name": rule.label,
        "endpoints": [_endpoint(host, box.ports) for host in box.hosts],
        "binaries": [{"path": f"{path[:-1]}**" if path.endswith("/*") else path} for path in box.binaries],
    }


def _endpoint(host: str, ports: tuple[int, ...]) -> dict[str, Any]:
    where: dict[str, Any] = {"port": ports[0]} if len(ports) == 1 else {"ports": list(ports)}
    return {"host": f"*{host}" if host.startswith("*.") else host, **where, "enforcement": "enforce"}


def _key(name: str, taken: Mapping[str, Any]) -> str:
    """A key for a rule's name: letters and digits, and no other rule's."""
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:60] or "rule"
    key, number = plain, 1
    while key in taken:
        number += 1
        key = f"{plain}_{number}"
    return key


def _always(rules: tuple[Rule, ...], has_entries: bool) -> Iterator[Note]:
    if not has_entries:
        return
    yield Note(
        "differs",
        "A name may lead to a private address in OpenShell; Logos refuses that whatever the rules say.",
        "Allow only names whose owner you trust.",
    )
    allowing = [rule for rule in rules if rule.allows]
    if any(rule.binaries for rule in allowing):
        yield Note(
            "differs",
            "OpenShell counts what an allowed program starts as that program; Logos looks at the one that asks.",
            "Name no program that starts others, such as a shell.",
        )
    if any(not rule.binaries for rule in allowing):
        yield Note("differs", "A program that cannot be told is refused by OpenShell, also where a rule names none.")


def _elsewhere(limits: Mapping[str, str]) -> Iterator[Note]:
    if limits:
        told = ", ".join(f"{name.lower()} {value}" for name, value in limits.items())
        yield Note(
            "elsewhere",
            f"Limits are no part of a policy: {told}.",
            "Memory and processor time are said when the sandbox is made; OpenShell's compute driver bounds the others.",
        )


def _listed(values: Iterable[Any]) -> str:
    texts = [str(value) for value in values]
    more = len(texts) - _NAMED
    return ", ".join(texts[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _one_line(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text)


def _too_large() -> Invalid:
    return Invalid(
        "These rules make a document of more than 4 MiB, which OpenShell does not take.",
        reason="too_large",
        field="rules",
        action="Put hosts together with wildcards, or take some out.",
    )
