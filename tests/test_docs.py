"""The documents are held to account: what they list is what the code has, what they link to and tell to type is there."""

from __future__ import annotations

import contextlib
import io
import itertools
import re
import shlex
import unicodedata
from functools import cache
from pathlib import Path

import pytest
from django.core.management import call_command, get_commands, load_command_class

from agents.actions import ACTIONS
from agents.errors import Code
from agents.invisible import first_hidden
from agents.models import Role
from agents.standing import LEVELS
from logos_site import reference
from logos_site.env import REGISTRY, Variable
from runs.words import ERRORS
from sandboxes.hermes.runtime import VERSION as RUNTIME_VERSION
from tests.test_structure import ROOT, tracked

DOCS = ROOT / "docs"
# What the shell script does itself rather than hand over to Django.
OF_THE_SCRIPT = {"test", "lint", "help"}


@cache
def pages() -> tuple[Path, ...]:
    """Every page the repository carries."""
    found = [ROOT / path for path in tracked() if path.suffix == ".md"]
    assert len(found) > 10
    return tuple(found)


def table_after(page: str, heading: str) -> list[list[str]]:
    """The cells of the first table after ``heading``, its head left out."""
    lines = page[page.index(heading) :].splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| ---"))
    rows = []
    for line in lines[start + 1 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return rows


def console_lines() -> list[tuple[str, str]]:
    """(page, what is typed) for every command with a prompt in a block of any page."""
    return [
        (str(page.relative_to(ROOT)), line[2:])
        for page in pages()
        for block in re.findall(r"^```console\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
        for line in block.replace("\\\n", " ").splitlines()
        if line.startswith("$ ")
    ]


def typed_at_logos() -> list[tuple[str, str]]:
    return [(page, line) for page, line in console_lines() if "./logos" in line]


def anchor_of(heading: str) -> str:
    """The address of a heading as GitHub makes it."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
    kept = [c for c in text if c in "-_ " or unicodedata.category(c)[0] in "LN"]
    return "".join(kept).replace(" ", "-")


# --- made from the code ---------------------------------------------------------------------------
def test_the_made_parts_are_what_the_code_says() -> None:
    call_command("docs", check=True, stdout=io.StringIO(), stderr=io.StringIO())


def test_a_page_that_is_not_up_to_date_is_found_and_written(tmp_path: Path) -> None:
    docs, example = tmp_path / "docs", tmp_path / ".env.example"
    docs.mkdir()
    for name in reference.PAGES:
        (docs / name).write_text((DOCS / name).read_text())
    example.write_text("#LOGOS_HOST=\n")
    page = docs / "permissions.md"
    page.write_text(page.read_text().replace("Stop a run", "Stop somebody"))

    stale = reference.stale(docs)

    assert stale == {page: (DOCS / "permissions.md").read_text(), example: (ROOT / ".env.example").read_text()}


@pytest.mark.parametrize("page", ["no markers", f"{reference.BEGIN} twice {reference.BEGIN} {reference.END}"])
def test_a_page_without_its_two_markers_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="two markers"):
        reference.renewed(page, "made")


def test_a_default_that_depends_on_the_machine_is_told_as_a_rule() -> None:
    assert reference.default_of(REGISTRY["LOGOS_HOME"]) == "`~/.logos`; as root `/var/lib/logos`"
    assert reference.default_of(Variable("LOGOS_OTHER", "", "Nothing.")) == "empty"


def test_every_setting_has_a_heading_and_no_other_does() -> None:
    headings = re.findall(r"^### `(LOGOS_\w+)`$", (DOCS / "settings.md").read_text(), re.MULTILINE)

    assert headings == list(REGISTRY)


def test_every_setting_a_page_names_exists() -> None:
    known = {*REGISTRY, *(f"{name}_FILE" for name in REGISTRY)}
    unknown = {
        (page.name, name)
        for page in pages()
        for name in re.findall(r"\bLOGOS_[A-Z_]*[A-Z]\b", page.read_text())
        if name not in known
    }

    assert not unknown


def test_the_table_of_permissions_says_what_the_code_decides() -> None:
    rows = table_after((DOCS / "permissions.md").read_text(), "## Every action")

    assert [row[0].strip("`") for row in rows] == list(ACTIONS)
    for name, sentence, level, *marks in rows:
        action = ACTIONS[name.strip("`")]
        assert (sentence, level) == (action.sentence, action.level or "none")
        assert {role for role, mark in zip(Role.values, marks, strict=True) if mark == "yes"} == action.roles
        assert level in (*LEVELS, "none")


def test_every_command_of_ours_has_its_section_and_its_exit_codes() -> None:
    page = (DOCS / "commands.md").read_text()
    ours = {name for name, app in get_commands().items() if app in reference.OURS}
    sections = dict(re.findall(r"^### `([\w-]+)`$(.*?)(?=^### |\Z)", page, re.MULTILINE | re.DOTALL))
    in_table = {word for row in table_after(page, "## Exit codes") for word in re.findall(r"`([\w-]+)`", row[0])}

    assert sections.keys() == ours
    assert not {name for name in ours - in_table if "exit codes:" not in sections[name]}


# --- written by hand ------------------------------------------------------------------------------
def test_every_error_code_is_in_the_table_with_its_sentence_and_action() -> None:
    rows = table_after((DOCS / "operating.md").read_text(), "A run that ends badly carries a code.")

    assert {code.strip("`"): (sentence, action) for code, sentence, action in rows} == ERRORS
    assert set(ERRORS) == set(Code)


def test_every_kind_of_event_is_described_and_no_other() -> None:
    told = {row[0].strip("`") for row in table_after((DOCS / "architecture.md").read_text(), "## Events, version 1")}
    rooms = [
        *(ROOT / "runs").rglob("*.py"),
        *(ROOT / "mcp_gateway").glob("*.py"),
        *(ROOT / "mcp_gateway/sampling").glob("*.py"),
    ]
    source = "\n".join(path.read_text() for path in rooms)
    nouns = "run|sandbox|text|reasoning|model|tool|approval|budget|mcp"
    made = set(re.findall(rf'"((?:{nouns})\.[a-z]+|note|egress)"', source)) - ACTIONS.keys()

    assert told == made


def test_the_runtime_a_page_names_is_the_one_that_is_installed() -> None:
    named = {
        (page.name, version)
        for page in pages()
        for version in re.findall(
            r"hermes(?:-agent(?:\]\([^)]*\))?|-agent\[mcp\]==|-)? ?=?=?(0\.\d+\.\d+)", page.read_text()
        )
    }

    assert {version for _, version in named} == {RUNTIME_VERSION}


def test_every_link_leads_somewhere() -> None:
    broken = []
    for page in pages():
        text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"(https?|mailto):", target):
                continue
            path, _, anchor = target.partition("#")
            there = (page.parent / path).resolve() if path else page
            headings = re.findall(r"^#+ (.+)$", there.read_text(), re.MULTILINE) if there.suffix == ".md" else []
            if not there.exists() or (anchor and anchor not in map(anchor_of, headings)):
                broken.append(f"{page.relative_to(ROOT)}: {target}")

    assert not broken


def test_every_page_below_docs_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        links = re.findall(r"\]\(([^)#\s]+)", page.read_text())
        waiting += [there for link in links if (there := (page.parent / link).resolve()) in pages()]

    assert set(pages()) == reached


def test_pictures_are_light_and_used() -> None:
    pictures = set((DOCS / "images").iterdir())
    readme = (ROOT / "README.md").read_text()

    assert pictures
    for picture in pictures:
        assert picture.stat().st_size < 150_000
        assert f"docs/images/{picture.name}" in readme


@pytest.mark.parametrize(("page", "line"), typed_at_logos())
def test_what_a_page_tells_to_type_is_understood(page: str, line: str) -> None:
    words = shlex.shlex(line[line.index("./logos") :], posix=True, punctuation_chars=True)
    words.whitespace_split = True
    _, command, *rest = itertools.takewhile(lambda word: not set(word) <= set("|<>&"), words)
    if command in OF_THE_SCRIPT:
        assert f"./logos {command}" in (ROOT / "logos").read_text()
        return

    app = get_commands()[command]

    if app in reference.OURS:
        parser = load_command_class(app, command).create_parser("./logos", command)
        with contextlib.redirect_stderr(io.StringIO()):
            parser.parse_args(rest)


def test_the_quick_start_names_what_the_script_offers() -> None:
    readme = (ROOT / "README.md").read_text()
    quick_start = readme[readme.index("## Quick start") : readme.index("## STAMP")]
    typed = set(re.findall(r"^\$ \./logos (\w+)", quick_start, re.MULTILINE))

    assert typed == {"up", "chat", "doctor", "test"}
    assert typed - OF_THE_SCRIPT <= get_commands().keys()


def test_pages_name_no_place_of_the_machine_they_were_written_on() -> None:
    strange = re.compile(r"(?<![\w.])/(?:work|tmp|root|home/(?!agent)[a-z]+)/")

    assert not [(page.name, found[0]) for page in pages() if (found := strange.search(page.read_text()))]


def test_pages_are_plain() -> None:
    """No emoji, and nothing that cannot be seen."""
    odd = re.compile("[\u2600-\u27bf\ufe0f\U0001f000-\U0001faff]")

    assert not [page.name for page in pages() if odd.search(page.read_text())]
    assert not [page.name for page in pages() if first_hidden(page.read_text()) is not None]


def test_every_test_the_threat_model_names_is_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "THREAT_MODEL.md").read_text()))
    known = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^\s*(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
    }

    assert len(named) > 40
    assert named - known == set()
