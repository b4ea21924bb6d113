"""From tokens to what would run: commands, pipelines, groups, loops, functions. Pure.

It is lenient: what a shell would refuse is marked as broken, and all that can be read of it is read. Only so much
nesting is followed as a person would write.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from agents.gate.lexer import REDIRECTIONS, Lexer, Token

DEEPEST = 60
_BEGINNING = frozenset({"!", "time", "coproc"})
_ENDS_CASE = frozenset({";;", ";&", ";;&"})
_SEPARATORS = frozenset({";", "&", "\n", "&&", "||"})
_CLOSING = frozenset({"then", "elif", "else", "fi", "do", "done", "}", "esac"})


class TooMuch(Exception):
    """There is more in it than will be read."""


@dataclass(slots=True)
class Redirect:
    """One redirection; ``target`` is the word after it."""

    operator: Token
    target: Token
    number: str = ""


@dataclass(slots=True)
class Command:
    """Words and redirections."""

    words: list[Token] = field(default_factory=list)
    redirects: list[Redirect] = field(default_factory=list)


@dataclass(slots=True)
class Pipeline:
    """What hands its output on."""

    stages: list[Node]


@dataclass(slots=True)
class Group:
    """Nodes that run one after the other. ``is_certain``: all of them do, and in this shell."""

    nodes: list[Node]
    is_certain: bool = False
    redirects: list[Redirect] = field(default_factory=list)
    spawns: bool = False  # something in it goes on in the background


@dataclass(slots=True)
class Loop:
    """``while`` and ``until``: the condition as written, and everything in it."""

    condition: str
    body: Group


@dataclass(slots=True)
class For:
    """``for name in values``."""

    name: str
    values: list[Token]
    body: Group


@dataclass(slots=True)
class Function:
    """A definition, and the tokens of its body."""

    name: str
    body: Node
    tokens: list[Token]


Node = Command | Pipeline | Group | Loop | For | Function


class Grammar:
    """Reads one text; ``broken`` says whether a shell would refuse it."""

    def __init__(self, text: str) -> None:
        lexer = Lexer(text)
        self._tokens = lexer.tokens()
        self.broken = lexer.broken
        self._at = self._depth = 0

    def read(self) -> Group:
        """The whole text."""
        group = Group([], True)
        while self._at < len(self._tokens):
            part = self._list(frozenset())
            group.nodes += part.nodes
            group.spawns = group.spawns or part.spawns
            if self._at < len(self._tokens):  # a closing word or bracket that nothing opened
                self.broken = True
                self._at += 1
        return group

    def _peek(self, ahead: int = 0) -> Token | None:
        at = self._at + ahead
        return self._tokens[at] if at < len(self._tokens) else None

    def _operator(self, ahead: int = 0) -> str:
        token = self._peek(ahead)
        return token.text if token is not None and token.kind == "operator" else ""

    def _word(self, ahead: int = 0) -> str:
        token = self._peek(ahead)
        return token.text if token is not None and token.kind == "word" else ""

    def _take(self, text: str) -> None:
        """The token that must come now."""
        token = self._peek()
        if token is not None and token.text == text:
            self._at += 1
        else:
            self.broken = True

    def _lines(self) -> None:
        while self._operator() == "\n":
            self._at += 1

    def _list(self, closing: frozenset[str]) -> Group:
        """Commands up to one of the words in ``closing``, or a bracket or ``;;`` that ends them."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise TooMuch
        group = Group([])
        while (token := self._peek()) is not None:
            if token.kind == "operator":
                if token.text in _SEPARATORS:
                    group.spawns = group.spawns or token.text == "&"
                    self._at += 1
                    continue
                if token.text == ")" or token.text in _ENDS_CASE:
                    break
            elif token.kind == "word" and (token.text in closing or token.text in _CLOSING):
                break
            before = self._at
            group.nodes.append(self._pipeline())
            if self._at == before:
                self.broken = True
                self._at += 1
        self._depth -= 1
        return group

    def _pipeline(self) -> Node:
        stages = [self._stage()]
        while self._operator() in ("|", "|&"):
            self._at += 1
            self._lines()
            if self._peek() is None:
                self.broken = True
                break
            stages.append(self._stage())
        return stages[0] if len(stages) == 1 else Pipeline(stages)

    def _stage(self) -> Node:
        read: Callable[[Grammar], Node] | None
        while (word := self._word()) in _BEGINNING:
            self._at += 1
            if word == "time" and self._word() == "-p":
                self._at += 1
        if not word and self._operator() == "(":
            return self._bracket("(", ")")
        read = _COMPOUND.get(word)
        if read is not None:
            return read(self)
        if word and self._operator(1) == "(" and self._operator(2) == ")":
            self._at += 3
            return self._function("".join(part.text for part in self._tokens[self._at - 3].parts))
        return self._simple()

    def _simple(self) -> Command:
        command = Command()
        tokens, end, words = self._tokens, len(self._tokens), command.words
        while self._at < end:
            token = tokens[self._at]
            if token.kind == "word":
                words.append(token)
                self._at += 1
            elif token.kind == "number" or token.text in REDIRECTIONS:
                self._redirect(command.redirects)
            else:
                if token.text == "(":
                    self.broken = True
                break
        return command

    def _redirect(self, into: list[Redirect]) -> None:
        number = ""
        token = self._tokens[self._at]
        if token.kind == "number":
            number = token.text
            self._at += 1
            token = self._tokens[self._at]
        self._at += 1
        target = self._peek()
        if target is None or target.kind == "operator":
            self.broken = True
            return
        self._at += 1
        into.append(Redirect(token, target, number))

    def _redirected(self, group: Group) -> Group:
        while (token := self._peek()) is not None and (token.kind == "number" or self._operator() in REDIRECTIONS):
            self._redirect(group.redirects)
        return group

    def _bracket(self, opens: str, closes: str) -> Group:
        self._at += 1
        group = self._list(frozenset({closes}))
        self._take(closes)
        return self._redirected(group)

    def _braces(self) -> Group:
        return self._bracket("{", "}")

    def _if(self) -> Group:
        group = Group([])
        self._at += 1
        while True:
            group.nodes.append(self._list(frozenset()))
            if self._word() in ("then", "elif", "else"):
                self._at += 1
                continue
            self._take("fi")
            return self._redirected(group)

    def _while(self) -> Loop:
        self._at += 1
        start = self._at
        condition = self._list(frozenset())
        written = " ".join(token.text for token in self._tokens[start : self._at]).strip(" ;\n")
        self._take("do")
        body = self._list(frozenset())
        self._take("done")
        return Loop(written, self._redirected(Group([condition, body], spawns=body.spawns)))

    def _for(self) -> For | Group:
        self._at += 1
        name, values = "", list[Token]()
        if self._operator() == "(":
            sums = self._bracket("(", ")")
            self._semicolon()
            return Group([sums, self._loop_body()])
        name = self._word()
        self._at += bool(name)
        self._lines()
        if self._word() == "in":
            self._at += 1
            while (token := self._peek()) is not None and token.kind == "word":
                values.append(token)
                self._at += 1
        self._semicolon()
        return For(name, values, self._loop_body())

    def _semicolon(self) -> None:
        while self._operator() in (";", "\n"):
            self._at += 1

    def _loop_body(self) -> Group:
        if self._word() == "{":
            return self._braces()
        self._take("do")
        body = self._list(frozenset())
        self._take("done")
        return self._redirected(body)

    def _case(self) -> Group:
        self._at += 1
        group = Group([])
        subject = self._peek()
        if subject is not None and subject.kind == "word":
            group.nodes.append(Command([Token("word", ":"), subject]))
            self._at += 1
        self._lines()
        self._take("in")
        while True:
            self._semicolon()
            if self._peek() is None or self._word() == "esac":
                break
            before = self._at
            if self._operator() == "(":
                self._at += 1
            while self._peek() is not None and self._operator() not in (")", "\n", ";"):
                self._at += 1
            self._take(")")
            group.nodes.append(self._list(frozenset()))
            if self._operator() in _ENDS_CASE:
                self._at += 1
            elif self._word() != "esac" and self._at == before:
                break
            elif self._word() != "esac":
                self.broken = True
                if self._at < len(self._tokens):
                    self._at += 1
        self._take("esac")
        return self._redirected(group)

    def _defined(self) -> Function:
        self._at += 1
        token = self._peek()
        name = "".join(part.text for part in token.parts) if token is not None else ""
        self._at += 1
        if self._operator() == "(" and self._operator(1) == ")":
            self._at += 2
        return self._function(name)

    def _function(self, name: str) -> Function:
        self._lines()
        start = self._at
        self._depth += 1
        if self._depth > DEEPEST:
            raise TooMuch
        body = self._stage() if self._peek() is not None else Group([])
        self._depth -= 1
        return Function(name, body, self._tokens[start : self._at])

    def _test(self) -> Command:
        """``[[ … ]]``, in which nothing redirects."""
        command = Command()
        while (token := self._peek()) is not None:
            self._at += 1
            if token.kind == "word":
                command.words.append(token)
                if token.text == "]]":
                    return command
            elif token.text in ("\n", ";"):
                self.broken = self.broken or token.text == ";"
        self.broken = True
        return command


_COMPOUND: dict[str, Callable[[Grammar], Node]] = {
    "{": Grammar._braces,
    "if": Grammar._if,
    "while": Grammar._while,
    "until": Grammar._while,
    "for": Grammar._for,
    "select": Grammar._for,
    "case": Grammar._case,
    "function": Grammar._defined,
    "[[": Grammar._test,
}
