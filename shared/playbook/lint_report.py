"""What the linter's checks share: findings, what a site offers, and the list they are added to.

Made by `lint.py` for one playbook; it words and places findings and checks nothing itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.playbook.loader import Loaded
from shared.playbook.model import Playbook
from shared.playbook.near import hints
from shared.playbook.rules import RULES, Severity
from shared.site.model import DeviceSpec
from shared.site.site import Site

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One mistake, or one piece of advice."""

    code: str
    where: str
    message: dict[str, str]
    mend: dict[str, str]
    severity: Severity = "error"

    @property
    def forbids(self) -> bool:
        """Whether a playbook with it is not released."""
        return self.severity == "error"

    @property
    def place(self) -> tuple[int, int]:
        """Line and column."""
        parts = self.where.rsplit(":", 2)
        return (int(parts[-2]), int(parts[-1])) if len(parts) == 3 else (0, 0)

    def document(self) -> dict[str, Any]:
        """The finding for machines."""
        return {
            "code": self.code, "severity": self.severity, "where": self.where,
            "message": self.message, "mend": self.mend,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plant:
    """What the site offers; without it only the playbook itself is checked."""

    alarms: frozenset[str]
    """Alarms, and codes that stand for several."""
    devices: Mapping[str, DeviceSpec]
    endpoints: frozenset[str]
    roles: frozenset[str]
    assets: Mapping[str, str] = field(default_factory=dict)
    """Alarm -> its asset."""
    codes: Mapping[str, list[str]] = field(default_factory=dict)
    people: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Role -> its people."""
    unsigned: frozenset[str] = frozenset()
    """Endpoints without a secret: no webhook can go there."""
    inputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Playbook -> input -> the site's value."""

    @classmethod
    def of(cls, site: Site) -> Plant:
        """What a loaded site offers."""
        bindings, roster = site.bindings, site.info.roster
        return cls(
            alarms=frozenset(site.alarms) | frozenset(bindings.alarms), devices=bindings.devices,
            endpoints=frozenset(bindings.endpoints), roles=frozenset(roster),
            assets={name: alarm.asset for name, alarm in site.alarms.items()},
            codes=bindings.alarms, people=roster,
            unsigned=frozenset(n for n, e in bindings.endpoints.items() if not e.secret),
            inputs=bindings.inputs,
        )  # fmt: skip

    def of_type(self, kind: str) -> list[tuple[str, DeviceSpec]]:
        """The devices of one type."""
        return [(name, spec) for name, spec in self.devices.items() if spec.type == kind]


class Report:
    """The findings of one playbook so far."""

    def __init__(
        self, loaded: Loaded, plant: Plant | None, books: Mapping[str, Playbook] | None
    ) -> None:
        self.loaded, self.plant, self.books = loaded, plant, books
        self.book = loaded.playbook
        self._found: dict[tuple[str, str, str], Finding] = {}

    def add(self, code: str, path: Path, severity: Severity | None = None, **params: Any) -> None:
        """Add a finding; the same one at the same place counts once."""
        rule, where = RULES[code], self.loaded.where(*path)
        message = {"zh": rule.zh.format(**params), "en": rule.en.format(**params)}
        mend = {"zh": rule.mend_zh.format(**params), "en": rule.mend_en.format(**params)}
        found = Finding(code, where, message, mend, severity or rule.severity)
        self._found.setdefault((code, where, message["en"]), found)

    def unknown(self, code: str, name: str, known: Iterable[str], path: Path) -> None:
        """Add that a name leads nowhere, with the nearest that would."""
        hint, hint_zh = hints(name, known)
        self.add(code, path, name=name, hint=hint, hint_zh=hint_zh)

    def findings(self) -> list[Finding]:
        """All of them, in the order of the text."""
        return sorted(self._found.values(), key=lambda finding: finding.place)
