"""What a run left in its agent's workspace: noted in the background when it ends, compared when somebody asks."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from pathlib import Path

from agents import permissions
from agents.diffing import Piece, words
from agents.models import User
from runs.models import Run
from sandboxes import lifecycle, manifests
from sandboxes.manifests import Change, Manifest
from sandboxes.models import Sandbox

logger = logging.getLogger(__name__)

MOST_SHOWN = 200
MOST_DIFFED = 20  # files whose texts are compared on one page
MOST_DIFFED_CHARS = 20_000
MOST_WAITING = 20

_turn = threading.Lock()
_waiting = threading.BoundedSemaphore(MOST_WAITING)


@dataclass(frozen=True, slots=True)
class Shown:
    """One difference, with the pieces of its texts where both are still known."""

    change: Change
    pieces: list[Piece] | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between the ends of two runs. ``before`` is "" when there was none, or none ``user`` may see
    (``is_first`` tells which). ``problem`` says why nothing can be told."""

    before: str
    rows: list[Shown]
    more: int
    is_cut: bool
    problem: str = ""
    is_first: bool = False


def note_later(sandbox_id: str, run_id: str) -> None:
    """Write down what lies in the workspace now; returns at once. Left out when the machine is far behind."""
    if _waiting.acquire(blocking=False):
        threading.Thread(target=_note, args=(sandbox_id, run_id), name="leavings", daemon=True).start()


def _note(sandbox_id: str, run_id: str) -> None:
    try:
        with _turn:
            manifests.take(lifecycle.root_of(sandbox_id), run_id)
    except OSError as error:
        logger.info("What the run left was not noted: %s", error.strerror)
    except Exception:
        logger.exception("What the run left was not noted")
    finally:
        _waiting.release()


def compared(user: User, run: Run, other_id: str = "") -> Comparison:
    """What differs between the end of ``run`` and that of the other, or else of the run before it. NotFound for a run
    of another agent, or one that ``user`` may not see; a ``problem`` where nothing is known."""
    permissions.require(user, "workspace.view", run.agent)
    if other_id:
        permissions.fetch(user, "run.view", Run.objects.filter(agent_id=run.agent_id), pk=other_id)
    row = Sandbox.objects.filter(agent_id=run.agent_id, files_removed_at=None).first()
    if row is None:
        return Comparison(
            "", [], 0, False, "The workspace is not there: it was not made yet, or its files were removed."
        )
    root = lifecycle.root_of(row.pk)
    new = manifests.of(root, run.pk)
    if new is None:
        return Comparison("", [], 0, False, _why_unknown(run))
    old = manifests.of(root, other_id) if other_id else _before(root, new)
    if old is None and other_id:
        return Comparison(other_id, [], 0, False, "What lay there at the end of the other run is not known any more.")
    is_first = old is None
    old = old or Manifest("", 0)
    changes = manifests.compare(old, new)
    rows = [
        Shown(change, _pieces(root, change) if number < MOST_DIFFED else None)
        for number, change in enumerate(changes[:MOST_SHOWN])
    ]
    before = permissions.visible(user, Run.objects.filter(pk=old.run_id)).values_list("pk", flat=True).first() or ""
    return Comparison(before, rows, len(changes) - len(rows), old.is_cut or new.is_cut, is_first=is_first)


def others(user: User, run: Run) -> list[Run]:
    """The agent's other runs that this one can be compared with and ``user`` may see, the newest first."""
    row = Sandbox.objects.filter(agent_id=run.agent_id, files_removed_at=None).first()
    known = [] if row is None else manifests.runs(lifecycle.root_of(row.pk))
    seen = permissions.visible(user, Run.objects.filter(pk__in=known)).exclude(pk=run.pk)
    return list(seen.defer("stamp").order_by("-created_at"))


def _before(root: Path, new: Manifest) -> Manifest | None:
    for run_id in manifests.runs(root):
        found = manifests.of(root, run_id)
        if found is not None and found.taken_at < new.taken_at:
            return found
    return None


def _pieces(root: Path, change: Change) -> list[Piece] | None:
    texts = [
        "" if size in (None, 0) else manifests.text_of(root, digest)
        for size, digest in zip(change.sizes, change.digests, strict=True)
    ]
    if texts[0] is None or texts[1] is None or max(map(len, filter(None, texts)), default=0) > MOST_DIFFED_CHARS:
        return None
    return words(texts[0], texts[1])


def _why_unknown(run: Run) -> str:
    if run.finished_at is None:
        return "The run goes on; what it left is noted when it ends."
    return (
        "What lay in the workspace at the end of this run is not known: it ended before a sandbox ran, or so long ago "
        "that its list is not kept any more."
    )
