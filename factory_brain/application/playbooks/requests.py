"""The request of an `http` step: what is asked, by which key, and what its answer comes to.

Called by `drive.py` once the try's intent is committed; the caller guards where it leads.
"""

from __future__ import annotations

from factory_brain.application.playbooks.commands import Outcome
from factory_brain.application.playbooks.ports import HttpCaller, RunRecord
from shared.playbook.journal import Effect

HTTP_S = 20.0
READS = ("GET", "HEAD")
"""Calls that change nothing: those a drill may make of a real system."""


async def requested(
    caller: HttpCaller | None, run: RunRecord, effect: Effect, simulated: bool
) -> Outcome:
    """Make the request of one try; `simulated`: nothing outside is real, so a drill may write."""
    data = effect.data
    if caller is None:
        return Outcome("failed", {"kind": "connect", "reason": "no way out"})
    drill = bool(run.context.get("drill"))
    if drill and not simulated and data["method"] not in READS:
        return Outcome("failed", {"kind": "refused", "reason": "drill"})
    key = f"{run.id}:{effect.path}"  # the same over all tries
    found = await caller.call(
        data["endpoint"], data["method"], data["path"], data.get("body"), key,
        min(HTTP_S, float(data.get("timeout_ms") or HTTP_S * 1000) / 1000), drill,
    )  # fmt: skip
    found = {**found, "drill": True} if drill else found
    if "kind" in found:
        return Outcome("failed", found)
    wanted = data.get("expect") or ()
    status = int(found["status"])
    fits = status in wanted if wanted else 200 <= status < 300
    if fits:
        return Outcome("done", found)
    return Outcome("failed", {**found, "kind": f"http_{status}"})
