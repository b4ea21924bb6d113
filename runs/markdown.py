"""Markdown from agents as safe HTML: CommonMark, tables and strikethrough, code coloured by classes.

Two walls: markdown-it is told to treat HTML as text, and nh3 then keeps only what the lists below name.
Images become links, because loading one would tell a stranger that somebody reads this.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import nh3
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from sandboxes import highlighting

# Above this the text is shown as it is: the parser takes 4 µs a character on its worst inputs, and it
# runs where streams are served.
MAX_CHARS = 30_000
MAX_HIGHLIGHTED_CHARS = 12_000

_BLOCKS = {"blockquote", "br", "div", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "ul"}
_TABLES = {"table", "tbody", "td", "th", "thead", "tr"}
TAGS = _BLOCKS | _TABLES | {"a", "code", "del", "em", "s", "span", "strong"}
ATTRIBUTES = {
    "a": {"href", "title"},
    "code": {"class"},
    "div": {"class"},
    "ol": {"start"},
    "pre": {"data-language"},
    "span": {"class"},
    "td": {"class"},
    "th": {"class"},
}
SCHEMES = {"http", "https", "mailto"}

_formatter: HtmlFormatter[str] = HtmlFormatter(nowrap=True, classprefix="hl-")


def to_html(text: str) -> SafeString:
    """``text`` as HTML that may be put into a page as it is."""
    if len(text) > MAX_CHARS:
        return format_html('<div class="raw">{}</div>', text)
    return _to_html(text)


# Every viewer of a run asks for the same texts.
@lru_cache(maxsize=256)
def _to_html(text: str) -> SafeString:
    try:
        html = _parser.render(text)
    except RecursionError:
        return format_html('<div class="raw">{}</div>', text)
    clean = nh3.clean(
        html,
        tags=TAGS,
        attributes=ATTRIBUTES,
        url_schemes=SCHEMES,
        url_relative="deny",
        link_rel="noopener noreferrer nofollow",
        set_tag_attribute_values={"a": {"target": "_blank"}},
    )
    return mark_safe(clean)  # noqa: S308 (cleaned on the line above)


def _colour(code: str, language: str) -> str:
    """The inside of a code block with its tokens in spans, or escaped where the language is not known."""
    if not language or len(code) > MAX_HIGHLIGHTED_CHARS or not highlighting.is_quick(code):
        return escape(code)
    try:
        return highlighting.coloured(get_lexer_by_name(language), code, _formatter)
    except ClassNotFound:
        return escape(code)


def _fence(_: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    token = tokens[index]
    language = (token.info.split() or [""])[0][:30]
    inside = _colour(token.content, language)
    return format_html('<pre data-language="{}"><code>{}</code></pre>', language, mark_safe(inside))  # noqa: S308


def _image(_: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    token = tokens[index]
    label = token.content or "image"
    return format_html('<a href="{}">{}</a>', token.attrGet("src") or "", f"image: {label}")


def _table_open(_: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return '<div class="wide"><table>'


def _table_close(_: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return "</table></div>"


def _cell_open(_: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    # The parser aligns with a style attribute, which the content security policy forbids.
    align = str(tokens[index].attrGet("style") or "").removeprefix("text-align:")
    return f'<{tokens[index].tag} class="{align}">' if align in {"right", "center"} else f"<{tokens[index].tag}>"


def _make_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
    rules = {
        "fence": _fence,
        "image": _image,
        "table_open": _table_open,
        "table_close": _table_close,
        "th_open": _cell_open,
        "td_open": _cell_open,
    }
    for name, rule in rules.items():
        parser.add_render_rule(name, rule)
    return parser


_parser = _make_parser()
