"""Draw an agent: a small character that is always the same for the same agent, in a chosen shape and colours.

Everything but shape and palette (eyes, mouth, what it wears on its head, its marks) comes from a digest of the seed,
which is the agent's id. The drawing is plain SVG without script, style or anything from elsewhere.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from html import escape

from agents.errors import Invalid

# Bodies on a grid of 32 by 32; a head's top is at 8, its sides at 6 and 26.
SHAPES: dict[str, str] = {
    "robot": "M9 8h14a3 3 0 013 3v11a4 4 0 01-4 4H10a4 4 0 01-4-4V11a3 3 0 013-3z",
    "pebble": "M16 8c7 0 11 4 11 10s-5 9-11 9S5 24 5 18 9 8 16 8z",
    "ghost": "M16 7c6 0 10 4 10 10v10l-3.3-2.5L19.3 27 16 24.5 12.7 27 9.3 24.5 6 27V17C6 11 10 7 16 7z",
    "drop": "M16 6c3 4 10 7 10 13a10 8.5 0 01-20 0C6 13 13 10 16 6z",
    "owl": "M7 7l4.5 2.5a12 12 0 019 0L25 7v12a9 8 0 01-18 0z",
    "leaf": "M7 9c9-3 19 0 19 9 0 6-5 9-10 9S6 24 6 18c0-4 .3-6 1-9z",
}
# Body, shade, and the ink of the face; the contrast between body and ink is at least 4.5.
PALETTES: dict[str, tuple[str, str, str]] = {
    "teal": ("#8fd6cb", "#4fa99c", "#0b2b28"),
    "sky": ("#a9cdf5", "#6a9fdb", "#10233f"),
    "moss": ("#b5d59a", "#7fa85e", "#1d2c10"),
    "amber": ("#f3cf86", "#cf9d3e", "#38270a"),
    "coral": ("#f4b3a2", "#d67f68", "#3d150c"),
    "plum": ("#d5b5e6", "#a77fc0", "#2c1238"),
    "stone": ("#cfcfc6", "#9c9c91", "#23241f"),
}
_EYES = (
    '<circle cx="12" cy="{y}" r="1.7"/><circle cx="20" cy="{y}" r="1.7"/>',
    '<rect x="10.5" y="{top}" width="3" height="4" rx="1"/><rect x="18.5" y="{top}" width="3" height="4" rx="1"/>',
    '<path d="M10 {y}q2-2.5 4 0M18 {y}q2-2.5 4 0" fill="none" stroke="{ink}" stroke-width="1.5"/>',
    '<circle cx="12" cy="{y}" r="2.6" fill="#fff"/><circle cx="20" cy="{y}" r="2.6" fill="#fff"/>'
    '<circle cx="12.4" cy="{y}" r="1.3"/><circle cx="20.4" cy="{y}" r="1.3"/>',
    '<rect x="9.5" y="{top}" width="13" height="4" rx="2"/><circle cx="13" cy="{y}" r="1" fill="{body}"/>'
    '<circle cx="19" cy="{y}" r="1" fill="{body}"/>',
)
_MOUTHS = (
    '<path d="M13 21.5q3 2.5 6 0"/>',
    '<path d="M13.5 22h5"/>',
    '<path d="M14 21.5q2 1.5 4 0"/>',
    '<path d="M13 21.5l1.5 1 1.5-1 1.5 1 1.5-1"/>',
)
_HATS = (
    "",
    '<path d="M16 9V4.5"/><circle cx="16" cy="3.5" r="1.5" fill="{shade}" stroke="none"/>',
    '<path d="M11 9L9.5 4.5M21 9l1.5-4.5"/>',
    '<path d="M12 8.5q4-6 8 0z" fill="{shade}" stroke="none"/>',
    '<path d="M16 9q0-4 3.5-5-.5 3.5-3.5 5z" fill="{shade}" stroke="none"/>',
)
_MARKS = (
    "",
    '<circle cx="9.5" cy="20" r="1.2"/><circle cx="22.5" cy="20" r="1.2"/>',
    '<path d="M12 25h8v1.2h-8z"/>',
    '<circle cx="24" cy="13" r="1"/><circle cx="22" cy="11.5" r=".7"/>',
)


@dataclass(frozen=True, slots=True)
class Look:
    """Which of the parts a character has."""

    shape: str
    palette: str
    eyes: int
    mouth: int
    hat: int
    mark: int


def check(shape: str, palette: str) -> tuple[str, str]:
    """Both as given; Invalid for one there is not. Empty leaves the choice to the seed."""
    if shape and shape not in SHAPES:
        raise Invalid("There is no such shape.", field="sprite_shape", action=f"Choose among {', '.join(SHAPES)}.")
    if palette and palette not in PALETTES:
        raise Invalid(
            "There are no such colours.", field="sprite_palette", action=f"Choose among {', '.join(PALETTES)}."
        )
    return shape, palette


def look(seed: str, shape: str = "", palette: str = "") -> Look:
    """The character of this seed. What is stored and no longer drawn falls back to the seed's own choice."""
    digits = hashlib.sha256(seed.encode()).digest()
    return Look(
        shape if shape in SHAPES else tuple(SHAPES)[digits[0] % len(SHAPES)],
        palette if palette in PALETTES else tuple(PALETTES)[digits[1] % len(PALETTES)],
        *(byte % len(parts) for byte, parts in zip(digits[2:6], (_EYES, _MOUTHS, _HATS, _MARKS), strict=True)),
    )


@lru_cache(maxsize=1024)
def inner(look: Look) -> str:
    """The drawing without its frame."""
    body, shade, ink = PALETTES[look.palette]
    words = {"body": body, "shade": shade, "ink": ink, "y": "16", "top": "14"}
    line = 'fill="none" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round"'
    groups = (
        (f'{line} stroke="{shade}"', _HATS[look.hat]),
        (f'fill="{body}"', f'<path d="{SHAPES[look.shape]}"/>'),
        (f'fill="{shade}"', _MARKS[look.mark]),
        (f'fill="{ink}"', _EYES[look.eyes]),
        (f'{line} stroke="{ink}"', _MOUTHS[look.mouth]),
    )
    return "".join(f"<g {colours}>{part.format(**words)}</g>" for colours, part in groups if part)


def svg(look: Look, name: str = "", size: int = 32) -> str:
    """A whole picture; with a ``name`` it says whose, without one it is decoration."""
    label = f'role="img" aria-label="{escape(name)}"' if name else 'aria-hidden="true"'
    title = f"<title>{escape(name)}</title>" if name else ""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" width="{size}" height="{size}" {label}>'
    return f"{head}{title}{inner(look)}</svg>"


def key(picture: str) -> str:
    """Changes whenever the picture does."""
    return hashlib.sha256(picture.encode()).hexdigest()[:12]
