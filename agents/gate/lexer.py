"""Cut a shell text into tokens: words with their quotes, operators, line ends, the bodies of heredocs. Pure.

It takes any text and time in proportion to its length: what does not end (a quote, a bracket) goes on to the end of
the text and is marked as broken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_BLANK = re.compile(r"(?:[ \t\r]|\\\n)+")
_COMMENT = re.compile(r"#[^\n]*")
_OPERATOR = re.compile(r"&>>|<<<|<<-|;;&|&>|&&|\|\||\|&|;;|;&|>>|>\||>&|<&|<<|<>|[;|&<>()\n]")
_PLAIN = re.compile(r"[^ \t\r\n\\'\"$`;|&<>()]+")
# Nearly all there is: white space, then a word without anything to look at up to its end, or what keeps words apart.
_QUICK = re.compile(
    r"[ \t\r]*(?:"
    r"(?:([^ \t\r\n\\'\"$`;|&<>()#][^ \t\r\n\\'\"$`;|&<>()]*)|'([^']*)'|\"([^\\\"$`]*)\")(?=[ \t\n;|&]|\Z)"
    r"|(&&|\|\||[;|](?![;|&])|\n|>>?(?![>&|(])))"
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-]")
_NUMBER = re.compile(r"[0-9]+(?=[<>])")
_IN_STRING = re.compile(r"[^\\\"$`]+")
_IN_HEREDOC = re.compile(r"[^\\$`]+")
_ANSI = re.compile(r"(?:[^'\\]|\\.)*", re.DOTALL)
DEEPEST = 40
REDIRECTIONS = frozenset({"<", ">", ">>", ">|", ">&", "<&", "<>", "&>", "&>>", "<<<", "<<", "<<-"})


@dataclass(slots=True)
class Part:
    """A stretch of a word. ``kind``: text, variable, braced, command, process, arithmetic."""

    kind: str
    text: str
    quoted: bool = False


class Token:
    """One token. ``kind``: word, operator, number (before a redirection); ``text`` is how it is written, with its quotes.

    ``body`` is of a heredoc, once it has been read; ``raw`` says that its delimiter was quoted, so that nothing in it is
    filled in. ``simple``: nothing in the word is quoted or filled in."""

    __slots__ = ("_parts", "body", "kind", "raw", "simple", "text")

    def __init__(self, kind: str, text: str, parts: list[Part] | None = None, simple: bool = False) -> None:
        self.kind, self.text, self._parts, self.simple = kind, text, parts, simple
        self.body: list[Part] | None = None
        self.raw = False

    @property
    def parts(self) -> list[Part]:
        """The stretches of a word."""
        if self._parts is None:
            self._parts = [Part("text", self.text)] if self.simple else []
        return self._parts


class Lexer:
    """Reads one text; ``broken`` says whether something in it has no end."""

    def __init__(self, text: str) -> None:
        self.text, self.at, self.broken = text, 0, False

    def tokens(self) -> list[Token]:
        """All tokens, in their order."""
        found: list[Token] = []
        waiting: list[tuple[Token, Token]] = []  # heredoc operators and their delimiters, until the line ends
        text, end = self.text, len(self.text)
        quick, add, has_documents = _QUICK.match, found.append, "<<" in text
        while self.at < end:
            sure = quick(text, self.at)
            if sure:
                self.at = sure.end()
                kind = sure.lastindex
                if kind == 4:
                    add(Token("operator", sure[4]))
                    if waiting and sure[4] == "\n":
                        for each, delimiter in waiting:
                            self._heredoc(each, delimiter)
                        waiting = []
                    continue
                if kind == 1:
                    word = Token("word", sure[1], simple=True)
                else:
                    text_in = sure[kind or 0]
                    word = Token("word", text[sure.start(kind or 0) - 1 : self.at], [Part("text", text_in, True)])
                if has_documents and found and found[-1].text in ("<<", "<<-") and found[-1].kind == "operator":
                    waiting.append((found[-1], word))
                add(word)
                continue
            char = text[self.at]
            if char in " \t\r\\" and (blank := _BLANK.match(text, self.at)):
                self.at = blank.end()
                continue
            if char == "#":
                self.at = _COMMENT.match(text, self.at).end()  # type: ignore[union-attr]
                continue
            if char in "<>" and text.startswith("(", self.at + 1):
                found.append(self._word())
                continue
            if char in "&|;<>()" and (mark := _OPERATOR.match(text, self.at)):
                self.at = mark.end()
                found.append(Token("operator", mark[0]))
                continue
            if char.isdigit() and (number := _NUMBER.match(text, self.at)):
                self.at = number.end()
                found.append(Token("number", number[0]))
                continue
            before = self.at
            word = self._word()
            if self.at == before:  # no text may hold the reader up
                self.at += 1
                self.broken = True
            if found and found[-1].text in ("<<", "<<-") and found[-1].kind == "operator":
                waiting.append((found[-1], word))
            found.append(word)
        for each, delimiter in waiting:  # its body never came
            self.broken = True
            self._heredoc(each, delimiter)
        return found

    def _heredoc(self, operator: Token, delimiter: Token) -> None:
        mark = "".join(part.text for part in delimiter.parts)
        operator.raw = any(part.quoted for part in delimiter.parts)
        lines: list[str] = []
        dashed = operator.text == "<<-"
        text, end = self.text, len(self.text)
        ended = False
        while self.at < end:
            stop = text.find("\n", self.at)
            stop = end if stop < 0 else stop
            line = text[self.at : stop]
            self.at = min(stop + 1, end)
            line = line.lstrip("\t") if dashed else line
            if line == mark:
                ended = True
                break
            lines.append(line)
        if not ended:
            self.broken = True
        body = "".join(f"{line}\n" for line in lines)
        operator.body = [Part("text", body, True)] if operator.raw else filled(body, self)

    def _word(self) -> Token:
        start, parts = self.at, list[Part]()
        text, end = self.text, len(self.text)
        while self.at < end:
            plain = _PLAIN.match(text, self.at)
            if plain:
                parts.append(Part("text", plain[0]))
                self.at = plain.end()
                continue
            char = text[self.at]
            if char == "\\":
                if text.startswith("\n", self.at + 1):
                    self.at += 2
                    continue
                parts.append(Part("text", text[self.at + 1 : self.at + 2], True))
                self.at += 2
            elif char == "'":
                stop = text.find("'", self.at + 1)
                self.broken = self.broken or stop < 0
                stop = end if stop < 0 else stop
                parts.append(Part("text", text[self.at + 1 : stop], True))
                self.at = stop + 1
            elif char == '"':
                self.at += 1
                self._string(parts)
            elif char in "$`":
                self._dollar(parts, False)
            elif char in "<>" and text.startswith("(", self.at + 1) and not parts:
                self.at += 2
                parts.append(Part("process", self._enclosed(), True))
            elif (
                char == "("
                and parts
                and parts[-1].kind == "text"
                and parts[-1].text.endswith(("=", "?", "*", "+", "@", "!"))
            ):
                # An array, or a pattern: its words are read as a text of their own.
                self.at += 1
                parts.append(Part("array", self._enclosed()))
            else:
                break
        self.at = min(self.at, end)
        return Token("word", text[start : self.at], parts)

    def _string(self, parts: list[Part]) -> None:
        text, end = self.text, len(self.text)
        parts.append(Part("text", "", True))
        while self.at < end:
            plain = _IN_STRING.match(text, self.at)
            if plain:
                parts.append(Part("text", plain[0], True))
                self.at = plain.end()
                continue
            char = text[self.at]
            if char == '"':
                self.at += 1
                return
            if char == "\\":
                follows = text[self.at + 1 : self.at + 2]
                self.at += 2
                if follows != "\n":
                    parts.append(Part("text", follows if follows and follows in '$`"\\' else "\\" + follows, True))
            else:
                self._dollar(parts, True)
        self.broken = True

    def _dollar(self, parts: list[Part], quoted: bool) -> None:
        """What begins with ``$`` or a backtick."""
        text = self.text
        if text[self.at] == "`":
            self.at += 1
            start = self.at
            while True:
                stop = text.find("`", self.at)
                if stop < 0:
                    self.broken = True
                    stop = len(text)
                if stop == len(text) or not _is_escaped(text, stop, start):
                    break
                self.at = stop + 1
            parts.append(Part("command", re.sub(r"\\([\\`$])", r"\1", text[start:stop]), quoted))
            self.at = stop + 1
            return
        follows = text[self.at + 1 : self.at + 2]
        if follows == "(":
            is_sum = text.startswith("(", self.at + 2)
            self.at += 2
            inner = self._enclosed()
            if is_sum and inner.endswith(")"):
                parts.append(Part("arithmetic", inner[1:-1], quoted))
                # bash tries commands when it is no sum; both are looked at.
            else:
                parts.append(Part("command", inner, quoted))
        elif follows == "{":
            self.at += 2
            parts.append(Part("braced", self._enclosed("{", "}"), quoted))
        elif follows == "'" and not quoted:
            found = _ANSI.match(text, self.at + 2)
            stop = found.end() if found else len(text)
            self.broken = self.broken or stop >= len(text)
            parts.append(Part("ansi", text[self.at + 2 : stop], True))
            self.at = stop + 1
        elif follows == '"' and not quoted:
            self.at += 2
            self._string(parts)
        elif follows == "[" and not quoted:
            self.at += 2
            parts.append(Part("arithmetic", self._enclosed("[", "]"), quoted))
        else:
            name = _NAME.match(text, self.at + 1)
            if name:
                parts.append(Part("variable", name[0], quoted))
                self.at = name.end()
            else:
                parts.append(Part("text", "$", quoted))
                self.at += 1

    def _enclosed(self, opens: str = "(", closes: str = ")") -> str:
        """The text up to the bracket that closes the one just read; quotes, comments and heredocs hide brackets."""
        text, start, end, level = self.text, self.at, len(self.text), 1
        at = start
        stops = _STOPS[opens]
        while True:
            found = stops.search(text, at)
            if found is None:
                self.broken = True
                self.at = end
                return text[start:]
            mark, at = found[0], found.end()
            if mark == opens:
                level += 1
            elif mark == closes:
                level -= 1
                if not level:
                    self.at = at
                    return text[start : at - 1]
            elif mark == "'":
                # In "${a:-'}" a quote is a quote to some shells only; a lone one hides nothing for long.
                stop = text.find("'", at)
                at = end if stop < 0 else stop + 1
            elif mark == '"':
                at = _string_end(text, at)


_STOPS = {
    opens: re.compile(
        rf"\\.|'|\"|{re.escape(opens)}|{re.escape(closes)}" + (r"|(?<![^\s;&|(])#[^\n]*" if opens == "(" else ""),
        re.DOTALL,
    )
    for opens, closes in ("()", "{}", "[]")
}
_STRING_STOPS = re.compile(r"\\.|\"|\$\(", re.DOTALL)


def _string_end(text: str, at: int) -> int:
    """Where the double-quoted string that began before ``at`` ends; substitutions in it may have quotes of their own."""
    inner = 0  # open $( within this string
    while True:
        found = (_STRING_STOPS if not inner else _SUBSTITUTED).search(text, at)
        if found is None:
            return len(text)
        mark, at = found[0], found.end()
        if mark == "$(" or mark == "(":
            inner += 1
        elif mark == ")":
            inner -= 1
        elif mark == "'" and inner:
            stop = text.find("'", at)
            at = len(text) if stop < 0 else stop + 1
        elif mark == '"':
            if not inner:
                return at
            # A string within a substitution within a string.
            found = _SIMPLE_STRING.match(text, at)
            at = found.end() if found else len(text)


_SUBSTITUTED = re.compile(r"\\.|\"|'|\(|\)", re.DOTALL)
_SIMPLE_STRING = re.compile(r"(?:[^\"\\]|\\.)*\"?", re.DOTALL)


def _is_escaped(text: str, at: int, start: int) -> bool:
    count = 0
    while at - count - 1 >= start and text[at - count - 1] == "\\":
        count += 1
    return count % 2 == 1


def filled(body: str, outer: Lexer | None = None) -> list[Part]:
    """The parts of a heredoc's body, in which variables and substitutions are filled in."""
    lexer, parts = Lexer(body), list[Part]()
    while lexer.at < len(body):
        plain = _IN_HEREDOC.match(body, lexer.at)
        if plain:
            parts.append(Part("text", plain[0], True))
            lexer.at = plain.end()
        elif body[lexer.at] == "\\":
            follows = body[lexer.at + 1 : lexer.at + 2]
            lexer.at += 2
            if follows != "\n":
                parts.append(Part("text", follows if follows and follows in "$`\\" else "\\" + follows, True))
        else:
            lexer._dollar(parts, True)
    if outer is not None and lexer.broken:
        outer.broken = True
    return parts
