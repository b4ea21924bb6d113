"""Mark in a request what its agent read somewhere and no person wrote: the texts for ``runs.provenance``."""

from __future__ import annotations

from runs.models import Approval, Message, RunEvent, Speaker
from runs.provenance import Read, Span, spans

MAX_STEPS = 300
BRINGS = ("tool.result", "tool.completed")


def marked(asked: Approval, text: str) -> list[Span]:
    """``text``, which is what is asked, in pieces. Two queries, none for what no run asks."""
    if asked.run_id is None:
        return [Span(text)]
    earlier = RunEvent.objects.filter(run_id=asked.run_id, kind__in=BRINGS, at__lte=asked.created_at).order_by("seq")
    read = [Read(seq, text) for seq, data in earlier.values_list("seq", "data")[:MAX_STEPS] if (text := _text(data))]
    if not read:
        return [Span(text)]
    messages = Message.objects.filter(conversation__runs=asked.run_id, speaker=Speaker.PERSON)
    return spans(text, messages.values_list("text", flat=True), read)


def _text(data: dict[str, object]) -> str:
    result = data.get("result")
    return result if isinstance(result, str) else ""
