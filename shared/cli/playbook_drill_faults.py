"""What breaks in a drill: faults of simulated plants and devices, and ways to edges that are cut.

Used by `playbook_drill_run.py`. Everything is put right again at the end, whatever has happened;
a way is cut by halting the edge's own message server, so the edge itself goes on alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any

from shared.cli.playbook_remote import Web
from shared.errors import ConfigError
from shared.playbook.rehearsal.drills import Drill, DrillFault
from shared.playbook.rehearsal.told import clock


class Breakage:
    """The faults of one drill."""

    def __init__(
        self, plan: Drill, plants: Web, up: Mapping[str, Any], site: str, say: Callable[[str], None]
    ) -> None:  # fmt: skip
        self._plan, self._plants, self._say = plan, plants, say
        self._servers = {
            fault.link: _server(up, site, fault.link) for fault in plan.faults if fault.link
        }
        self._cut: dict[str, float] = {}
        """Edge -> when its way is opened again."""
        self._left = list(plan.faults)

    def restore(self) -> None:
        """Healthy plants and open ways."""
        for edge in self._servers:
            self._open(edge)
        self._plants.ask("POST", "/speed", {"factor": 1.0})
        for plant in sorted({*self._plan.reset, *(f.plant for f in self._plan.faults if f.plant)}):
            self._plants.ask("POST", "/reset", {"plant": plant})

    def before(self) -> None:
        """Break what is broken when the run begins."""
        self._plants.ask("POST", "/speed", {"factor": self._plan.speed})
        for fault in [one for one in self._left if not one.at and one.at_step is None]:
            self._break(fault, 0)
        time.sleep(self._plan.lead / 1000)

    def look(self, passed: float, began: Mapping[str, float]) -> None:
        """Break what is due `passed` ms after the beginning; `began`: step -> ms, as seen."""
        now = time.monotonic()
        for edge in [edge for edge, until in self._cut.items() if now >= until]:
            self._open(edge)
            self._say(f"{clock(round(passed)):>9} {edge} 恢复联系 / can be reached again")
        for fault in list(self._left):
            since = 0.0 if fault.at_step is None else began.get(fault.at_step)
            if since is not None and since + fault.at <= passed:
                self._break(fault, passed)

    def _break(self, fault: DrillFault, passed: float) -> None:
        self._left.remove(fault)
        if fault.link is not None:
            self._halt(fault.link, fault.down)
            what = f"{fault.link} 断联 / cut off {clock(fault.down)}"
        else:
            body = {
                "plant": fault.plant, "fault": fault.fault, "on": fault.on, "args": fault.args
            }  # fmt: skip
            self._plants.ask("POST", "/faults", body)
            what = f"{fault.plant} {fault.fault} {'on' if fault.on else 'off'}"
        self._say(f"{clock(round(passed)):>9} {what}")

    def _halt(self, edge: str, down: int) -> None:
        self._cut[edge] = time.monotonic() + down / 1000
        os.kill(self._servers[edge], signal.SIGSTOP)

    def _open(self, edge: str) -> None:
        self._cut.pop(edge, None)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._servers[edge], signal.SIGCONT)


def _server(up: Mapping[str, Any], site: str, edge: str) -> int:
    """The process of an edge's message server; raises ConfigError."""
    processes: Mapping[str, int] = up.get("processes", {})
    name = f"nats-{site}-{edge}"
    if name not in processes:
        known = sorted(
            one.removeprefix(f"nats-{site}-") for one in processes
            if one.startswith(f"nats-{site}-")
        )  # fmt: skip
        raise ConfigError(
            f"没有边缘节点 / no edge {edge!r} runs on this machine", where=f"link: {edge}",
            mend=f"改为其中之一 / write one of: {', '.join(known) or '-'}",
        )  # fmt: skip
    return processes[name]
