"""From the words of a command to what runs in the end: out of sudo, env, xargs, sh -c, find -exec, pipes. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from functools import cache

from agents.gate import programs
from agents.gate.acts import NOTHING, UNKNOWN, Act, Flow, Word, has_glob
from agents.gate.grammar import TooMuch
from agents.gate.outputs import printed
from agents.gate.programs import Options, Wrapper
from agents.gate.reading import LONGEST, Script, State, positional

_FINDING = frozenset({"-exec", "-execdir", "-ok", "-okdir"})
_FILTERS = frozenset({"-name", "-iname", "-path", "-ipath", "-regex", "-mtime", "-mmin", "-size", "-newer", "-empty"})
_RUNS_SHELL = re.compile(r"system|popen|subprocess|exec|spawn|qx|`|%x|sh\(|child_process|shell", re.IGNORECASE)
_LITERAL = re.compile(
    r"'''(.{2,2000}?)'''|\"\"\"(.{2,2000}?)\"\"\"|'((?:[^'\\]|\\.){2,2000})'|\"((?:[^\"\\]|\\.){2,2000})\"|`([^`]{2,2000})`",
    re.DOTALL,
)
_LIST = re.compile(r"[\[(]\s*((?:(?:'[^']*'|\"[^\"]*\")\s*,?\s*){2,40})[\])]")
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_SET_BY_CALLS = (*positional([]), "0")
_NO_TRAITS = frozenset[str]()
_UNKNOWN_PROGRAM = frozenset({"unknown-program"})
_FINDERS = frozenset({"find", "fd", "fdfind"})
_DOWNLOADERS = frozenset({"curl", "wget", "aria2c"})
_COPIERS = frozenset({"tee", "sponge"})


def acts(text: str) -> list[Act]:
    """Every simple command that ``text`` would run, and what was noticed about the text itself."""
    state = State(_run)
    if len(text) > LONGEST:
        state.note("too-deep")
    try:
        state.read(text[:LONGEST])
    except (TooMuch, RecursionError):
        state.note("too-deep")
    return state.acts


def _run(
    script: Script,
    words: Sequence[Word],
    stdin: Flow,
    *,
    writes: tuple[Word, ...] = (),
    assigned: tuple[tuple[str, str], ...] = (),
    wrappers: tuple[str, ...] = (),
) -> Flow:
    """Record one command and go on with what it runs; returns what it prints."""
    state = script.state
    state.step()
    if not words:
        if writes or assigned:
            state.acts.append(Act("", writes=writes, assigned=assigned, stdin=stdin, wrappers=wrappers))
        for name, value in assigned:
            script.assign(name, value)
        return stdin
    head, args = words[0], words[1:]
    name = programs.program(head)
    if name in state.aliases and not wrappers:
        rest = " ".join(shlex.quote(word.text) if word.known else word.text for word in args)
        body = state.aliases[name]
        return state.read(f"{body} {rest}", stdin, script.depth + 1)
    table = programs.known()
    interpreted = table["interpreters"].get(name)
    options = programs.sort(args, interpreted or table["values"].get(name, frozenset()))
    is_unknown = not head.known or (has_glob(head.text) and head.text not in ("[", "[["))
    traits = _UNKNOWN_PROGRAM if is_unknown and name not in state.functions else _NO_TRAITS
    act = Act(
        name, tuple(args), frozenset(options.flags), tuple(options.rest), writes, stdin, assigned, wrappers, traits
    )
    if len(wrappers) > 24:
        raise TooMuch
    if name and interpreted is None and name not in _unfolding() and name not in state.functions:
        state.acts.append(act)  # nearly every program: it runs no other
        return printed(act)
    inside = _Inside(script, act, options)
    flow = inside.follow(head, interpreted)
    state.acts.append(inside.act)
    return flow


class _Inside:
    """What one command runs besides itself."""

    def __init__(self, script: Script, act: Act, options: Options) -> None:
        self.script, self.state, self.act, self.options = script, script.state, act, options

    def follow(self, head: Word, interpreted: frozenset[str] | None) -> Flow:
        act, table = self.act, programs.known()
        name = act.name
        if name in self.state.functions and not act.wrappers:
            return self.script.call(name, act.args, act.stdin)
        if name in table["shells"]:
            return self._shell()
        if interpreted is not None:
            return self._interpreter(interpreted)
        if name in _FINDERS:
            return self._find()
        special = _SPECIAL.get(name)
        if special is not None:
            return special(self)
        wrapper: Wrapper | None = table["wrappers"].get(name)
        if wrapper is not None:
            return self._wrapper(wrapper)
        if name in _DOWNLOADERS:
            self._download()
        if not name and act.args:  # $SUDO rm …: what is not known may be nothing
            self._next(act.args)
        if act.name in _COPIERS:
            self.state.files.update({word.path: act.stdin for word in act.operands})
        return printed(act)

    def _trait(self, *traits: str, code: str = "") -> None:
        # Nobody else has seen it yet.
        self.act.traits = self.act.traits.union(traits)
        self.act.code = code or self.act.code

    def _next(self, words: Sequence[Word], stdin: Flow | None = None) -> Flow:
        return _run(
            self.script, words, self.act.stdin if stdin is None else stdin, wrappers=(*self.act.wrappers, self.act.name)
        )

    def _read(self, text: str, stdin: Flow = NOTHING) -> Flow:
        return self.state.read(text, stdin, self.script.depth + 1)

    def _shell(self) -> Flow:
        """``sh -c text``, ``sh file``, ``sh < text`` and ``… | sh``."""
        args, at, takes_code, from_stdin = self.act.args, 0, False, False
        while at < len(args) and args[at].text[:1] in ("-", "+") and len(args[at].text) > 1:
            text = args[at].text
            at += 1
            if text == "--":
                break
            if text.startswith("--"):
                at += text in ("--rcfile", "--init-file")
                takes_code = takes_code or text == "--command"
                continue
            takes_code = takes_code or "c" in text[1:].lower()
            from_stdin = from_stdin or "s" in text[1:]
            at += text[-1] in "oO" and not text[1:].startswith("c")
        rest = args[at:]
        if takes_code:
            self._trait("inline-shell")
            if not rest:
                return Flow()
            flow = self._with(rest[1:], rest[0].text)
            if not rest[0].known:
                self._trait("unknown-code", *(f"from-{source}" for source in rest[0].sources))
            return flow
        if rest and rest[0].text not in ("-", "/dev/stdin", "/proc/self/fd/0") and not from_stdin:
            return self._file(rest[0], rest[1:])
        return self._fed(self.act.stdin)

    def _with(self, args: Sequence[Word], text: str) -> Flow:
        variables = self.state.variables
        before = {key: variables.get(key) for key in _SET_BY_CALLS}
        variables.update(positional(args[1:]))
        variables["0"] = args[0].text if args else "sh"
        try:
            return self._read(text, self.act.stdin)
        finally:
            variables.update(before)

    def _file(self, word: Word, args: Sequence[Word] = ()) -> Flow:
        """A script in a file: read it when this very command wrote it."""
        flow = word.flow or self.state.files.get(word.path)
        return self._fed(flow) if flow is not None else Flow(None, (self.act.name,))

    def _fed(self, flow: Flow) -> Flow:
        """Text that a shell is fed."""
        if flow.text is not None:
            if flow.text.strip():
                self._trait("shell-from-text")
                if {"base64", "base32", "xxd", "openssl", "rev"} & set(flow.sources):
                    self._trait("encoded")
                return self._read(flow.text)
            return Flow()
        self._trait("shell-from-pipe", *(f"from-{source}" for source in flow.sources))
        return Flow(None, (*flow.sources, self.act.name)[-16:])

    def _interpreter(self, letters: frozenset[str]) -> Flow:
        code = next((word for letter, word in self.options.values.items() if letter in letters), None)
        if code is None and self.act.stdin.sources and (not self.act.operands or self.act.operands[0].text == "-"):
            stdin = self.act.stdin
            if stdin.text is None:
                self._trait("shell-from-pipe", *(f"from-{source}" for source in stdin.sources))
            elif stdin.text.strip():
                code = Word(stdin.text)
        elif code is None and self.act.operands:
            flow = self.act.operands[0].flow or self.state.files.get(self.act.operands[0].path)
            if flow is not None and flow.text is not None:
                code = Word(flow.text)
            elif flow is not None:
                self._trait("shell-from-pipe", *(f"from-{source}" for source in flow.sources))
        if code is not None:
            self._trait("inline-code", code=code.text)
            self._literals(code.text)
        return Flow(None, (*self.act.stdin.sources, self.act.name)[-16:])

    def _literals(self, code: str) -> None:
        """Shell commands that a program text hands on as strings or lists of strings."""
        if not _RUNS_SHELL.search(code):
            return
        for number, found in enumerate(_LITERAL.finditer(code)):
            text = next(part for part in found.groups() if part is not None)
            if number < 64 and ("/" in text or " " in text or len(text) > 4):
                self._quietly(text)
        for number, found in enumerate(_LIST.finditer(code)):
            if number < 16:
                self._quietly(" ".join(shlex.quote(one or two) for one, two in _QUOTED.findall(found[1])))

    def _quietly(self, text: str) -> None:
        """Read a string that may be no command at all: that it cannot be read says nothing."""
        before = len(self.state.acts)
        self._read(text)
        quiet = {"unreadable", "unknown-program", "too-deep"}
        self.state.acts[before:] = [act for act in self.state.acts[before:] if not act.traits & quiet]

    def _wrapper(self, wrapper: Wrapper) -> Flow:
        act, args = self.act, list(self.act.args)
        if wrapper.verbs:
            found = programs.sort(args, programs.known()["values"].get(act.name, frozenset()), stop=True).rest
            if not found or found[0].text not in wrapper.verbs:
                return printed(act)
            args = found[1:]
        if wrapper.after:
            texts = [word.text for word in args]
            args = args[texts.index(wrapper.after) + 1 :] if wrapper.after in texts else args[1:]
            return self._next(args) if args else Flow()
        options = programs.sort(args, wrapper.values | wrapper.code, stop=not wrapper.anywhere, assigns=wrapper.assigns)
        rest = options.rest
        for letter in wrapper.code & options.values.keys():
            text = " ".join([options.values[letter].text, *(word.text for word in rest)])
            return self._read(text if letter in ("S", "split-string") else options.values[letter].text, act.stdin)
        for name, value in options.assigned:
            self.state.acts.append(Act("", assigned=((name, value),), wrappers=(act.name,)))
        while wrapper.assigns and rest and re.match(r"[A-Za-z_]\w*=", rest[0].text):
            name, _, value = rest[0].text.partition("=")
            self.state.acts.append(Act("", assigned=((name, value),), wrappers=(act.name,)))
            rest = rest[1:]
        rest = rest[wrapper.skip :]
        if not rest:
            return act.stdin if act.name in ("sudo", "env") else Flow(None, (act.name,))
        if wrapper.stdin:
            return self._xargs(rest, options)
        if wrapper.shell:
            return self._read(" ".join(word.text for word in rest if word.text != ":::"), act.stdin)
        return self._next(rest)

    def _xargs(self, rest: list[Word], options: Options) -> Flow:
        fed = self.act.stdin.text
        more = [Word("$ARGS", False)] if fed is None else [Word(text) for text in fed.split()][:64]
        mark = next((options.values[key].text for key in ("I", "replace") if key in options.values), "")
        if mark or options.flags & {"i", "I", "replace"}:
            mark = mark or "{}"
            value = more[0] if len(more) == 1 else Word("$ARGS", False)
            rest = [
                Word(word.text.replace(mark, value.text), word.known and value.known) if mark in word.text else word
                for word in rest
            ]
            return self._next(rest, Flow())
        return self._next([*rest, *more], Flow())

    def _find(self) -> Flow:
        """``find … -exec command {} ;`` and ``-delete``, which is a recursive rm of what was found."""
        args = self.act.args
        texts = [word.text for word in args]
        starts = list(args[: next((n for n, t in enumerate(texts) if t and t[0] in "-(!"), len(texts))])
        found = starts or [Word(".")]
        if _FILTERS & set(texts):
            found = [Word("$FOUND", False)]
        at = 0
        while at < len(args):
            if texts[at] in _FINDING or (self.act.name != "find" and texts[at] in ("-x", "-X", "--exec")):
                end = next((n for n in range(at + 1, len(args)) if texts[n] in (";", "+")), len(args))
                inner: list[Word] = []
                for word in args[at + 1 : end]:
                    if word.text == "{}":
                        inner += found
                    elif "{}" in word.text:
                        inner.append(Word(word.text.replace("{}", found[0].text), found[0].known))
                    else:
                        inner.append(word)
                if inner:
                    self._next(inner, Flow())
                at = end
            at += 1
        if "-delete" in texts:
            self._next([Word("rm"), Word("-rf"), *found], Flow())
        return Flow(None, (*self.act.stdin.sources, self.act.name)[-16:])

    def _download(self) -> None:
        """What is fetched to a file of this name is not known."""
        named = [word for key, word in self.options.values.items() if key in ("o", "O", "output", "output-document")]
        if not named:
            named = [Word(word.text.rsplit("/", 1)[-1]) for word in self.act.operands]
        self.state.files.update({word.path: Flow(None, (self.act.name,)) for word in named})

    def _eval(self) -> Flow:
        args = [word for word in self.act.args if word.text != "--"]
        if not all(word.known for word in args):
            self._trait("unknown-code", *(f"from-{source}" for word in args for source in word.sources))
        return self._read(" ".join(word.text for word in args), self.act.stdin)

    def _source(self) -> Flow:
        operands = self.act.operands
        if operands and operands[0].text in ("/dev/stdin", "-"):
            return self._fed(self.act.stdin)
        return self._file(operands[0], operands[1:]) if operands else Flow()

    def _trap(self) -> Flow:
        return self._read(self.act.operands[0].text) if self.act.operands else Flow()

    def _alias(self) -> Flow:
        for word in self.act.args:
            name, equals, body = word.text.partition("=")
            if equals:
                self.state.aliases[name] = body
                self._read(body)
        return Flow()

    def _reads(self) -> Flow:
        """``read x``, ``mapfile x``, ``printf -v x`` set variables."""
        text = self.act.stdin.text
        names = [word.text for word in self.act.operands]
        for name in names:
            self.script.assign(name, text.strip() if text is not None and len(names) == 1 else None)
        return Flow()

    def _printf(self) -> Flow:
        if self.act.args and self.act.args[0].text == "-v" and len(self.act.args) > 1:
            made = printed(Act("printf", self.act.args[2:]))
            self.script.assign(self.act.args[1].text, made.text)
            return Flow()
        return printed(self.act)

    def _awk(self) -> Flow:
        code = self.act.operands[0].text if self.act.operands and "f" not in self.act.flags else ""
        self._trait(code=code)
        if re.search(r"system|getline|\|", code):
            self._literals("system" + code)
        return Flow(None, (*self.act.stdin.sources, self.act.name)[-16:])

    def _sql(self) -> Flow:
        """A database client that is fed its statements."""
        fed = self.act.stdin.text if self.act.stdin.sources else ""
        self._trait(code=fed or "")
        return Flow(None, (self.act.name,))

    def _scheduled(self) -> Flow:
        """``at`` and ``batch`` run later what they are fed."""
        if self.act.stdin.sources:
            self._fed(self.act.stdin)
        return Flow()


_SPECIAL = {
    "eval": _Inside._eval,
    ".": _Inside._source,
    "source": _Inside._source,
    "trap": _Inside._trap,
    "alias": _Inside._alias,
    "read": _Inside._reads,
    "mapfile": _Inside._reads,
    "readarray": _Inside._reads,
    "printf": _Inside._printf,
    "awk": _Inside._awk,
    "gawk": _Inside._awk,
    "mawk": _Inside._awk,
    "at": _Inside._scheduled,
    "batch": _Inside._scheduled,
    **dict.fromkeys(("psql", "mysql", "mariadb", "sqlite3", "sqlplus", "clickhouse-client", "duckdb"), _Inside._sql),
}


@cache
def _unfolding() -> frozenset[str]:
    """The programs of which more is known than their words: what they run, print into files or set."""
    table = programs.known()
    return table["shells"] | _FINDERS | _DOWNLOADERS | _COPIERS | _SPECIAL.keys() | table["wrappers"].keys()


__all__ = ["UNKNOWN", "acts"]
