"""Which process is meant across the starts of a machine, and whether one is provably dead.

Asked by the leases of the brain. It only ever proves death; what it cannot prove counts as alive,
and it never looks at another machine or into another container.
"""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")
_SPACES = ("pid", "time")
"""Namespaces that give a process's number and its start their meaning."""


def own_life() -> str:
    """This process as `<boot> <pid namespace> <time namespace> <pid> <start>`; empty: unknown."""
    try:
        if not _our_proc():
            return ""
        start, _ = _start_and_state(os.getpid())
        return f"{_here()} {os.getpid()} {start}"
    except (OSError, ValueError, IndexError):
        return ""


def is_dead(life: str) -> bool:
    """Whether that process certainly runs nothing any more; False: alive, or nobody can tell.

    Of the same boot and the same namespaces, its number is nobody's, or somebody's who started at
    another time, or an unreaped process's without a thread. An inode of a namespace that has come
    to be ours after its first one was destroyed is no gap: all processes in that one are dead.
    """
    here, _, known = life.rpartition(" ")[0].rpartition(" ")
    start = life.rpartition(" ")[2]
    try:
        # Looked at here anew: a forked child must not go by what its parent found.
        if not _our_proc() or here != _here():
            return False
        pid = int(known)
        if pid <= 0:
            return False
        try:
            os.kill(pid, 0)  # sees those, too, that a guarded /proc hides
        except ProcessLookupError:
            return True
        except PermissionError:
            pass  # somebody's; whose, the start tells
        began, state = _start_and_state(pid)
        if began != start:
            return True
        return state == "Z" and os.listdir(_PROC / known / "task") == [known]
    except (OSError, ValueError, IndexError, OverflowError):
        return False


def _our_proc() -> bool:
    """Whether /proc goes by this process's own numbers: another namespace's are about others.

    One number alone could be the same in both by chance; NSpid lists one for each namespace from
    that of /proc down to this process's.
    """
    said = (_PROC / "self/status").read_text()
    numbers = next((row.split()[1:] for row in said.splitlines() if row.startswith("NSpid:")), [])
    return numbers == [str(os.getpid())]


def _here() -> str:
    boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    if not boot:
        raise ValueError("this boot has no name")
    return " ".join([boot, *(_space(name) for name in _SPACES)])


def _space(name: str) -> str:
    try:
        return str(os.stat(_PROC / "self/ns" / name).st_ino)
    except FileNotFoundError:
        if name == "pid":
            raise  # nobody knows then whose a number is
        return "0"  # an older kernel has no namespaces of time


def _start_and_state(pid: int) -> tuple[str, str]:
    """When it began, in ticks since the boot, and its state."""
    said = (_PROC / str(pid) / "stat").read_text()
    fields = said.rpartition(")")[2].split()  # its name may hold anything
    return fields[19], fields[0]
