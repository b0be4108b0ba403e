"""Names of `notify.yaml` to people: persons, whoever has duty on a roster, roles of the site."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from factory_brain.application.notify.ports import Store
from factory_brain.domain.notify.duty import (
    Duty,
    Override,
    changes_after,
    on_duty,
    written_overrides,
    zone_of,
)
from shared.clock import Clock
from shared.site.notify import NotifyFile, PersonSpec, RosterSpec
from shared.site.site import Site

READ_EVERY_MS = 10_000


@dataclass(frozen=True, slots=True)
class OnCall:
    """Who has duty on a roster, and until when that is sure."""

    roster: RosterSpec
    duty: Duty
    until: int


class Directory:
    """The people of a site."""

    def __init__(self, site: Site, clock: Clock, store: Store) -> None:
        self._site, self._clock, self._store = site, clock, store
        self._entered: dict[str, list[Override]] = {}
        self._read_at: int | None = None

    @property
    def file(self) -> NotifyFile:
        """What the site says now."""
        return self._site.notify

    async def refresh(self, *, now: bool = False) -> None:
        """Read what people entered, as another brain may have been told."""
        mono = self._clock.mono_ms()
        if now or self._read_at is None or mono - self._read_at > READ_EVERY_MS:
            self._entered = await self._store.overrides(self._clock.now_ms() - 86_400_000)
            self._read_at = mono

    def zone(self, person: PersonSpec | None) -> ZoneInfo:
        """A person's time zone."""
        return zone_of(person.timezone if person else "", self._site.info.timezone)

    def person(self, name: str) -> PersonSpec | None:
        """A person by id."""
        return self.file.person(name)

    def resolve(self, names: Iterable[str], at: int) -> list[str]:
        """Ids of the people who are meant at `at`, each once."""
        found: dict[str, None] = {}
        for name in names:
            found.update(dict.fromkeys(self._one(name, at)))
        return list(found)

    def _one(self, name: str, at: int) -> list[str]:
        if self.file.person(name) is not None:
            return [name]
        if self.file.roster(name) is not None:
            duty = self.on_call(name, at)
            return [duty.duty.person] if duty and duty.duty.person else []
        return self.with_accounts(self._site.info.roster.get(name, []))

    def with_accounts(self, accounts: Sequence[str]) -> list[str]:
        """People who answer in the right of one of these user names."""
        return [each.id for each in self.file.people if each.user in accounts]

    def addressed(self, to: Iterable[str], *, roles: bool, at: int) -> list[str]:
        """People whom a playbook names as user:, team: and (if `roles`) role:."""
        found: dict[str, None] = {}
        for each in to:
            kind, _, name = each.partition(":")
            if kind == "user":
                known = [name] if self.file.person(name) else self.with_accounts([name])
            elif kind == "team":
                known = self._one(name, at) if self.file.roster(name) else []
            else:
                known = self._one(name, at) if roles else []
            found.update(dict.fromkeys(known))
        return list(found)

    def on_call(self, roster: str, at: int, more: Sequence[Override] = ()) -> OnCall | None:
        """Who has duty on a roster at `at`; None for a roster that is not there."""
        spec = self.file.roster(roster)
        if spec is None:
            return None
        zone = zone_of(spec.timezone, self._site.info.timezone)
        overrides = [
            *written_overrides(spec, zone), *self._entered.get(roster, []), *more,
        ]  # fmt: skip
        duty = on_duty(spec, zone, at, overrides)
        return OnCall(spec, duty, changes_after(spec, zone, at, overrides))
