"""How the paths of files are written where people and programs name them: any bytes, as text that goes both ways.

Names are bytes to the kernel. Where they are UTF-8 that people can see they stand as they are; every other byte, and
"%" before two hexadecimal digits, is written %XX.
"""

from __future__ import annotations

import re
import unicodedata

from agents.errors import Invalid

MOST_CHARS = 4000
MOST_NAME_BYTES = 255
_WRITTEN = re.compile(rb"%([0-9A-Fa-f]{2})")
_LIKE_WRITTEN = re.compile(r"%(?=[0-9A-Fa-f]{2})")
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn"})


def written(name: bytes) -> str:
    """The name as an address: ``parsed`` reads it back."""
    text = _LIKE_WRITTEN.sub("%25", name.decode("utf-8", "surrogateescape"))
    return "".join(_percent(char) if unicodedata.category(char) in _UNSEEN else char for char in text)


def _percent(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogateescape"))


def shown(name: bytes) -> str:
    """The name for people: what is no text, or steers it, is a replacement character."""
    text = name.decode("utf-8", "replace")
    seen = "".join("\ufffd" if unicodedata.category(char) in _UNSEEN else char for char in text)
    return seen if seen.strip() else "\ufffd" * len(seen)  # spaces alone would be a link without a word


def parsed(path: str) -> tuple[bytes, ...]:
    """The parts of a path below the workspace; () is the workspace itself. Invalid for what leads elsewhere."""
    if len(path) > MOST_CHARS:
        raise Invalid("The path is too long.", field="path")
    try:
        raw = _WRITTEN.sub(lambda found: bytes([int(found[1], 16)]), path.encode())
    except UnicodeEncodeError as error:
        raise Invalid("The path is not valid Unicode.", field="path") from error
    parts = tuple(part for part in raw.split(b"/") if part not in (b"", b"."))
    for part in parts:
        if part == b".." or b"\x00" in part:
            raise Invalid(
                "A path stays below the workspace: it has no “..” and no NUL.",
                field="path",
                action="Name it from the workspace on, for instance notes/today.md.",
            )
        if len(part) > MOST_NAME_BYTES:
            raise Invalid(f"A name may have {MOST_NAME_BYTES} bytes.", field="path")
    if len(b"/".join(parts)) > MOST_CHARS:
        raise Invalid("The path is too long.", field="path")
    return parts


def joined(parts: tuple[bytes, ...]) -> str:
    """The whole path as an address."""
    return "/".join(written(part) for part in parts)
