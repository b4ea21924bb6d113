"""One way to write each command: quotes, spaces and the order of switches do not matter. Pure.

Approvals and the rules kept from them are bound to this form, so two commands may only share it when they do the
same: where that is not certain, the text stays as it was written.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from agents.gate import programs

# With any of these the meaning of spaces and quotes hangs on where they stand, so nothing is touched.
_LEFT_ALONE = re.compile(
    r"<<|[()]|;\s*[;&]|\[\[|\$\{|`|#|\\|!|\b(?:case|function|select)\b|[^\x09\x0a\x20-\x7e\xa1-\uffff]"
)
_TOKEN = re.compile(
    r"(?P<space>[ \t]+)|(?P<line>\n[ \t\n]*)|(?P<redirection>[0-9]*(?:&>>|&>|>>|>\||>&|<&|<>|<|>))"
    r"|(?P<operator>&&|\|\||\|&|[;|&])"
    r"|(?P<word>(?:'[^']*'|\"[^\"]*\"|\$'[^']*'|[^\s;|&<>'\"])+)"
)
_PART = re.compile(r"'([^']*)'|\"([^\"]*)\"|\$'([^']*)'|([^'\"$]+)|(\$)")
# Read by the shell outside quotes as more than themselves.
_MEANT = re.compile(r"[*?\[\]{}~=^]")
_SAFE = re.compile(r"[A-Za-z0-9_@%+:,./-]+\Z")
_RESERVED = frozenset(
    [
        "if",
        "then",
        "else",
        "elif",
        "fi",
        "esac",
        "for",
        "while",
        "until",
        "do",
        "done",
        "in",
        "time",
        "coproc",
        "{",
        "}",
    ]
)


def normalised(text: str) -> str:
    """The one way to write ``text``; what cannot be rewritten with certainty is left as it is."""
    if len(text) > 65_536 or _LEFT_ALONE.search(text):
        return text
    known: dict[tuple[str, ...], str | None] = {}
    made: list[str] = []
    words: list[str] = []  # of the simple command that is being read, with the spaces between them
    end = 0
    for space, line, redirection, operator, word in _TOKEN.findall(text):
        if word:
            end += len(word)
            words.append(word)
        elif space:
            end += len(space)
            words.append(" ")
        elif redirection:
            end += len(redirection)
            words.append(redirection + _MARK)
        else:
            end += len(line or operator)
            made += (_command(words, known), "\n" if line else f" {operator} ")
            words = []
    made.append(_command(words, known))
    if end != len(text) or None in known.values():
        return text  # a quote that does not end, or a command that comes out otherwise when it is read again
    return "".join(made).strip(" \n")


_MARK = "\0"  # behind a redirection


def _command(words: Sequence[str], known: dict[tuple[str, ...], str | None]) -> str:
    """The simple command, written anew; noted as None in ``known`` when that is not its last form."""
    key = _bare(words)
    if key not in known:
        made = known[key] = _written(key)
        if made != "".join(key).replace(_MARK, "") and made != " ".join(key):
            again = _bare([redirection + _MARK if redirection else " " if space else word
                           for space, _, redirection, _, word in _TOKEN.findall(made)])  # fmt: skip
            if again != key and _written(again) != made:
                known[key] = None
    return known[key] or ""


def _bare(words: Sequence[str]) -> tuple[str, ...]:
    """Without the spaces that say nothing: a number before a redirection belongs to it only when there is none."""
    if any(word[-1] == _MARK for word in words):
        return tuple(words)
    return tuple([word for word in words if word != " "])


def _written(words: Sequence[str]) -> str:
    if any(word[-1] == _MARK for word in words):
        return "".join(
            [word[:-1] if word[-1] == _MARK else word if word == " " else _word(word) for word in words]
        ).strip(" ")
    return " ".join(_switched(words))


def _word(raw: str) -> str:
    text = _literal(raw)
    return raw if text is None or text is raw else shlex.quote(text)


def _literal(raw: str) -> str | None:
    """The text of a word in which the shell has nothing to fill in; None for others."""
    if _SAFE.match(raw):
        return None if raw in _RESERVED else raw
    made = ""
    for single, double, escaped, plain, dollar in _PART.findall(raw):
        if dollar or "$" in double or "\\" in escaped or _MEANT.search(plain):
            return None
        made += single or double or escaped or plain
    # A quoted keyword, an assignment in quotes or nothing at all are not the same without their quotes.
    unsafe = not made or made in _RESERVED or "=" in made or "\n" in made or made.startswith("~")
    return None if unsafe else made


def _switched(words: Sequence[str]) -> list[str]:
    """A command whose options are all switches has them in one order, by their long names."""
    texts = [_literal(word) for word in words]
    shown = [raw if text is None or text is raw else shlex.quote(text) for raw, text in zip(words, texts, strict=True)]
    table = programs.known()["switches"].get(texts[0]) if texts else None
    if table is None:
        return shown
    flags, rest, ended = set[str](), list[str](), False
    for text, raw in zip(texts[1:], shown[1:], strict=True):
        if text is None and raw.startswith(("-", "$", '"', "'")):
            return shown  # it may be an option
        if ended or raw == "-" or not raw.startswith("-"):
            rest.append(raw)
        elif text == "--":
            ended = True
        elif raw.startswith("--"):
            flags.add(raw)
        elif all(letter in table for letter in raw[1:]):
            flags |= {f"--{table[letter]}" if table[letter] else f"-{letter}" for letter in raw[1:]}
        else:
            return shown
    mark = ["--"] if any(raw.startswith("-") and raw != "-" for raw in rest) else []
    return [shown[0], *sorted(flags), *mark, *rest]
