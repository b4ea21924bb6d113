"""Read a shell text and list the simple commands that would run, out of everything they are wrapped in. Pure.

Nothing is run: variables, pipes and small programs such as ``echo`` are followed as far as their text is known, and
the rest is called unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from agents.gate.acts import NOTHING, UNKNOWN, Act, Flow, Word
from agents.gate.grammar import Command, For, Function, Grammar, Group, Loop, Node, Pipeline, Redirect, TooMuch
from agents.gate.lexer import Token
from agents.gate.words import Words

LONGEST = 65_536
_SCRIPTS = 16  # texts within texts: sh -c "sh -c '…'"
_STEPS = 40_000
_READ = 4 * LONGEST  # of all texts together
_POSITIONAL = ("@", "*", *"123456789")
_WRITES = frozenset({">", ">>", ">|", "&>", "&>>", ">&", "<>"})
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(?:\[[^\]]*\])?(\+?)=")
_DECLARING = frozenset({"export", "declare", "typeset", "local", "readonly"})
_ENDLESS = frozenset({"true", ":", "[ 1 ]", "( ( 1 ) )", "[[ 1 ]]", "/bin/true"})
_PARTS = re.compile(r"[\n;&|(){}`]+")
_MOST_PARTS = 200
_BEFORE = frozenset({"{", "do", "then", "else", "!", "time"})


class State:
    """What is known while one command is read, whatever texts lie within it."""

    def __init__(self, run: Callable[..., Flow]) -> None:
        self.acts: list[Act] = []
        self.variables: dict[str, str | None] = {"IFS": " \t\n", "HOME": "~", **dict.fromkeys(_POSITIONAL, "")}
        self.functions: dict[str, tuple[Script, Node]] = {}
        self.calling: set[str] = set()
        self.aliases: dict[str, str] = {}
        self.files: dict[str, Flow] = {}
        self.trees: dict[str, tuple[Group, bool]] = {}  # of the texts read so far: loops and calls read one again
        self.run = run
        self.left = _STEPS
        self.unread = _READ
        self.in_parts = False

    def step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise TooMuch

    def note(self, trait: str, shown: str = "") -> None:
        """Something about the text itself."""
        self.acts.append(Act("", args=(Word(shown),) if shown else (), traits=frozenset({trait})))

    def read(self, text: str, stdin: Flow = NOTHING, depth: int = 0) -> Flow:
        """Read a text as a script."""
        self.unread -= len(text)
        if depth > _SCRIPTS or self.unread < 0:
            raise TooMuch
        if (known := self.trees.get(text)) is None:
            grammar = Grammar(text)
            known = self.trees[text] = grammar.read(), grammar.broken
        tree, is_broken = known
        if is_broken:
            self.note("unreadable")
            self._read_parts(text, depth)
        return Script(self, depth).visit(tree, stdin)

    def _read_parts(self, text: str, depth: int) -> None:
        """Of what cannot be read as a whole, read each part by itself: to some shell it may be readable."""
        if self.in_parts:
            return
        self.in_parts = True
        for part in dict.fromkeys(_PARTS.split(text)[:_MOST_PARTS]):
            if part.strip() and part != text:
                self.read(part, depth=depth + 1)
        self.in_parts = False


class Script:
    """One text that is read."""

    def __init__(self, state: State, depth: int) -> None:
        self.state, self.depth = state, depth
        self.words = Words(state.variables, self._substituted)
        self._conditional = 0

    def visit(self, node: Node, stdin: Flow) -> Flow:
        """Follow one node; returns what it prints."""
        return _VISITS[type(node)](self, node, stdin)

    def _substituted(self, text: str) -> Flow:
        return self.state.read(text, depth=self.depth + 1)

    def _group(self, group: Group, stdin: Flow) -> Flow:
        reads, is_loud = stdin, False
        writes: tuple[Word, ...] = ()
        if group.redirects:
            reads, writes, is_loud = self._redirected(group.redirects, stdin)
            self.state.run(self, [], stdin, writes=writes)
        text: str | None = ""
        sources: tuple[str, ...] = ()
        self._conditional += not group.is_certain
        for node in group.nodes:
            flow = self.visit(node, reads)
            text = None if text is None or flow.text is None else (text + flow.text)[:LONGEST]
            sources = (*sources, *flow.sources)[-16:] if flow.sources else sources
        self._conditional -= not group.is_certain
        flow = Flow(text, sources)
        return self._written(flow, writes) if is_loud else flow

    def _pipeline(self, node: Pipeline, stdin: Flow) -> Flow:
        flow = stdin
        self._conditional += 1
        for stage in node.stages:
            flow = self.visit(stage, flow)
        self._conditional -= 1
        return flow

    def _command(self, node: Command, stdin: Flow) -> Flow:
        words: list[Word] = []
        assigned: list[tuple[str, str]] = []
        writes: tuple[Word, ...] = ()
        is_loud = False
        for token in node.words:
            if not words and "=" in token.text and _ASSIGNMENT.match(token.text):
                assigned.append(self._assigned(token))
            elif token.simple and ("{" not in token.text or "," not in token.text):
                words.append(Word(token.text))
            else:
                words += self.words.of(token)
        if node.redirects:
            stdin, writes, is_loud = self._redirected(node.redirects, stdin)
        if words and words[0].text in _DECLARING:
            assigned += [self._assigned(token) for token in node.words if _ASSIGNMENT.match(token.text)]
            for name, value in assigned:
                self.assign(name, value)
        if not words and node.redirects and not writes and not assigned:
            return stdin  # $(< file)
        flow = self.state.run(self, words, stdin, writes=writes, assigned=tuple(assigned))
        return self._written(flow, writes) if is_loud else flow

    def _written(self, flow: Flow, writes: tuple[Word, ...]) -> Flow:
        self.state.files.update({word.path: flow for word in writes})
        return NOTHING

    def _redirected(self, redirects: Sequence[Redirect], stdin: Flow) -> tuple[Flow, tuple[Word, ...], bool]:
        """The standard input, the files that are written, and whether the standard output goes there."""
        writes: tuple[Word, ...] = ()
        is_loud = False
        for each in redirects:
            operator = each.operator.text
            if operator in ("<<", "<<-"):
                word = self.words.text(each.operator.body or [])
                stdin = Flow(word.text if word.known or "UNKNOWN" not in word.text else None, ("here-document",))
            elif operator == "<<<":
                word = self.words.text(each.target.parts)
                stdin = Flow(f"{word.text}\n" if word.known else None, ("here-string", *word.sources))
            else:
                words = self.words.of(each.target)
                if operator[0] == "<" and each.number in ("", "0") and words:
                    stdin = words[0].flow or self.state.files.get(words[0].path) or Flow(None, ("file",))
                if operator in _WRITES:
                    writes += tuple(word for word in words if not word.text.isdigit() and word.text != "-")
                    is_loud = is_loud or (bool(writes) and each.number != "2")
        return stdin, writes, is_loud

    def _assigned(self, token: Token) -> tuple[str, str]:
        """Name and value of an assignment."""
        found = _ASSIGNMENT.match(token.text)
        if found is None:
            return "", ""
        # The beginning of a word is in its first part as it is written: names have no quotes in them.
        first = token.parts[0]
        rest = type(first)("text", first.text[found.end() :], first.quoted)
        value = self.words.text([rest, *token.parts[1:]])
        text = value.text if value.known else UNKNOWN
        if found[2]:
            text = (self.state.variables.get(found[1]) or "") + text
        return found[1], text

    def assign(self, name: str, value: str | None) -> None:
        """Remember a variable; one that may or may not have been set anew is not known any more."""
        before = self.state.variables.get(name, value)
        if (self._conditional and before != value and name not in _POSITIONAL) or (value and UNKNOWN in value):
            value = None
        self.state.variables[name] = value[:LONGEST] if value else value

    def _function(self, node: Function, stdin: Flow) -> Flow:
        self.state.functions[node.name] = (self, node.body)
        if _multiplies(node):
            self.state.note("fork-bomb", f"{node.name}()")
        # What it does is judged where it is written, whether it is called or not, and again with its arguments.
        self.call(node.name, None)
        return NOTHING

    def call(self, name: str, args: Sequence[Word] | None, stdin: Flow = NOTHING) -> Flow:
        """Read the body of a function with these arguments; None stands for any."""
        script, body = self.state.functions[name]
        if name in self.state.calling:
            return Flow(None)
        variables, before = self.state.variables, {key: self.state.variables.get(key) for key in _POSITIONAL}
        self.state.calling.add(name)
        variables.update(positional(args))
        script._conditional += args is None
        try:
            return script.visit(body, stdin)
        finally:
            script._conditional -= args is None
            variables.update(before)
            self.state.calling.discard(name)

    def _for(self, node: For, stdin: Flow) -> Flow:
        values = [word for token in node.values for word in self.words.of(token)]
        if len(values) > 8 or not values or not all(word.known for word in values):
            values = [Word(UNKNOWN, False)]
        for value in values:
            self.state.variables[node.name] = value.text if value.known else None
            self.visit(node.body, stdin)
        self.state.variables[node.name] = None
        return Flow(None)

    def _loop(self, node: Loop, stdin: Flow) -> Flow:
        if node.condition in _ENDLESS and node.body.spawns:
            self.state.note("spawning-loop", f"while {node.condition}")
        return self._group(node.body, stdin)


_VISITS: dict[type, Callable[..., Flow]] = {
    Group: Script._group,
    Pipeline: Script._pipeline,
    Command: Script._command,
    Function: Script._function,
    For: Script._for,
    Loop: Script._loop,
}


def _multiplies(node: Function) -> bool:
    """Does the function start itself, and go on without waiting?"""
    calls = spawns = False
    before = None
    for token in node.tokens:
        if token.kind == "operator":
            spawns = spawns or token.text in ("|", "&", "|&")
        elif before is None or before.kind == "operator" or before.text in _BEFORE:
            calls = calls or "".join(part.text for part in token.parts) == node.name
        before = token
    return calls and spawns


_NONE_GIVEN: dict[str, str | None] = dict.fromkeys(_POSITIONAL, "")


def positional(args: Sequence[Word] | None) -> dict[str, str | None]:
    """The variables ``$1`` to ``$9``, ``$@`` and ``$*``."""
    if args is None:
        return dict.fromkeys(_POSITIONAL)
    if not args:
        return _NONE_GIVEN
    texts = [word.text if word.known else None for word in args[:9]]
    together = None if None in texts else " ".join(text for text in texts if text is not None)
    numbers = dict(zip("123456789", [*texts, *[""] * 9], strict=False))
    return {**numbers, "@": together, "*": together}
