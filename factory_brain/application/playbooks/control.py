"""What people tell runs: answers to their questions; cancel, terminate, suspend, resume.

Called by the desk and the routes; every word is one transaction with its audit entry, and news that
the run's owner notices at its next step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from factory_brain.application.playbooks.asking import denied, early, may_answer
from factory_brain.application.playbooks.engine import Engine
from factory_brain.application.playbooks.ports import RunRecord
from shared.clock import Clock
from shared.errors import Rejected
from shared.playbook.model import Playbook


class Words(Protocol):
    """Where words are kept (see `adapters/postgres/run_answers.py`)."""

    async def get(self, run: str) -> RunRecord | None:
        """One run."""
        ...

    async def document(self, digest: str) -> Any:
        """A released document."""
        ...

    async def answers(self, run: str) -> dict[str, dict[str, Any]]:
        """Answers that have arrived, by path."""
        ...

    async def answer(
        self, run: str, path: str, data: Mapping[str, Any], at: int, quorum: int = 1
    ) -> str:
        """Record what a person chose: taken, noted, answered, over."""
        ...

    async def votes(self, run: str, path: str) -> dict[str, str]:
        """Who has chosen what so far."""
        ...

    async def tell(
        self, run: str, word: str, data: Mapping[str, Any] | None, actor: str, at: int, action: str
    ) -> bool:
        """Note a word, or take it back."""
        ...

    async def terminate(self, run: str, actor: str, reason: str, at: int) -> bool:
        """End a run at once."""
        ...

    async def dead_deliveries(
        self, limit: int, before: tuple[int, str] | None = None
    ) -> list[dict[str, Any]]:
        """Webhooks that nobody took, newest first."""
        ...

    async def replay_delivery(self, delivery: str, actor: str, now: int) -> bool:
        """Send a dead one again, under its id."""
        ...


class Control:
    """People's words to the runs of one factory."""

    def __init__(self, store: Words, engine: Engine, clock: Clock) -> None:
        self._store, self._engine, self._clock = store, engine, clock

    async def answer(
        self, run_id: str, step: str, option: str, user: str, roles: tuple[str, ...], comment: str
    ) -> Rejected | None:
        """Answer a human task; the first answer wins and the others are told."""
        run = await self._store.get(run_id)
        if run is None:
            return Rejected("unknown_run", {"run": run_id})
        ask = await self._ask(run, step)
        if isinstance(ask, Rejected):
            return ask
        if ask is None:
            return await self._lost(run_id, step, step, option, user)
        if denied(ask, user, roles):
            return Rejected("answer_denied", {"step": step})
        if not may_answer(ask, user, roles):
            return Rejected("not_allowed", {"roles": list(ask["roles"])})
        if option not in ask["options"]:
            return Rejected("unknown_option", {"options": list(ask["options"])})
        now = self._clock.now_ms()
        if ask.get("closes") is not None and now >= ask["closes"]:
            return Rejected("answer_too_late", {"step": step})
        data = {"answer": option, "by": user, "comment": comment}
        path = str(ask["path"])
        came_to = await self._store.answer(run_id, path, data, now, int(ask.get("quorum") or 1))
        if came_to in ("taken", "noted"):
            self._engine.poke(run_id)
            return None
        return await self._lost(run_id, path, step, option, user)

    async def _ask(self, run: RunRecord, step: str) -> Mapping[str, Any] | Rejected | None:
        """An open question; or one of the document that is not asked yet: its answer counts too.

        By its path, or by its step where that can mean no other: never a guess.
        """
        if not run.live:
            return None
        by_path = next((ask for ask in run.asks if step == ask["path"]), None)
        if by_path is not None:
            return by_path
        of_step = [ask for ask in run.asks if step == ask["step"]]
        if len(of_step) == 1 and not of_step[0].get("engine"):
            return of_step[0]
        if of_step:
            open_now = [ask["path"] for ask in of_step]
            return Rejected("which_question", {"step": step, "paths": open_now})
        book = Playbook.model_validate(await self._store.document(run.digest))
        return early(book, step)

    async def _lost(
        self, run: str, path: str, step: str, option: str, user: str
    ) -> Rejected | None:
        earlier = (await self._store.answers(run)).get(path, {})
        given: Sequence[tuple[str, str]] = [(earlier.get("by", ""), earlier.get("answer", ""))]
        if not earlier:
            given = list((await self._store.votes(run, path)).items())
        if (user, option) in given:
            return None  # said again, heard already
        if not earlier and user not in dict(given):
            return Rejected("not_asking", {"step": step})
        return Rejected("already_answered", {"by": earlier.get("by", "") or user})

    async def cancel(
        self, run_id: str, user: str, reason: str, compensate: bool = False
    ) -> Rejected | None:
        """End a run in good order: begun commands are settled, `finally` runs."""
        data = {"reason": reason, "compensate": compensate}
        return await self._tell(run_id, "cancel", data, user, "cancel_run")

    async def suspend(self, run_id: str, user: str, reason: str) -> Rejected | None:
        """Nothing new begins until it is resumed; its timers go on."""
        return await self._tell(run_id, "suspend", {"reason": reason}, user, "suspend_run")

    async def resume(self, run_id: str, user: str, reason: str) -> Rejected | None:
        """Let a suspended run go on."""
        run = await self._store.get(run_id)
        if run is not None and run.live and "suspend" not in run.control:
            return Rejected("not_suspended", {"run": run_id})
        return await self._tell(run_id, "suspend", None, user, "resume_run")

    async def _tell(
        self, run_id: str, word: str, data: dict[str, Any] | None, user: str, action: str
    ) -> Rejected | None:
        now = self._clock.now_ms()
        told = None if data is None else {**data, "by": user, "at": now}
        if not await self._store.tell(run_id, word, told, user, now, action):
            return await self._gone(run_id)
        self._engine.poke(run_id)
        self._engine.show(run_id)
        return None

    async def terminate(self, run_id: str, user: str, reason: str) -> Rejected | None:
        """End a run at once, whatever it is doing; `finally` does not run."""
        run = await self._store.get(run_id)
        if run is None or not run.live:
            return await self._gone(run_id)
        # Told before it is written, as every end is: told twice after a kill, never not at all.
        await self._engine.told(run, "cancelled", {})
        if not await self._store.terminate(run_id, user, reason, self._clock.now_ms()):
            return await self._gone(run_id)
        self._engine.taken(run)
        return None

    async def dead_webhooks(
        self, limit: int, before: tuple[int, str] | None = None
    ) -> list[dict[str, Any]]:
        """Webhooks that nobody took, those given up last first."""
        return await self._store.dead_deliveries(limit, before)

    async def replay_webhook(self, webhook: str, user: str) -> bool:
        """Send a dead one again, under its id, to an endpoint that is thereby on again."""
        found = await self._store.replay_delivery(webhook, user, self._clock.now_ms())
        if found:
            self._engine.deliveries.wake()
        return found

    async def _gone(self, run_id: str) -> Rejected:
        run = await self._store.get(run_id)
        if run is None:
            return Rejected("unknown_run", {"run": run_id})
        return Rejected("run_over", {"run": run_id})
