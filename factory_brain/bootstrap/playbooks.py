"""Wires the engine to the samples that this brain commits: a new value wakes who waits for it."""

from __future__ import annotations

from factory_brain.application.ingest import Ingest
from factory_brain.application.playbooks.engine import Engine
from factory_brain.application.playbooks.plant_tags import PlantTags
from factory_brain.application.ports import Transaction
from factory_brain.domain.samples import Columns


def follow_samples(ingest: Ingest, tags: PlantTags, engine: Engine) -> None:
    """Tell the engine after each commit which tags have newer values."""
    new: set[str] = set()
    told: set[str] = set()

    async def stored(_: Transaction, batches: list[Columns]) -> None:
        for batch in batches:
            new.update(batch.names)

    def committed() -> None:
        # Told at two commits: the first one may be another lane's, before these were to be seen.
        nonlocal told
        both = new | told
        if both:
            told = set(new)
            new.clear()
            tags.forget(both)
            engine.on_samples(both)

    ingest.on_samples.append(stored)
    ingest.on_commit.append(committed)
