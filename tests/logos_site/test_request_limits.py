"""What whoever sends too much is told, before anybody has looked at it."""

from __future__ import annotations

import json
from typing import Any

from logos_site.request_limits import refusal

PAGE, CALL = b"/agents/agent_1/files/?path=a", b"/api/agents/agent_1/files/content?path=a"


def parts(answer: bytes) -> tuple[str, str]:
    head, _, body = answer.decode().partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 413 ")
    assert f"Content-Length: {len(body.encode())}" in head
    return head, body


def test_a_person_whose_upload_is_too_large_reads_a_sentence_with_the_limit(settings: Any) -> None:
    settings.LOGOS_UPLOAD_MB = 7

    head, body = parts(refusal(PAGE, is_upload=True))

    assert "Content-Type: text/html" in head
    assert "A file may have 7 MB here. Nothing of it was kept." in body


def test_a_program_is_told_the_same_in_the_shape_of_every_error(settings: Any) -> None:
    settings.LOGOS_UPLOAD_MB = 7

    head, body = parts(refusal(CALL, is_upload=True))

    assert "Content-Type: application/json" in head
    error = json.loads(body)["error"]
    assert error["message"].startswith("A file may have 7 MB here.")
    assert (error["reason"], error["field"], error["action"]) == ("too_large", "file", "")


def test_a_stranger_learns_no_limit() -> None:
    assert json.loads(parts(refusal(CALL, is_upload=False))[1])["error"]["message"] == "The request is too large."
    assert "MB" not in parts(refusal(PAGE, is_upload=False))[1]
