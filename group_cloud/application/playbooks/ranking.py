"""Ranks the versions of a playbook by what came of their runs, and proposes; people decide.

Called by the web, and once an hour by its own loop, which only ever makes a proposal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from group_cloud.application.playbooks.desk import BookDesk
from group_cloud.application.playbooks.drive import GROUP
from group_cloud.application.playbooks.ports import BookReads, BookRows
from group_cloud.domain.playbook_ranking import (
    InputMove,
    NewChoice,
    Ranking,
    Run,
    context_of,
    input_moves,
    rank,
    suggested,
)
from group_cloud.domain.scope import ALL, Scope
from shared.clock import Clock
from shared.errors import ConfigError, Rejected
from shared.playbook.loader import load_text
from shared.telemetry import logger
from shared.web import dto_group_playbooks as dto

log = logger("playbook_ranking")
DAYS, DAY_MS = 90, 86_400_000
EVERY_S = 3600.0


class BookRanking:
    """What runs say of versions."""

    def __init__(
        self, reads: BookReads, rows: BookRows, desk: BookDesk, clock: Clock, choice: NewChoice
    ) -> None:
        self._reads, self._rows, self._desk, self._clock = reads, rows, desk, clock
        self._choice = choice

    async def shown(self, playbook: str, scope: Scope) -> dto.RankingList:
        """The contexts of one playbook with their variants, and inputs that may be moved."""
        runs = await self._runs(playbook, scope)
        ranks = await asyncio.to_thread(rank, runs, self._choice)
        moves = await self._moves(playbook, runs)
        return dto.RankingList(
            playbook=playbook,
            days=DAYS,
            contexts=[_context(each) for each in ranks],
            inputs=[dto.InputProposalOut(**asdict(each)) for each in moves],
        )

    async def _runs(self, playbook: str, scope: Scope) -> list[Run]:
        since = self._clock.now_ms() - DAYS * DAY_MS
        return [_run(row) for row in await self._reads.outcomes(scope, playbook, since)]

    async def _moves(self, playbook: str, runs: Sequence[Run]) -> list[InputMove]:
        newest = await self._rows.variant(playbook)
        if newest is None or not runs:
            return []
        try:
            book = (await asyncio.to_thread(load_text, newest.text, "variant")).playbook
        except ConfigError:
            return []
        return await asyncio.to_thread(input_moves, book, runs, self._choice)

    async def run(self) -> None:
        """Propose for ever."""
        while True:
            for playbook in sorted({each.playbook for each in await self._rows.variants()}):
                await self.propose(playbook)
            await asyncio.sleep(EVERY_S)

    async def propose(self, playbook: str) -> dto.PlaybookRolloutOut | None:
        """A proposal, where one version or value is better almost for sure and none is open."""
        runs = await self._runs(playbook, ALL)
        asked = await self._version(playbook, runs) or await self._inputs(playbook, runs)
        if asked is None:
            return None
        wanted, evidence = asked
        made = await self._desk.begin(wanted, GROUP, ALL, evidence)
        if isinstance(made, Rejected):
            log.info("playbook_not_proposed", playbook=playbook, code=made.code)
            return None
        return made

    async def _version(
        self, playbook: str, runs: Sequence[Run]
    ) -> tuple[dto.PlaybookRolloutIn, dict[str, Any]] | None:
        whole = (await asyncio.to_thread(rank, runs, self._choice))[-1]
        live: dict[str, int] = {}
        for run in runs:  # the newest first
            live.setdefault(run.site, run.version)
        found = suggested(whole, live)
        if found is None or await self._refused(playbook, found[0], {}):
            return None
        version, sites = found
        words = f"在 {whole.runs} 次运行中结果较好 / better over {whole.runs} runs"
        wanted = dto.PlaybookRolloutIn(
            playbook=playbook, version=version, sites=sites, reason=words
        )
        return wanted, {"ranking": _context(whole).model_dump()}

    async def _inputs(
        self, playbook: str, runs: Sequence[Run]
    ) -> tuple[dto.PlaybookRolloutIn, dict[str, Any]] | None:
        moves = await self._moves(playbook, runs)
        sites = sorted({run.site for run in runs})
        for move in moves:
            inputs = {move.name: move.proposed}
            if not await self._refused(playbook, None, inputs):
                words = f"{move.name}: {move.now} -> {move.proposed}"
                wanted = dto.PlaybookRolloutIn(
                    playbook=playbook, inputs=inputs, sites=sites, reason=words
                )
                return wanted, {"input": asdict(move)}
        return None

    async def _refused(self, playbook: str, version: int | None, inputs: dict[str, Any]) -> bool:
        """What was proposed once is not proposed again: somebody has decided it."""
        return any(
            (plan.playbook, plan.version, dict(plan.inputs)) == (playbook, version, inputs)
            for plan, _ in await self._rows.listed(1000)
        )


def _run(row: Any) -> Run:
    context = row["context"] if isinstance(row["context"], dict) else {}
    inputs = {
        name.removeprefix("input."): value for name, value in context.items()
        if name.startswith("input.")
    }  # fmt: skip
    hour = (row["started_at"] // 3_600_000) % 24
    resolve = row["resolve_s"] if row["resolve_s"] is not None else row["duration_s"]
    return Run(
        row["site"], row["version"], row["variant"], row["success"], resolve,
        context_of(row["asset_class"], row["tag_class"], hour), inputs,
    )  # fmt: skip


def _context(ranking: Ranking) -> dto.RankingOut:
    return dto.RankingOut(
        context=ranking.context, runs=ranking.runs,
        ranked=[dto.RankedOut(**asdict(each)) for each in ranking.ranked],
    )  # fmt: skip
