"""Find characters nobody can see in a text: they carry instructions past the person who reads it (pure).

Refused are controls other than tab and line feed, halves of surrogate pairs, private use, and everything that
Unicode calls default-ignorable: zero-width characters, bidirectional controls, tags, fillers, soft hyphens,
variation selectors. Three uses are visible in what they do to their neighbours and pass, and only in that place:
the joiner between two emoji, the variation selector after a symbol (or inside a keycap such as 1️⃣), and joiner or
non-joiner between two letters of a script that is written with them, as Persian or Hindi. The flags made of tags
(of England, Scotland and Wales) are refused with all other tags.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

# Default_Ignorable_Code_Point of Unicode 16, the braille blank (visible to no sighted reader), and the two
# line ends that many editors do not draw.
_IGNORABLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "\u2800\u2028\u2029"
)
# Format characters that are drawn: signs written over numbers in Arabic, Syriac and Kaithi.
_DRAWN = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
# Every text made of these alone is fine; the rest is looked at one by one.
_PLAIN = re.compile(r"[\n\t\x20-\x7e\u00a1-\u00ac\u00ae-\u024f]*")
_SUSPECT = re.compile(f"[{_IGNORABLE}]")

_ZWNJ, _ZWJ, _TEXT, _EMOJI, _KEYCAP = "\u200c", "\u200d", "\ufe0e", "\ufe0f", "\u20e3"
_JOINING_SCRIPTS = ((0x0600, 0x0DFF), (0x1000, 0x109F), (0x1780, 0x18AF), (0xFB50, 0xFDFF))


def first_hidden(text: str) -> int | None:
    """Where the first character stands that nobody can see; None when there is none."""
    return next(all_hidden(text), None)


def all_hidden(text: str) -> Iterator[int]:
    """Where each of them stands."""
    plain = _PLAIN.match(text)
    return (index for index in range(plain.end() if plain else 0, len(text)) if _is_hidden(text, index))


def spelled_out(text: str) -> str:
    """``text`` with every character that nobody can see as ``⟨U+202E⟩``: for what a person must judge as it is."""
    plain = _PLAIN.match(text)
    safe = plain.end() if plain else 0
    rest = (f"⟨U+{ord(text[i]):04X}⟩" if _is_hidden(text, i) else text[i] for i in range(safe, len(text)))
    return text[:safe] + "".join(rest)


def name_of(character: str) -> str:
    """``U+200B, zero width space``: how to name to a person what they cannot see."""
    return f"U+{ord(character):04X}, {unicodedata.name(character, 'a control character').lower()}"


def _is_hidden(text: str, index: int) -> bool:
    character = text[index]
    if _SUSPECT.match(character):
        return not _has_a_use(text, index)
    category = unicodedata.category(character)
    if category == "Cn":
        # Emoji younger than this Python are unknown to it and drawn all the same.
        return not 0x1F000 <= ord(character) <= 0x1FAFF
    if category == "Cf":
        return character not in _DRAWN
    return category in {"Cc", "Cs", "Co"} and character not in "\n\t"


def _has_a_use(text: str, index: int) -> bool:
    character, before, after = text[index], text[index - 1 : index], text[index + 1 : index + 2]
    if character in (_TEXT, _EMOJI):
        return _is_symbol(before) or (before in set("#*0123456789") and after == _KEYCAP) or before in set("‼⁉ℹ〰")
    if character == _ZWJ and _is_symbol(after):
        return _is_symbol(before) or (before == _EMOJI and _is_symbol(text[index - 2 : index - 1]))
    return character in (_ZWJ, _ZWNJ) and _is_joining_letter(before) and _is_joining_letter(after)


def _is_symbol(character: str) -> bool:
    return bool(character) and (
        0x1F000 <= ord(character) <= 0x1FAFF
        or (unicodedata.category(character) in {"So", "Sm"} and character not in "\u2800+<=>|~")
    )


def _is_joining_letter(character: str) -> bool:
    return (
        bool(character)
        and unicodedata.category(character)[0] in "LM"
        and any(first <= ord(character) <= last for first, last in _JOINING_SCRIPTS)
        and not _SUSPECT.match(character)
    )
