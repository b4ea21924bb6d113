"""SOUL.md: what is written is read again to the letter; what cannot be read is refused in a sentence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.errors import Invalid
from agents.soul_files import MAX_BYTES, Sheet, decode, parse, render
from agents.toolsets import TOOLSETS, ToolsetLists

FULL = Sheet(
    "Night: watch",
    "Looks # after “things”",
    "operations",
    ("a-b", "on", "1e3"),
    ToolsetLists(enforced=("file",), forbidden=("terminal", "vision")),
    "# Hello\n\n---\n\nkey: value\n",
)
LETTERS = st.characters(exclude_categories=("Cs", "Cc", "Cf", "Zl", "Zp", "Co", "Cn"))
LINES = st.text(LETTERS, max_size=40).map(str.strip)
TEXTS = st.text(st.one_of(LETTERS, st.sampled_from("\n-: #")), max_size=200)


def test_everything_a_person_wrote_survives_a_file() -> None:
    assert parse(render(FULL)) == FULL


@given(name=LINES, description=LINES, category=LINES, text=TEXTS, tags=st.lists(st.from_regex(r"\A\w+\Z"), max_size=3))
def test_whatever_was_written_is_read_again_to_the_letter(
    name: str, description: str, category: str, text: str, tags: list[str]
) -> None:
    sheet = Sheet(name or "n", description, category, tuple(tags), ToolsetLists(optional=tuple(TOOLSETS)), text)

    assert parse(render(sheet)) == sheet


def test_a_file_without_front_matter_is_all_text_and_called_after_its_heading_or_itself() -> None:
    assert parse("# Grumpy cat #\nBe grumpy.") == Sheet("Grumpy cat", text="# Grumpy cat #\nBe grumpy.")
    assert parse("Be kind.", "my_kind-soul.md").name == "my kind soul"
    assert parse("Be kind.", "SOUL.md").name == ""


def test_line_ends_and_a_byte_order_mark_of_other_systems_are_taken() -> None:
    assert parse(decode(b"\xef\xbb\xbf---\r\nname: A\r\n---\r\nBe.\r\n")) == Sheet("A", text="Be.\n")


def test_what_means_nothing_here_is_left_out_and_said() -> None:
    sheet = parse(
        "---\nname: A\nversion: 3\ntoolsets:\n  default: [file, rl]\n  loved: [file]\ndescription: >\n  two\n  lines\n"
        "tags: x, y z\n---\nBe."
    )

    assert (sheet.description, sheet.tags, sheet.toolsets) == (
        "two lines",
        ("x", "y", "z"),
        ToolsetLists((), ("file",)),
    )
    assert list(sheet.notes) == [
        "There is no toolset called rl here; it was left out.",
        "“loved” is no kind of toolset list and was left out.",
        "“version” means nothing here and was left out.",
    ]


BOMB = "a: &a [x]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("---\nname: A\nBe.", "has no end"),
        ("---\nname: [A\n---\nBe.", "cannot be read in line"),
        ("---\n- a\n- b\n---\nBe.", "not a list of names"),
        ("---\njust words\n---\nBe.", "not a list of names"),
        ("---\nname: [A]\n---\nBe.", "name is not a text"),
        ("---\ntags: {a: b}\n---\nBe.", "tags is not a list of words"),
        ("---\ntags: [[a]]\n---\nBe.", "tags is not a list of words"),
        ("---\ntoolsets: [file]\n---\nBe.", "toolsets is not one list per kind"),
        (f"---\n{BOMB}---\nBe.", "cannot be read"),
        ("---\n" + "[" * 3000 + "\n---\nBe.", "cannot be read"),
        ("---\nname: " + "x" * 9000 + "\n---\nBe.", "8,000 characters"),
        ("---\n!!python/object/apply:os.system [ls]\n---\nBe.", "not a list of names"),
    ],
)
def test_front_matter_that_cannot_be_read_is_refused_in_a_sentence(content: str, words: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse(content)

    assert words in refused.value.message
    assert refused.value.field == "file"


@pytest.mark.parametrize(("data", "words"), [(b"x" * (MAX_BYTES + 1), "100 KB"), (b"\xff\xfe\x00a", "not UTF-8")])
def test_a_file_that_is_no_text_or_too_large_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        decode(data)
