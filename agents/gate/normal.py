"""One way to write each command: quotes, spaces and the order of switches do not matter. Pure.

Approvals and the rules kept from them are bound to this form, so two commands may only share it when they do the
same: where that is not certain, the text stays as it was written.
"""

from __future__ import annotations

import re
import shlex

from agents.gate import programs

# With any of these the meaning of spaces and quotes hangs on where they stand, so nothing is touched.
_LEFT_ALONE = re.compile(
    r"<<|[()]|;\s*[;&]|\[\[|\$\{|`|#|\\|!|\b(?:case|function|select)\b|[^\x09\x0a\x20-\x7e\xa1-\uffff]"
)
_TOKEN = re.compile(
    r"(?P<space>[ \t]+)|(?P<line>\n[ \t\n]*)|(?P<operator>(?:[0-9]*(?:&>>|&>|>>|>\||>&|<&|<>|<|>))|&&|\|\||\|&|[;|&])"
    r"|(?P<word>(?:'[^']*'|\"[^\"]*\"|\$'[^']*'|[^\s;|&<>'\"])+)"
)
_PART = re.compile(r"'([^']*)'|\"([^\"]*)\"|\$'([^']*)'|([^'\"$]+)|(\$)")
# Read by the shell outside quotes as more than themselves.
_MEANT = re.compile(r"[*?\[\]{}~=^]")
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
    once = _rewritten(text)
    return once if once == text or _rewritten(once) == once else text


def _rewritten(text: str) -> str:
    made: list[str] = []
    words: list[str] = []  # of the simple command that is being read
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            return text  # a quote that does not end
        at = found.end()
        kind = found.lastgroup
        if kind == "word":
            words.append(found[0])
        elif kind == "space":
            words.append(" ")
        elif kind == "line":
            _end(words, made)
            made.append("\n")
        elif found[0].strip("0123456789") in (";", "&&", "||", "|", "|&", "&"):
            _end(words, made)
            made.append(f" {found[0]} ")
        else:
            words.append(found[0] + "\0")
    _end(words, made)
    return "".join(made).strip(" \n")


def _end(words: list[str], made: list[str]) -> None:
    """Write the simple command and begin the next."""
    if any(word.endswith("\0") for word in words):
        made.append("".join(word.rstrip("\0") if word.endswith("\0") else _word(word) for word in words).strip(" "))
    else:
        made.append(" ".join(_switched([word for word in words if word != " "])))
    words.clear()


def _word(raw: str) -> str:
    text = _literal(raw)
    return raw if text is None else shlex.quote(text)


def _literal(raw: str) -> str | None:
    """The text of a word in which the shell has nothing to fill in; None for others."""
    if raw.isalnum():
        return None if raw in _RESERVED else raw
    made = ""
    for single, double, escaped, plain, dollar in _PART.findall(raw):
        if dollar or "$" in double or "\\" in escaped or _MEANT.search(plain):
            return None
        made += single or double or escaped or plain
    # A quoted keyword, an assignment in quotes or nothing at all are not the same without their quotes.
    unsafe = not made or made in _RESERVED or "=" in made or "\n" in made or made.startswith("~")
    return None if unsafe else made


def _switched(words: list[str]) -> list[str]:
    """A command whose options are all switches has them in one order, by their long names."""
    texts = [_literal(word) for word in words]
    shown = [raw if text is None else shlex.quote(text) for raw, text in zip(words, texts, strict=True)]
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
