"""How many conversions this machine holds at a time: its cores, its memory, and what one conversion needs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from prenorm.commands.run.plan import Member

_PROCESS_BYTES = 500 << 20  # Python with torch, matplotlib and the probe's values
_COPIES = 2  # of the weights: as they are on both sides, and what of them is widened
_CGROUP = Path("/sys/fs/cgroup")


def memory_of(member: Member) -> int:
    """Return the memory that the conversion of a member needs, in bytes; an estimate from above.

    Args:
        member: of a plan.

    Returns:
        The most that is resident at a time.
    """
    return _PROCESS_BYTES + _COPIES * member.reading.weight_bytes


def cores() -> int:
    """Return how many cores this process may use.

    Returns:
        At least 1.
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory() -> int | None:
    """Return the memory that can be had now, in bytes: the machine's, or what its control group leaves.

    Returns:
        The bytes; None where the system does not say.
    """
    return min((size for size in (_of_machine(), _of_group()) if size is not None), default=None)


def usual_jobs(members: Sequence[Member]) -> int:
    """Return how many members are converted at a time where nobody says.

    Args:
        members: those that are left.

    Returns:
        As many as cores, memory and members allow; at least 1.
    """
    jobs, free = min(cores(), len(members)), free_memory()
    if free is not None and members:
        jobs = min(jobs, free // max(map(memory_of, members)))
    return max(jobs, 1)


def _of_machine() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")), None)


def _of_group() -> int | None:
    try:
        limit, used = ((_CGROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
        return max(int(limit) - int(used), 0)
    except (OSError, ValueError):  # another system, or "max"
        return None
