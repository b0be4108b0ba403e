"""Memory and processor time of a running system, from `run/up.json`.

Called by `andon doctor`; only looks, never touches a process.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

MEMORY_BUDGET_MB = 1536
CPU_BUDGET_CORES = 0.5


@dataclass(frozen=True, slots=True)
class Usage:
    """What one process of the plan (with its own children) uses."""

    name: str
    pid: int
    memory_mb: float
    """Proportional set size where the kernel tells it, else resident."""
    cores: float


def read_up_file(state: Path) -> dict[str, Any] | None:
    """`run/up.json` of a system that runs now, or None."""
    try:
        document = json.loads((state / "run" / "up.json").read_text())
        return document if psutil.pid_exists(int(document["pid"])) else None
    except (OSError, ValueError, KeyError):
        return None


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _memory(process: psutil.Process) -> int:
    try:
        return process.memory_full_info().pss
    except (psutil.AccessDenied, AttributeError):
        return process.memory_info().rss


def _seconds(processes: list[psutil.Process]) -> float:
    total = 0.0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def measure(up: dict[str, Any], sample_s: float = 2.0) -> list[Usage]:
    """Use of every process over `sample_s` seconds, the supervisor included."""
    pids = {name: int(pid) for name, pid in up.get("processes", {}).items()}
    families = {name: _family(pid) for name, pid in pids.items()}
    own = int(up["pid"])
    pids["andon-up"] = own
    families["andon-up"] = _family(own)[:1]
    before = {name: _seconds(family) for name, family in families.items()}
    began = time.monotonic()
    time.sleep(sample_s)
    elapsed = time.monotonic() - began
    usage = []
    for name, family in families.items():
        memory = 0
        for process in family:
            with suppress(psutil.NoSuchProcess):
                memory += _memory(process)
        cores = max(0.0, _seconds(family) - before[name]) / elapsed
        usage.append(Usage(name, pids[name], memory / 2**20, cores))
    return usage
