"""From a token to the words that a program would be handed. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from agents.gate.acts import UNKNOWN, Flow, Word
from agents.gate.lexer import Lexer, Part, Token, filled

LONGEST = 65_536
_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4})|U([0-9a-fA-F]{1,8})|([0-7]{1,3})|c(.)|(.))", re.DOTALL
)
_SPLIT = re.compile(r"\s+")
_PLAIN = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "v": "\v"}
_BRACES = re.compile(r"\{([^{}\s]*,[^{}\s]*)\}")
_BRACED = re.compile(r"([A-Za-z_]\w*(?:\[[@*]\])?|[0-9@*#?$!-])(:?[-=+?])?(.*)\Z", re.DOTALL)


@dataclass(slots=True)
class Piece:
    """A part of a word: its text, whether quotes keep it whole, whether all of it is known."""

    text: str
    quoted: bool = False
    known: bool = True
    expanded: bool = False  # came out of a variable or a substitution: split into fields unless quoted
    flow: Flow | None = None


class Words:
    """Reads words, with the variables as they stand; ``inner`` reads a substitution and says what it prints."""

    def __init__(self, variables: Mapping[str, str | None], inner: Callable[[str], Flow]) -> None:
        self._variables, self._inner = variables, inner

    def of(self, token: Token) -> list[Word]:
        """The words of one token: none or several when the shell would split or unfold it."""
        if token.simple and ("{" not in token.text or "," not in token.text):
            return [Word(token.text)]  # nearly every word
        parts = token.parts
        for part in parts:
            if part.kind != "text" or (not part.quoted and "{" in part.text):
                break
        else:
            if parts:
                return [Word("".join([part.text for part in parts]))]
        return fields(self._pieces(parts), self._variables.get("IFS") or " ")

    def text(self, parts: Sequence[Part]) -> Word:
        """The parts as one word, as in an assignment or a heredoc."""
        pieces = self._pieces(parts)
        known = all(piece.known for piece in pieces)
        return Word("".join(piece.text for piece in pieces)[:LONGEST], known, sources=_sources(pieces))

    def _pieces(self, parts: Sequence[Part]) -> list[Piece]:
        pieces: list[Piece] = []
        for part in parts:
            kind, quoted = part.kind, part.quoted
            if kind == "text":
                pieces.append(Piece(part.text, quoted))
            elif kind == "ansi":
                pieces.append(Piece(ansi(part.text), True))
            elif kind == "variable":
                pieces.append(self._variable(part.text, quoted))
            elif kind == "braced":
                pieces += self._expansion(part.text, quoted)
            elif kind == "command":
                flow = self._inner(part.text)
                known = flow.text is not None
                text = (flow.text or "").rstrip("\n") if known else UNKNOWN
                pieces.append(Piece(text, quoted, known, True, flow))
            elif kind == "process":
                pieces.append(Piece("/dev/fd/63", True, flow=self._inner(part.text)))
            elif kind == "array":
                words = [word for token in Lexer(part.text).tokens() if token.kind == "word" for word in self.of(token)]
                pieces.append(Piece(" ".join(word.text for word in words), True, all(word.known for word in words)))
            else:
                self._pieces(filled(part.text))
                pieces.append(Piece(UNKNOWN, True, False))
        return pieces

    def _variable(self, name: str, quoted: bool) -> Piece:
        if name not in self._variables:
            return Piece(f"${name}", quoted=quoted, known=False)
        value = self._variables[name]
        if value is None:
            return Piece(UNKNOWN, quoted=quoted, known=False)
        # "$@" keeps each argument whole but never makes one of them all.
        return Piece(value, quoted=quoted and name != "@", expanded=True)

    def _expansion(self, text: str, quoted: bool) -> list[Piece]:
        found = _BRACED.match(text)
        if found is None:
            self._pieces(filled(text))
            return [Piece(UNKNOWN, quoted, False)]
        name, operator, rest = found[1], found[2] or "", found[3]
        value = self._variables.get(name)
        if not operator and not rest:
            return [self._variable(name.removesuffix("[@]").removesuffix("[*]"), quoted)]
        tokens = Lexer(rest).tokens() if rest else []
        other = self._pieces([part for token in tokens for part in (*token.parts, Part("text", " "))][:-1])
        if operator in (":-", "-", ":=", "="):
            return (
                [self._variable(name, quoted)]
                if value
                else other
                if name not in self._variables or value == ""
                else [Piece(UNKNOWN, quoted, False)]
            )
        if operator in (":?", "?") and value:
            return [self._variable(name, quoted)]
        if operator in (":+", "+") and value:
            return other
        return [Piece(UNKNOWN, quoted, False)]


def _sources(pieces: Sequence[Piece]) -> tuple[str, ...]:
    return tuple(source for piece in pieces if piece.flow and piece.expanded for source in piece.flow.sources)


def ansi(text: str) -> str:
    r"""What ``$'…'`` stands for: ``\x72`` is "r"."""

    def one(found: re.Match[str]) -> str:
        for digits, base in ((found[1], 16), (found[2], 16), (found[3], 16), (found[4], 8)):
            if digits:
                number = int(digits, base)
                return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else "\ufffd"
        if found[5]:
            return chr(ord(found[5]) & 0x1F)
        return _PLAIN.get(found[6], found[6])

    return _ESCAPE.sub(one, text)


def fields(pieces: list[Piece], separators: str = " ") -> list[Word]:
    """The words that these pieces make: unquoted values are split at white space, unquoted braces unfolded."""
    split = _SPLIT if separators.isspace() else re.compile(rf"[\s{re.escape(separators)}]+")
    words: list[list[Piece]] = [[]]
    for piece in pieces:
        if not piece.expanded or piece.quoted or not split.search(piece.text):
            if piece.text or piece.quoted or not piece.expanded:
                words[-1].append(piece)
            continue
        for number, part in enumerate(split.split(piece.text)):
            if number:
                words.append([])
            if part:
                words[-1].append(Piece(part, known=piece.known))
    return [word for made in words if made for word in unfold(made)]


def unfold(pieces: list[Piece]) -> list[Word]:
    """``{a,b}c`` is ``ac`` and ``bc``; only braces and commas outside quotes count."""
    if not any("{" in piece.text for piece in pieces if not piece.quoted):
        return [_word(pieces)]
    # What is quoted is taken out for the while, so that its braces and commas are not seen.
    kept = [piece.text for piece in pieces]
    marked = "".join(f"\x00{number}\x01" if piece.quoted else piece.text for number, piece in enumerate(pieces))
    known = all(piece.known for piece in pieces)
    texts = [marked]
    for _ in range(4):
        texts = [made for text in texts for made in _unfold_once(text)]
        if len(texts) > 64:
            return [Word("".join(kept)[:LONGEST], False)]
    return [
        Word(re.sub("\x00([0-9]+)\x01", lambda found: kept[int(found[1])], text)[:LONGEST], known)
        for text in texts
        if text
    ]


def _unfold_once(text: str) -> list[str]:
    found = _BRACES.search(text)
    if found is None:
        return [text]
    return ["".join(each) for each in product([text[: found.start()]], found[1].split(","), [text[found.end() :]])]


def _word(pieces: list[Piece]) -> Word:
    text = "".join(piece.text for piece in pieces)
    flow = next((piece.flow for piece in pieces if piece.flow and not piece.expanded), None)
    return Word(text, all(piece.known for piece in pieces), flow, _sources(pieces))
