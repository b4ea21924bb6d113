"""Look through a soul for what a reader would overlook or should know: findings with line, excerpt and a sentence (pure).

A finding is a warning and changes nothing: a soul is its owner's text, and a soul about injection may well quote one.
The rules are data. Every one of them runs in linear time on a text of any kind, because texts of strangers come here.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from hashlib import sha256

from agents.invisible import all_hidden, name_of, spelled_out

MAX_FINDINGS = 40
EXCERPT = 90


@dataclass(frozen=True, slots=True)
class Finding:
    """One place worth a look."""

    kind: str
    line: int
    excerpt: str
    sentence: str

    def as_json(self) -> dict[str, str | int]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern and what to tell the person about a match."""

    kind: str
    sentence: str
    pattern: re.Pattern[str]


def _rule(kind: str, sentence: str, *patterns: str) -> Rule:
    return Rule(kind, sentence, re.compile("|".join(patterns), re.IGNORECASE | re.MULTILINE))


# Words between the parts of a phrase: any, but few, and within a sentence.
_GAP = r"(?:[^.!?\n]|\n(?!\s)){0,60}?"
_INSTRUCTIONS = r"(?:instruction|rule|prompt|guideline|direction|order|message|constraint|polic(?:y|ie))s?\b"
_SECRETS = (
    r"(?:secret|password|passphrase|credential|api[ _-]?key|access[ _-]?key|private key|ssh key|token|cookie"
    r"|environment variable|\.env\b|conversation|chat history|system prompt)s?"
)
_GUARDS = (
    r"(?:approval|confirmation|permission|consent|guard ?rail|safety|sandbox|security|polic(?:y|ie)|restriction)s?"
)

# What a browser hides, an editor folds away or a page loads by itself: looked for in the text as it stands.
MARKUP = (
    _rule("hidden_html", "An HTML comment: pages do not show it, the agent reads it.", r"<!--"),
    _rule(
        "hidden_html",
        "A Markdown comment: rendered pages do not show it, the agent reads it.",
        r"^[ \t]{0,3}\[(?://|comment|#|_)\]:",
    ),
    _rule(
        "hidden_html",
        "HTML made so that nobody sees it.",
        r"display\s{0,5}:\s{0,5}none",
        r"visibility\s{0,5}:\s{0,5}hidden",
        r"(?:font-size|opacity|max-height|line-height|width|height)\s{0,5}[:=]\s{0,5}[\"']?0(?![.\d]*[1-9])",
        r"text-indent\s{0,5}:\s{0,5}-\d{3}",
        r"color\s{0,5}:\s{0,5}(?:transparent|white\b|#fff(?:fff)?\b)",
        r"<[a-z][^<>]{0,200}\s(?:hidden|aria-hidden)\b",
    ),
    _rule(
        "active_html",
        "HTML that runs, loads or sends something where it is rendered.",
        r"<\s{0,3}/?(?:script|iframe|object|embed|form|meta|link|base|svg|style)\b",
        r"<[a-z][^<>]{0,200}\son[a-z]{3,20}\s{0,3}=",
    ),
    _rule(
        "hidden_link",
        "A link that carries data or a script instead of an address.",
        r"\b(?:data|javascript|vbscript)\s{0,3}:[^\s]{1,40}[,;(]",
    ),
    _rule(
        "beacon",
        "A picture from elsewhere: loading it tells that address who reads this, and can carry words out.",
        r"!\[[^\]\n]{0,200}\]\(\s{0,5}<?(?:https?:)?//",
        r"<\s{0,3}img\b",
    ),
    _rule(
        "hidden_character",
        "A character written as a code that shows as nothing.",
        r"&(?:#(?:0{0,4}(?:173|8203|8204|8205|8206|8207|8288|65279)|x0{0,4}(?:ad|200[b-f]|2060|feff));?"
        r"|shy;|zwj;|zwnj;|ZeroWidthSpace;|NoBreak;)",
    ),
    _rule(
        "encoded",
        "A long run of encoded characters: a reader cannot tell what it says.",
        r"(?:[0-9a-f]{2}[ :]?){80,}",
        r"(?:\\x[0-9a-f]{2}){12,}",
        r"(?:\\u[0-9a-f]{4}){8,}",
        r"(?:%[0-9a-f]{2}){20,}",
    ),
)

# What tries to steer an agent against its people: looked for with look-alike letters read as what they look like.
PHRASES = (
    _rule(
        "override",
        "It tells the agent to set aside other instructions.",
        rf"\b(?:ignore|disregard|forget|override|bypass)\b{_GAP}\b(?:previous|prior|earlier|above|preceding|other|system|all|any|your)\b{_GAP}\b{_INSTRUCTIONS}",
        r"\b(?:ignore|forget|disregard) (?:everything|anything|all)\b",
        r"\bnew (?:system )?(?:prompt|instructions) ?:",
        r"\bignor\w{0,6}\b.{0,40}\b(?:bisherig|vorherig|vorig|obig)\w{0,4}\b.{0,20}\banweisung",
        r"\bignor\w{0,6}\b.{0,40}\binstru\w{2,9}\b.{0,20}\b(?:previas|anteriores|pr[eé]c[eé]dentes)",
    ),
    _rule(
        "role",
        "It imitates the marks that separate roles in a conversation.",
        r"<\|(?:im_start|im_end|system|user|assistant|endoftext|eot_id)",
        r"\[/?INST\]|<</?SYS>>",
        r"^[ \t]{0,3}(?:#{1,6} {0,3})?(?:system|assistant|developer)(?: message| prompt)? ?:",
        r"\b(?:developer|god|dan|jailbreak) mode\b|\bjailbroken\b|\bdo anything now\b",
    ),
    _rule(
        "secrecy",
        "It asks for something to be kept from the person.",
        rf"\b(?:do not|don't|never|must not|without)\b{_GAP}\b(?:tell|telling|inform|informing|mention|mentioning|reveal to|notify|notifying|alert|alerting|show|showing)\b{_GAP}\b(?:user|(?:the|your|this) person|owner|human|operator|admin)\b",
        rf"\b(?:hide|conceal)\b{_GAP}\bfrom (?:the |your )?(?:user|person|owner|human|operator|admin)",
        r"\bkeep (?:this|it|these) (?:a )?(?:secret|hidden)\b",
    ),
    _rule(
        "exfiltration",
        "It speaks of sending something secret somewhere.",
        rf"\b(?:send|post|upload|forward|e-?mail|transmit|leak|exfiltrate|append|copy|report)\b{_GAP}\b{_SECRETS}\b{_GAP}\b(?:to|in|at|via|with)\b",
        rf"\b(?:print|reveal|repeat|output|show|tell)\b{_GAP}\b(?:system prompt|hidden instructions|initial instructions)\b",
        r"\b(?:curl|wget)\b[^\n]{0,200}(?:\$\(|`|--data|-d |\| ?(?:ba|z|k)?sh\b)",
        r"\b(?:cat|read|open)\b[^\n]{0,40}(?:\.env\b|\.ssh/|/etc/shadow|\.aws/credentials)",
    ),
    _rule(
        "approvals",
        "It wants approvals or other guards out of the way. They hold whatever a soul says.",
        rf"\b(?:disable|turn off|switch off|skip|bypass|circumvent|evade|work around|get around|deactivate|remove|defeat)\b{_GAP}\b{_GUARDS}\b",
        rf"\b(?:never|don't|do not|no need to|without)\b(?: (?:ever|have to))? (?:ask|asking|request|requesting|wait|waiting)\b{_GAP}\b(?:approval|confirmation|permission|consent|for a yes)\b",
        r"\bauto-?approve\b|--yolo\b|\byolo mode\b|--dangerously-\w+",
    ),
)

_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{80,}={0,2}")
_WORD = re.compile(r"\w+")

# Letters of other scripts that are drawn like Latin ones, each with the letter it passes for.
_LOOKS = dict(
    zip(
        "аеорсухіјѕԁԛԝһΑΒΕΖΗΙΚΜΝΟΡΤΥΧοραενικАВЕКМНОРСТУХІЈЅ",
        "aeopcyxijsdqwhABEZHIKMNOPTYXopaevikABEKMHOPCTYXIJS",
        strict=True,
    )
)


def scan(text: str) -> list[Finding]:
    """What is worth a look, by line; at most 40 findings."""
    return list(_scan(text))


def fingerprint(findings: list[Finding]) -> str:
    """What an acknowledgement names: the same findings have the same one, wherever their lines moved."""
    seen = sorted(f"{found.kind} {found.excerpt}" for found in findings)
    return sha256("\n".join(seen).encode()).hexdigest()[:16] if seen else ""


def news(findings: list[Finding], known: list[Finding]) -> list[Finding]:
    """Those of ``findings`` that ``known`` does not have."""
    old = {(found.kind, found.excerpt) for found in known}
    return [found for found in findings if (found.kind, found.excerpt) not in old]


# The same souls are shown again and again.
@lru_cache(maxsize=256)
def _scan(text: str) -> tuple[Finding, ...]:
    # Far longer texts cannot be souls; what is looked at stays bounded.
    text = text[:50_000]
    starts = [0, *(match.end() for match in re.finditer("\n", text))]
    found: dict[tuple[str, int], Finding] = {}
    for kind, start, end, sentence in _matches(text):
        line = bisect_right(starts, start)
        if (sentence, line) not in found:
            found[sentence, line] = Finding(kind, line, _excerpt(text, start, end), sentence)
    return tuple(sorted(found.values(), key=lambda each: each.line)[:MAX_FINDINGS])


def _matches(text: str) -> Iterator[tuple[str, int, int, str]]:
    for index in all_hidden(text):
        yield "hidden_character", index, index + 1, f"An invisible character ({name_of(text[index])})."
    for rule in MARKUP:
        for match in rule.pattern.finditer(text):
            yield rule.kind, *match.span(), rule.sentence
    seen_as = _as_it_looks(text)
    for rule in PHRASES:
        for match in rule.pattern.finditer(seen_as):
            yield rule.kind, *match.span(), rule.sentence
    for match in _BASE64.finditer(text):
        if _is_mixed(match[0]):
            yield "encoded", *match.span(), "A long run of encoded characters: a reader cannot tell what it says."
    for match in _WORD.finditer(text):
        if not match[0].isascii() and (posing := _posing(match[0])):
            yield "look_alike", *match.span(), f"A word with letters that are not what they look like: {posing}."


def _is_mixed(run: str) -> bool:
    """Words joined by dashes and long paths are no code: code has capitals, small letters and digits throughout."""
    return all(any(test(character) for character in run) for test in (str.isupper, str.islower, str.isdigit))


def _posing(word: str) -> str:
    """The letter of a Latin word that belongs to another script or another style of writing, by name."""
    dressed = next((each for each in word if not each.isascii() and _plain(each).isascii() and _is_styled(each)), "")
    if dressed:
        return unicodedata.name(dressed, "a styled letter").capitalize()
    if not any(each.isascii() and each.isalpha() for each in word):
        return ""
    posing = next((each for each in word if each in _LOOKS), "")
    return unicodedata.name(posing, "a letter of another script").capitalize() if posing else ""


def _is_styled(character: str) -> bool:
    """Mathematical, circled and full-width letters; not the small signs people do write (ª, ², ﬁ)."""
    return ord(character) >= 0xFF00 or 0x2460 <= ord(character) <= 0x24FF


def _plain(character: str) -> str:
    return unicodedata.normalize("NFKC", character)


def _as_it_looks(text: str) -> str:
    """The text with look-alikes replaced, letter for letter, so that places stay the same."""
    if text.isascii():
        return text
    return "".join(each if each.isascii() else _looks_like(each) for each in text)


def _looks_like(character: str) -> str:
    plain = _LOOKS.get(character) or _plain(character)
    return plain if len(plain) == 1 else character


def _excerpt(text: str, start: int, end: int) -> str:
    """The place with a little around it, on one line, with what cannot be seen spelled out."""
    end = min(end, start + EXCERPT)
    room = (EXCERPT - (end - start)) // 2
    left = max(text.rfind("\n", 0, start) + 1, start - room)
    stop = text.find("\n", end)
    right = min(len(text) if stop < 0 else stop, end + room)
    words = " ".join(spelled_out(text[left:right]).split())
    before = "…" if left > 0 and text[left - 1] != "\n" else ""
    after = "…" if right < len(text) and text[right] != "\n" else ""
    return f"{before}{words}{after}"
