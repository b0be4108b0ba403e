"""Playbooks, versions and drafts as the REST interface shows them.

Called by the routes; reads what is kept and what is live, decides nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from factory_brain.application.playbooks.authoring.checking import Checked, Found
from factory_brain.application.playbooks.authoring.compare import StepChange, compare, text_diff
from factory_brain.application.playbooks.authoring.drafts import Drafts
from factory_brain.application.playbooks.authoring.ports import (
    LIVE_DRAFTS,
    Draft,
    GivenInput,
    Release,
    Remark,
    RunFigures,
)
from factory_brain.application.playbooks.authoring.shelf import Shelf
from shared.errors import ConfigError
from shared.playbook.explain import Shown, explain
from shared.playbook.lint_report import Plant
from shared.playbook.loader import Loaded, load_text
from shared.playbook.model import Playbook, Step
from shared.playbook.site_inputs import faults_of
from shared.playbook.triggers import Trigger
from shared.site.loader import Site
from shared.web.dto import Text
from shared.web.dto_playbooks import (
    DiffOut,
    DraftOut,
    DraftSummary,
    Explanation,
    FindingOut,
    InputOut,
    PlaybookDetail,
    PlaybookState,
    PlaybookSummary,
    ReleaseOut,
    RemarkOut,
    StepChangeOut,
    StepOut,
    TriggerOut,
)

MOST_DRAFTS, MOST_REMARKS, VERSIONS_SHOWN = 500, 500, 20


@lru_cache(maxsize=64)
def _document(playbook: str, sha256: str, text: str) -> Loaded | None:
    try:
        return load_text(text, f"{playbook}.yaml")
    except ConfigError:
        return None


async def document_of(release: Release) -> Loaded | None:
    """A release's text as this program reads it; None if it no longer can."""
    return await asyncio.to_thread(_document, release.playbook, release.sha256, release.text)


class PlaybookViews:
    """What is shown of playbooks."""

    def __init__(self, site: Site, shelf: Shelf, drafts: Drafts) -> None:
        self._site, self._shelf, self._drafts = site, shelf, drafts

    async def listed(self) -> list[PlaybookSummary]:
        """Every playbook that was ever released, by name."""
        figures = await self._shelf.store.figures()
        drafts = await self._open_drafts()
        return [
            await self._summary(each, figures.get(each.playbook), drafts.get(each.playbook, 0))
            for each in await self._shelf.store.newest_of_all()
        ]

    async def _open_drafts(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for draft in await self._drafts.store.listed(LIVE_DRAFTS, None, MOST_DRAFTS, None):
            found[draft.playbook] = found.get(draft.playbook, 0) + 1
        return found

    async def _summary(
        self, newest: Release, figures: RunFigures | None, drafts: int
    ) -> PlaybookSummary:
        shelf, name = self._shelf, newest.playbook
        live = shelf.releases.get(name)
        shown = live or await document_of(newest)
        book = shown.playbook if shown else None
        off = shelf.off.get(name)
        runs = figures or RunFigures()
        return PlaybookSummary(
            playbook=name, owner=book.owner if book else "",
            name=Text(zh=book.name.zh, en=book.name.en) if book else Text(zh=name, en=name),
            version=live.playbook.version if live else None, newest=newest.version,
            refused="" if live and live.playbook.version == newest.version
            else shelf.refused.get(name, ""),
            source=newest.source, released_at=newest.at,
            state=PlaybookState(withdrawn=True, by=off.by, reason=off.reason, at=off.at)
            if off else PlaybookState(withdrawn=False),
            triggers=[trigger_out(each) for each in book.triggers] if book else [],
            live_runs=runs.live, last_run=runs.last_run, last_status=runs.last_status,
            last_at=runs.last_at, drafts=drafts,
        )  # fmt: skip

    async def detail(self, playbook: str) -> PlaybookDetail | None:
        """One playbook."""
        newest = await self._shelf.store.newest(playbook)
        if newest is None:
            return None
        figures = await self._shelf.store.figures()
        drafts = await self._open_drafts()
        summary = await self._summary(newest, figures.get(playbook), drafts.get(playbook, 0))
        shown = self._shelf.releases.get(playbook) or await document_of(newest)
        versions = await self._shelf.store.versions(playbook, VERSIONS_SHOWN)
        return PlaybookDetail(
            **summary.model_dump(), text=newest.text,
            explained=self.explained(shown.playbook) if shown else None,
            inputs=self.inputs(shown.playbook) if shown else [],
            versions=[release_out(each) for each in versions],
        )  # fmt: skip

    def inputs(self, book: Playbook) -> list[InputOut]:
        """Its inputs with this site's values."""
        of_site = self._site.bindings.inputs.get(book.playbook, {})
        chosen = self._shelf.given.get(book.playbook, {})
        used = self._shelf.releases.inputs(book)
        plain = {name: given.value for name, given in chosen.items()}
        stale = {name for name, _ in faults_of(book, plain)}
        return [
            _input(name, spec, of_site.get(name), chosen.get(name), used.get(name), name in stale)
            for name, spec in book.inputs.items()
        ]

    def explained(self, book: Playbook) -> Explanation:
        """The tree, blast radius and worst case, at this site."""
        books = {each.playbook: each for each in self._shelf.releases.books}
        shown = explain(book, books, Plant.of(self._site))
        steps = {step.id: step for step in book.all_steps()}
        return Explanation(
            steps=[_step(each, steps) for each in shown.steps],
            worst_case_ms=shown.worst_case_ms, worst_case_commands=shown.worst_case_commands,
            moves=list(shown.moves), tells=list(shown.tells),
            devices={name: list(ops) for name, ops in shown.devices.items()},
            people={name: list(who) for name, who in shown.people.items()},
        )  # fmt: skip

    def worth(self, checked: Checked) -> Explanation | None:
        """What a text can do, if it can be read."""
        return self.explained(checked.loaded.playbook) if checked.loaded else None

    async def draft(self, draft: Draft) -> DraftOut:
        """One draft with what is wrong with it and what was said."""
        checked = await self._drafts.check(draft)
        remarks = await self._drafts.store.remarks(draft.id, MOST_REMARKS)
        return DraftOut(
            **draft_summary(draft).model_dump(), text=draft.text, test=draft.test,
            findings=findings(checked.findings), errors=checked.errors,
            explained=self.worth(checked), remarks=[remark_out(each) for each in remarks],
        )  # fmt: skip

    async def diff(self, draft: Draft) -> DiffOut:
        """A draft against what is released now."""
        checked = await self._drafts.check(draft)
        name = checked.loaded.playbook.playbook if checked.loaded else draft.playbook
        newest = await self._shelf.store.newest(name)
        old = await document_of(newest) if newest else None
        names = (f"{name} v{newest.version}" if newest else "/dev/null", f"{name} (draft)")
        lines = await asyncio.to_thread(text_diff, newest.text if newest else "", draft.text, names)
        before = old.playbook if old else None
        out = DiffOut(
            against=newest.version if newest else None, lines=lines, steps=[], parts=[],
            moves_added=[], moves_removed=[], tells_added=[], tells_removed=[],
            before=self.explained(before) if before else None,
            after=self.worth(checked),
        )  # fmt: skip
        if checked.loaded is None:
            return out
        found = compare(before, checked.loaded.playbook)
        return out.model_copy(update={
            "steps": step_changes(found.steps),
            "parts": list(found.parts),
            "moves_added": list(found.moves_added), "moves_removed": list(found.moves_removed),
            "tells_added": list(found.tells_added), "tells_removed": list(found.tells_removed),
        })  # fmt: skip


def _step(shown: Shown, steps: Mapping[str, Step]) -> StepOut:
    step = steps.get(shown.name) if shown.verb else None
    words = step.name if step else None
    return StepOut(
        path=shown.path, id=shown.name, verb=shown.verb, depth=shown.depth, about=shown.about,
        name=Text(zh=words.zh, en=words.en) if words else Text(zh=shown.name, en=shown.name),
        worst_ms=shown.worst_ms, commands=shown.commands,
    )  # fmt: skip


def step_changes(changes: Sequence[StepChange]) -> list[StepChangeOut]:
    """What differs, step by step."""
    return [
        StepChangeOut(kind=s.kind, id=s.id, path=s.path, verb=s.verb, fields=list(s.fields))
        for s in changes
    ]


def findings(found: list[Found]) -> list[FindingOut]:
    """Findings, in the order of the text."""
    return [
        FindingOut(
            code=f.code, severity="error" if f.severity == "error" else "advice", line=f.line,
            column=f.column, message=Text(**f.message), mend=Text(**f.mend),
        )
        for f in found
    ]  # fmt: skip


def trigger_out(trigger: Trigger) -> TriggerOut:
    """What starts a playbook, in short."""
    kind: Any = next(
        word for word in ("alarm", "incident", "event", "cron", "manual")
        if getattr(trigger, word) is not None
    )  # fmt: skip
    of = ", ".join(trigger.manual.roles) if trigger.manual else str(getattr(trigger, kind))
    return TriggerOut(
        id=trigger.id, kind=kind, of=of, where=trigger.where or "",
        transition=trigger.transition if kind == "alarm" else "",
    )  # fmt: skip


def release_out(release: Release) -> ReleaseOut:
    """One version, without its text."""
    return ReleaseOut(**{name: getattr(release, name) for name in ReleaseOut.model_fields})


def draft_summary(draft: Draft) -> DraftSummary:
    """One draft, without its text."""
    return DraftSummary(**{name: getattr(draft, name) for name in DraftSummary.model_fields})


def remark_out(remark: Remark) -> RemarkOut:
    """What was said."""
    return RemarkOut(**{name: getattr(remark, name) for name in RemarkOut.model_fields})


def _input(
    name: str, spec: Any, of_site: Any, chosen: GivenInput | None, used: Any, stale: bool
) -> InputOut:
    words, bounds = spec.description, spec.tunable
    return InputOut(
        name=name, type=spec.type, unit=spec.unit, description=Text(zh=words.zh, en=words.en),
        options=list(spec.options), default=spec.default, site=of_site,
        chosen=chosen.value if chosen else None, chosen_by=chosen.by if chosen else "",
        chosen_at=chosen.at if chosen else None, stale=stale, value=used,
        least=bounds.min if bounds else None, most=bounds.max if bounds else None,
    )  # fmt: skip
