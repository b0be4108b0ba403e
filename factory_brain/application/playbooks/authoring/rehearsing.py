"""Plays a draft's own test on a virtual clock: the same as `andon playbook test`.

Called by the routes, in turn with other long questions; everything happens in a folder of its own
that is gone afterwards.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml.error import YAMLError

from factory_brain.application.playbooks.authoring.ports import Release
from shared.errors import ConfigError
from shared.playbook.faults import text_faults
from shared.playbook.rehearsal.loader import load_tests
from shared.playbook.rehearsal.report import Played, play_all
from shared.site.loader import Site


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What came of it."""

    holds: bool
    cases: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Each case and what it missed."""
    faults: tuple[str, ...] = ()
    coverage: float | None = None


async def rehearse(
    site: Site, playbook: str, text: str, test: str, others: Sequence[Release]
) -> Rehearsed:
    """Play a test."""
    return await asyncio.to_thread(_rehearse, site, playbook, text, test, others)


def _rehearse(
    site: Site, playbook: str, text: str, test: str, others: Sequence[Release]
) -> Rehearsed:
    if wrong := [str(fault) for fault in text_faults(test, f"{playbook}.test.yaml")]:
        return Rehearsed(False, faults=tuple(wrong))
    with tempfile.TemporaryDirectory(prefix="andon-rehearsal-") as name:
        folder = Path(name) / "here"  # neighbouring folders are looked into: there are none
        folder.mkdir()
        for other in others:
            if other.playbook != playbook:
                (folder / f"{other.playbook}.yaml").write_text(other.text, "utf-8")
        (folder / f"{playbook}.yaml").write_text(text, "utf-8")
        file = folder / f"{playbook}.test.yaml"
        file.write_text(test, "utf-8")
        try:
            played, found = play_all(load_tests(file), site)
        except (ConfigError, YAMLError, ValueError, RecursionError) as error:
            return Rehearsed(False, faults=(str(error).replace(f"{folder}/", ""),))
    reached, whole = sum(each.reached for each in found), sum(each.of for each in found)
    holds = all(one.passed for one in played) and all(each.enough for each in found)
    cases = tuple((one.case.name, tuple(_misses(one))) for one in played)
    return Rehearsed(holds, cases, (), reached / whole if whole else None)


def _misses(one: Played) -> list[str]:
    return [f"{miss.where}: {miss.message['zh']} / {miss.message['en']}" for miss in one.misses]
