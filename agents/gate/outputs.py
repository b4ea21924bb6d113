"""What small programs print, when all they are given is known: ``echo … | base64 -d | sh`` hides nothing. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable

from agents.gate.acts import Act, Flow
from agents.gate.words import ansi

_DIRECTIVE = re.compile(r"%(?:%|[-0-9.]*[sb])")
_PASSED = frozenset({"cat", "tee", "sponge", "pv", "head", "tail", "sort", "uniq", "stdbuf"})


def printed(act: Act) -> Flow:
    """What the command hands to the next in the pipe."""
    sources = (*act.stdin.sources, act.name)[-16:]
    maker = _MAKERS.get(act.name)
    if maker is None and act.name not in _PASSED:
        return Flow(None, sources)
    if not all(word.known for word in act.args):
        return Flow(None, sources)
    if maker is not None:
        return Flow(maker(act), sources)
    if act.name in _PASSED and (act.name == "tee" or not act.operands):
        return Flow(act.stdin.text, act.stdin.sources)
    return Flow(None, sources)


def _echo(act: Act) -> str | None:
    words = [word.text for word in act.args]
    escapes = False
    while words and re.fullmatch(r"-[neE]+", words[0]):
        escapes = escapes or "e" in words.pop(0)
    text = " ".join(words)
    return (ansi(text) if escapes else text) + "\n"


def _printf(act: Act) -> str | None:
    words = [word.text for word in act.args if word.text != "--"]
    if not words or words[0] == "-v":
        return ""
    form, given = words[0], iter(words[1:])
    if "%" in _DIRECTIVE.sub("", form):
        return None

    def one(found: re.Match[str]) -> str:
        if found[0] == "%%":
            return "%"
        return ansi(next(given, "")) if found[0].endswith("b") else next(given, "")

    made = ""
    for _ in range(64):  # the format is used again while words are left
        before = made
        made += _DIRECTIVE.sub(one, ansi(form))
        left = list(given)
        if not left or made == before:
            break
        given = iter(left)
    return made


def _base64(act: Act) -> str | None:
    if not act.flags & {"d", "D", "decode"} or act.operands or act.stdin.text is None:
        return None
    return _decoded(lambda text: base64.b64decode(text + "=" * (-len(text) % 4)), act.stdin.text)


def _base32(act: Act) -> str | None:
    if not act.flags & {"d", "D", "decode"} or act.operands or act.stdin.text is None:
        return None
    return _decoded(base64.b32decode, act.stdin.text)


def _openssl(act: Act) -> str | None:
    is_base64 = {"base64", "a"} & act.flags or any(word.text == "base64" for word in act.operands)
    return _base64(Act(act.name, flags=act.flags, stdin=act.stdin)) if is_base64 and "in" not in act.flags else None


def _xxd(act: Act) -> str | None:
    if "r" not in act.flags or "p" not in act.flags or act.operands or act.stdin.text is None:
        return None
    return _decoded(bytes.fromhex, act.stdin.text)


def _rev(act: Act) -> str | None:
    if act.operands or act.stdin.text is None:
        return None
    return "\n".join(line[::-1] for line in act.stdin.text.split("\n"))


def _decoded(decode: Callable[[str], bytes], text: str) -> str | None:
    try:
        return decode("".join(text.split())).decode("utf-8", "replace")
    except (ValueError, binascii.Error):
        return None


_MAKERS: dict[str, Callable[[Act], str | None]] = {
    "echo": _echo,
    "printf": _printf,
    "base64": _base64,
    "base32": _base32,
    "openssl": _openssl,
    "xxd": _xxd,
    "rev": _rev,
    "true": lambda act: "",
    ":": lambda act: "",
}
