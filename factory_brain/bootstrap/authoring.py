"""Wires authoring: releases from folder and console, drafts, replays, what others release."""

from __future__ import annotations

from typing import TYPE_CHECKING

from factory_brain.adapters.postgres.draft_store import PgDraftStore
from factory_brain.adapters.postgres.release_store import PgReleaseStore
from factory_brain.adapters.postgres.replay_reads import PgReplayReads
from factory_brain.adapters.postgres.run_moves import RunMoves
from factory_brain.application.news import News
from factory_brain.application.playbooks.authoring.drafts import Drafts
from factory_brain.application.playbooks.authoring.migrating import Migrating
from factory_brain.application.playbooks.authoring.replaying import Replaying
from factory_brain.application.playbooks.authoring.shelf import Shelf
from factory_brain.application.playbooks.authoring.templates import Templates
from factory_brain.application.playbooks.authoring.views import PlaybookViews
from factory_brain.application.playbooks.releases import Releases
from factory_brain.web.parts import PlaybookParts
from shared.paths import playbook_library
from shared.postgres.audit import audit
from shared.postgres.pool import Pool
from shared.security import load_private

if TYPE_CHECKING:
    from factory_brain.bootstrap import Brain


def shelf(brain: Brain, releases: Releases) -> Shelf:
    """The releases, before the folder is read."""
    key = load_private(brain.settings.approval_key_file)
    store = PgReleaseStore(brain.pool)
    return Shelf(brain.site, brain.clock, store, releases, key, audit)


def wire(brain: Brain, asked: Pool) -> PlaybookParts:
    """Drafts and questions about the past; `asked` is where long questions go."""
    made, clock, site = brain.shelf, brain.clock, brain.site
    templates = Templates(playbook_library(), brain.settings.playbook_dir)
    drafts = Drafts(clock, PgDraftStore(brain.pool), made, templates, audit)
    moving = Migrating(RunMoves(brain.pool), made, brain.releases, clock, audit)

    async def answer_what_stands() -> None:
        """A release may answer alarms that stand since before it; each once, whatever it is."""
        await brain.triggers.look(await brain.alarms.open_occurrences())

    made.on_taken.append(answer_what_stands)
    return PlaybookParts(
        site, clock, made, drafts, PlaybookViews(site, made, drafts),
        Replaying(site, brain.releases, PgReplayReads(asked)), moving, brain.engine,
        brain.unit_parts.turns,
    )  # fmt: skip


def follow(brain: Brain, news: News) -> None:
    """Take over what other brains release."""
    news.on_key["playbook"] = brain.shelf.taken
    news.on_anew.append(brain.shelf.all_taken)
