"""User names that pass for another's: letters of several alphabets in one name (pure)."""

from __future__ import annotations

import unicodedata

# Alphabets whose letters are drawn alike; a name in any one of them is fine.
_ALIKE = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU", "FULLWIDTH")


def mixes_alphabets(name: str) -> bool:
    """Does the name hold letters of two alphabets that are drawn alike, as a Cyrillic а among Latin letters?"""
    return len({_alphabet(character) for character in name} - {""}) > 1


def _alphabet(character: str) -> str:
    if not character.isalpha():
        return ""
    first = unicodedata.name(character, "").partition(" ")[0]
    return first if first in _ALIKE else ""
