"""What agents write becomes HTML that can do no harm."""

from __future__ import annotations

import time

import pytest

from runs.markdown import MAX_CHARS, to_html


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("**bold** and *soft*", "<p><strong>bold</strong> and <em>soft</em></p>"),
        ("~~gone~~", "<p><s>gone</s></p>"),
        ("one\ntwo", "<p>one<br>\ntwo</p>"),
        ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>"),
        ("3. c", '<ol start="3">\n<li>c</li>\n</ol>'),
        ("`x < y`", "<p><code>x &lt; y</code></p>"),
    ],
)
def test_common_markdown_is_drawn(text: str, html: str) -> None:
    assert to_html(text).strip() == html


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<iframe src='https://evil.example'></iframe>",
        "<style>*{display:none}</style>",
        "<a href='javascript:alert(1)'>x</a>",
        "<form action='https://evil.example'><input name=password></form>",
        "<svg/onload=alert(1)>",
        '"><button onclick="alert(1)">',
        "<!-- --><b onmouseover=alert(1)>",
    ],
)
def test_raw_html_stays_text(text: str) -> None:
    html = to_html(text)

    assert not any(f"<{tag}" in html for tag in ("script", "img", "iframe", "style", "form", "input", "svg", "button"))
    assert "&lt;" in html


@pytest.mark.parametrize(
    "target",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java&#10;script:alert(1)",
        "vbscript:x",
        "data:text/html;base64,PHNjcmlwdD4=",
        "file:///etc/passwd",
        "/admin/",
        "//evil.example",
    ],
)
def test_only_plain_web_addresses_are_linked(target: str) -> None:
    assert "href=" not in to_html(f"[x]({target})")


def test_links_open_elsewhere_and_tell_nothing_about_us() -> None:
    html = to_html("[docs](https://example.org/a?b=1&c=2 'title')")

    assert 'href="https://example.org/a?b=1&amp;c=2"' in html
    assert 'rel="noopener noreferrer nofollow"' in html
    assert 'target="_blank"' in html


def test_images_become_links_so_that_nothing_is_loaded() -> None:
    html = to_html("![a cat](https://evil.example/cat.png)")

    assert "<img" not in html
    assert 'href="https://evil.example/cat.png"' in html
    assert "image: a cat" in html


def test_code_is_coloured_by_classes_without_styles() -> None:
    html = to_html("```python\ndef f(): return '<b>'\n```")

    assert '<span class="hl-k">def</span>' in html
    assert "style=" not in html
    assert "&lt;b&gt;" in html


@pytest.mark.parametrize("language", ["nosuchlanguage", 'python" onload="x', "<script>", ""])
def test_unknown_languages_are_shown_plain(language: str) -> None:
    html = to_html(f"```{language}\n<b>1</b>\n```")

    assert "&lt;b&gt;1&lt;/b&gt;" in html
    assert "onload=" not in html.replace("&quot;", '"').split(">", 1)[1]


def test_tables_align_by_class_because_styles_are_forbidden() -> None:
    html = to_html("| a | b |\n|---|--:|\n| 1 | 2 |")

    assert '<td class="right">2</td>' in html
    assert "style=" not in html


def test_a_text_beyond_the_limit_is_shown_as_it_is() -> None:
    html = to_html("<b>*" + "x" * MAX_CHARS)

    assert html.startswith('<div class="raw">&lt;b&gt;*')


@pytest.mark.parametrize("unit", ["*a ", "[", "![a](", "> ", "`a", "a**b", "~~a", "|a", "- ", "[a]: x\n", "<", "\\"])
def test_hostile_input_takes_no_longer_than_a_breath(unit: str) -> None:
    text = (unit * MAX_CHARS)[:MAX_CHARS]
    began = time.process_time()

    to_html(text)

    assert time.process_time() - began < 20
