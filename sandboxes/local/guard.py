"""The guard: watches from the host what one sandbox uses, and ends what goes over its limits. A thread of the keeper.

It lives with the keeper because that is there as long as the sandbox is, whatever becomes of the engine. Memory and
processes are its work only where no control group does it; disk always is, because there is no quota for people
without privileges. It acts after the fact: within a second or so, and it says what it did. It deletes nothing.
Standard library only.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from typing import Any

from sandboxes.local import usage
from sandboxes.local.groups import Group, Wanted

CALM_S, BUSY_S = 1.0, 0.1  # between two looks at memory: far from the limit, near it
DISK_S = 2.0  # between two walks through the files, at least
WALK_SHARE = 20  # a walk that takes long is made the more seldom
DISK_JUMP = 256 << 20  # when the file system loses this much at once, look again sooner
LAST_WARNING = 3  # looks in a row at which it had grown: now everything ends
DISK_SLACK = 8 << 20  # over the limit this much more may be written: a note of what happened, the runtime's own state
REPEAT_S = 10.0  # the same notice not more often than this

Notice = dict[str, Any]


class Guard(threading.Thread):
    def __init__(self, init: int, wanted: Wanted, groups: list[Group], directories: list[str], notices: int) -> None:
        super().__init__(name="guard", daemon=True)
        self._init, self._wanted, self._groups, self._directories = init, wanted, groups, directories
        self._notices = notices
        self._told: dict[str, float] = {}
        self._counted: dict[str, int] = {}
        self._walk_at = self._took_s = 0.0
        self._free = 0
        self._used_when_over: int | None = None
        self._grown = 0
        self.runtime: int | None = None  # its number inside: what the sandbox is there for goes last

    def run(self) -> None:
        by_group = {resource for group in self._groups for resource in group.resources}
        while True:
            wait_s = CALM_S
            try:
                for group in self._groups:
                    self._look_at_counters(group)
                if "memory" not in by_group:
                    wait_s = self._look_at_memory()
                if "processes" not in by_group:
                    self._look_at_processes()
                self._look_at_disk()
            except OSError as problem:  # a sandbox that is just ending
                self._tell("guard", f"could not look: {problem.strerror}", over=False)
            time.sleep(wait_s)

    # Memory and processes

    def _look_at_counters(self, group: Group) -> None:
        sentences = {"memory": _MEMORY, "processes": _PROCESSES}
        for resource in sentences.keys() & set(group.resources):
            count, before = group.count(resource), self._counted.get(resource, 0)
            self._counted[resource] = count
            if count > before:
                self._tell(resource, sentences[resource].format(self._amount(resource)), count=count)

    def _look_at_memory(self) -> float:
        limit = self._wanted["memory_mb"] << 20
        pids = usage.descendants(self._init)
        if sum(usage.resident(pid) for pid in pids) <= limit // 2:
            return CALM_S
        sizes = {pid: usage.proportional(pid) for pid in pids}
        while sum(sizes.values()) > limit:
            largest = max(sizes, key=lambda pid: sizes[pid])
            self._end([largest])
            self._tell("memory", _MEMORY.format(self._amount("memory")))
            del sizes[largest]
        return BUSY_S

    def _look_at_processes(self) -> None:
        if len(usage.descendants(self._init)) >= self._wanted["processes"]:
            self._tell("processes", _PROCESSES.format(self._amount("processes")))

    # Disk

    def _look_at_disk(self) -> None:
        if not self._directories or not self._wanted["disk_mb"] or not self._is_time_to_walk():
            return
        began = time.monotonic()
        pids = usage.descendants(self._init)
        try:
            used: int | None = usage.on_disk(self._directories) + usage.deleted_but_open(pids, self._device())
        except usage.Uncountable:
            used = None
        self._took_s = time.monotonic() - began
        self._judge_disk(used, pids)

    def _is_time_to_walk(self) -> bool:
        found = os.statvfs(self._directories[0])
        free, now = found.f_bavail * found.f_frsize, time.monotonic()
        waited_s = now - self._walk_at
        due = waited_s >= max(DISK_S, self._took_s * WALK_SHARE)
        if due or (self._free - free > DISK_JUMP and waited_s >= self._took_s * 2):
            self._walk_at, self._free = now, free
            return True
        return False

    def _device(self) -> int:
        return os.stat(self._directories[0]).st_dev

    def _judge_disk(self, used: int | None, pids: list[int]) -> None:
        limit = self._wanted["disk_mb"] << 20
        if used is not None and used <= limit:
            if self._used_when_over is not None:
                self._used_when_over = None
                self._tell("disk", "Its files are below their limit again.", over=False, at_once=True)
            return
        if used is None:
            self._end([pid for pid in pids if not self._is_runtime(pid)])
            self._tell("disk", _TOO_DEEP.format(usage.DEEPEST))
            return
        before = self._used_when_over
        self._grown = 0 if before is None or used <= before + DISK_SLACK else self._grown + 1
        if before is None or self._grown:
            # Whoever deletes may go on. Whoever writes more is ended; the runtime too if ending the others does not help.
            is_stubborn = self._grown >= LAST_WARNING
            self._end([pid for pid in pids if is_stubborn or not self._is_runtime(pid)])
            self._tell("disk", _DISK.format(_size(used), self._amount("disk")), used=used, at_once=before is None)
        self._used_when_over = used if before is None or self._grown else min(used, before)

    def _is_runtime(self, pid: int) -> bool:
        return self.runtime is not None and usage.number_inside(pid) == self.runtime

    # Acting and telling

    def _end(self, pids: list[int]) -> None:
        for pid in pids:
            try:
                descriptor = os.pidfd_open(pid)
            except OSError:
                continue
            try:
                # The number may have gone to somebody else since it was listed; inside, there is a second one.
                if usage.number_inside(pid) not in (None, 1):
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            except OSError:
                pass
            finally:
                os.close(descriptor)

    def _amount(self, resource: str) -> str:
        if resource == "processes":
            return str(self._wanted["processes"])
        return _size(self._wanted["memory_mb" if resource == "memory" else "disk_mb"] << 20)

    def _tell(self, limit: str, sentence: str, *, over: bool = True, at_once: bool = False, **facts: int) -> None:
        now = time.monotonic()
        if not at_once and now - self._told.get(limit, -REPEAT_S) < REPEAT_S:
            return
        self._told[limit] = now
        notice: Notice = {"limit": limit, "sentence": sentence, "over": over, "at": time.time(), **facts}
        try:
            os.write(self._notices, json.dumps(notice).encode() + b"\n")
        except BlockingIOError:
            pass  # the keeper has more of them than it can read


_MEMORY = "It reached its memory limit of {}, and the largest of its processes was ended."
_PROCESSES = "It reached its limit of {} processes, and no more could be started."
_DISK = (
    "Its files take {}, more than its disk limit of {}. What wrote them was ended; nothing was deleted. Delete some, or "
    "raise the limit."
)
_TOO_DEEP = (
    "Its directories lie more than {} deep in one another, so that nobody can count what they hold. What ran in it was "
    "ended; nothing was deleted. Remove them."
)


def _size(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB" if size >= 1 << 30 else f"{size >> 20} MiB"
