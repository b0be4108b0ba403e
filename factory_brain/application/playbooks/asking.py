"""The open questions of a run as they are stored with it, and who may answer one.

Written by the driver when a run rests, read by `control.py`, the routes and the console.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from factory_brain.application.playbooks.held import Held
from shared.playbook.journal import Advance
from shared.playbook.model import AskSpec, Playbook, Step


def asks_of(step: Advance, held: Held) -> list[dict[str, Any]]:
    """What is asked now, with all that judging an answer needs."""
    return [
        {
            "path": one.path, "step": one.step, "question": dict(one.question),
            "options": list(one.options),
            "labels": {key: dict(word) for key, word in one.labels.items()},
            "roles": list(one.to), "until": one.until, "quorum": one.quorum,
            "deny": list(one.deny), "engine": one.engine,
            "closes": one.until if one.engine else _closes(one.step, one.until, held),
        }
        for one in step.asks
    ]  # fmt: skip


def _closes(name: str, until: int | None, held: Held) -> int | None:
    """When an answer comes too late; a question with a ladder stays open until it is settled."""
    books = (held.book, *(document.book for document in held.called.values()))
    step = next((found for book in books if (found := _step(book, name)) is not None), None)
    climbs = step is not None and step.on_timeout == "escalate" and bool(step.escalate)
    return None if climbs else until


def _step(book: Playbook, name: str) -> Step | None:
    return next((step for step in book.all_steps() if step.id == name and step.ask), None)


def may_answer(ask: Mapping[str, Any], user: str, roles: tuple[str, ...]) -> bool:
    """Whether a person is among those asked."""
    return bool(_mine(user, roles) & set(ask["roles"])) or "administrator" in roles


def denied(ask: Mapping[str, Any], user: str, roles: tuple[str, ...]) -> bool:
    """Whether a person is among those who must not answer, such as who started the run."""
    deny = set(ask.get("deny") or ())
    return user in deny or bool(_mine(user, roles) & deny)


def _mine(user: str, roles: tuple[str, ...]) -> set[str]:
    return {f"role:{role}" for role in roles} | {f"user:{user}"}


def early(book: Playbook, name: str) -> dict[str, Any] | None:
    """A question, by step or path, that is not asked yet, if its place is known beforehand.

    Not of a loop or a called playbook, and not where it depends on the run who must not answer.
    """
    found = _placed(book.steps, "/steps", name)
    if found is None:
        return None
    path, spec = found
    if spec.deny:
        return None
    return {
        "path": path, "step": path.rpartition("/")[2], "roles": list(spec.to),
        "options": list(spec.options), "quorum": spec.quorum,
    }  # fmt: skip


def _placed(steps: list[Step], base: str, name: str) -> tuple[str, AskSpec] | None:
    for step in steps:
        path = f"{base}/{step.id}"
        if step.ask is not None and name in (step.id, path):
            return path, step.ask
        if step.verb in ("for_each", "repeat", "call"):
            continue
        for _, part, block in step.blocks():
            found = _placed(block, f"{path}/{part}", name)
            if found is not None:
                return found
    return None
