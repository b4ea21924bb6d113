"""A second opinion on a command by Tirith, a scanner for what eyes miss: look-alike addresses, hidden characters.

It is another program, asked by its path, with no environment and told to stay off the network. Its exit code is its
word (0 allow, 1 block, 2 warn); what it prints only adds reasons. Anything else, an error or too long a silence, is
"failed": then a person decides, and no rule.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from typing import Any, Literal

from agents.gate.judging import Finding
from agents.gate.rules import SEVERITIES

logger = logging.getLogger(__name__)

DEADLINE_S = 5.0
MOST = 20  # findings
LONGEST = 100_000  # a program may be handed no longer word
_WORDS: dict[int | None, Literal["allow", "warn", "block"]] = {0: "allow", 1: "block", 2: "warn"}


@dataclass(frozen=True, slots=True)
class Opinion:
    """What it said. ``none``: it was not asked."""

    verdict: Literal["none", "allow", "warn", "block", "failed"]
    findings: tuple[Finding, ...] = ()


NO_OPINION = Opinion("none")


async def second_opinion(command: str, program: str, deadline_s: float = DEADLINE_S) -> Opinion:
    """What the ``program`` thinks of the command; none when no program is set. Never raises but when cancelled."""
    if not program:
        return NO_OPINION
    if "\x00" in command or len(command.encode("utf-8", "replace")) > LONGEST:
        return _failed("cannot be handed this command")
    try:
        code, said = await _asked(command, program, deadline_s)
    except TimeoutError:
        return _failed(f"did not answer in {deadline_s:g} seconds")
    except (OSError, ValueError) as error:
        logger.warning("The second opinion could not be had: %s", error)
        return _failed("could not be started")
    verdict = _WORDS.get(code)
    if verdict is None:
        return _failed("ended without a verdict")
    found = _findings(said)
    if verdict != "allow" and not found:
        found = (Finding("tirith", "high" if verdict == "block" else "medium", "Tirith warns of it.", ""),)
    return Opinion(verdict, found if verdict != "allow" else ())


async def _asked(command: str, program: str, deadline_s: float) -> tuple[int | None, bytes]:
    words = ("check", "--format", "json", "--non-interactive", "--offline", "--no-daemon", "--", command)
    process = await asyncio.create_subprocess_exec(
        program,
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
        cwd="/",
    )
    try:
        async with asyncio.timeout(deadline_s):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, said


def _failed(why: str) -> Opinion:
    sentence = f"The second opinion {why}, so a person decides."
    return Opinion("failed", (Finding("tirith:failed", "high", sentence, ""),))


def _findings(said: bytes) -> tuple[Finding, ...]:
    """The reasons in its JSON; none in what cannot be read."""
    try:
        document: Any = json.loads(said)
        return tuple(_finding(entry) for entry in document["findings"][:MOST])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ()


def _finding(entry: dict[str, Any]) -> Finding:
    severity = str(entry.get("severity", "")).lower()
    title = " ".join(str(entry.get("title") or "Tirith warns of it").split())[:200].rstrip(".")
    return Finding(
        f"tirith:{str(entry.get('rule_id', ''))[:60]}",
        severity if severity in SEVERITIES else "medium",
        f"{title}.",
        "",
    )
