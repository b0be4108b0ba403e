"""A factory that gets playbooks from a group: real shelf, drafts and store, keys of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from factory_brain.adapters.postgres.draft_store import PgDraftStore
from factory_brain.adapters.postgres.group_playbook_store import PgGroupPlaybooks
from factory_brain.adapters.postgres.release_store import PgReleaseStore
from factory_brain.adapters.postgres.run_store import PgRunStore
from factory_brain.application.playbooks.authoring.checking import check
from factory_brain.application.playbooks.authoring.drafts import Drafts
from factory_brain.application.playbooks.authoring.ports import Release
from factory_brain.application.playbooks.authoring.shelf import Shelf
from factory_brain.application.playbooks.authoring.templates import Templates
from factory_brain.application.playbooks.from_group.desk import GroupPlaybooks
from factory_brain.application.playbooks.from_group.ports import Ground, Settled
from factory_brain.application.playbooks.releases import Releases
from shared.bus.port import Bus
from shared.clock import Clock, SystemClock
from shared.errors import Rejected
from shared.messages.bodies import Body, PlaybookPushReport
from shared.messages.playbook_push import PlaybookPush, SignedPush, canonical
from shared.paths import demo_sites, playbook_library
from shared.postgres.audit import audit
from shared.site.loader import Site, load_site

GROUP_KEY = Ed25519PrivateKey.generate()
SITE_KEY = Ed25519PrivateKey.generate()
TABLES = "playbook_release, playbook_draft, playbook_remark, playbook_input, playbook_withdrawn, group_push, group_input"  # noqa: E501
BOOK = """\
schema: playbook/v1
playbook: held
version: {version}
name: {{zh: 压低, en: Held}}
inputs:
  output: {{type: number, unit: "%", default: 35, tunable: {{min: {low}, max: {high}}}}}
  within: {{type: duration, default: 5m, tunable: {{min: 2m, max: 9m}}}}
  fixed: {{type: number, default: 1}}
devices:
  burner: {{type: {device}, bind: alarm.asset, role: burner}}
{top}triggers: [{{id: hot, alarm: FUR-01.TT-101.HIHI}}]
concurrency: {{key: alarm.asset}}
deadline: 20m
steps:
  - id: hold
    command:
      device: burner
      op: {op}
      args: {{output_pct: "{arg}"}}
      expires: 30s
      require: ["tag('zone.temp').good"]
      verify:
        until: tag('burner.setpoint').good && tag('burner.setpoint').value <= 60
        within: 20s
    compensate:
      command:
        device: burner
        op: restore_output
        args: {{output_pct: 80}}
        expires: 30s
        require: ["tag('zone.temp').good"]
        verify:
          until: tag('burner.setpoint').good && tag('burner.setpoint').value >= 70
          within: 20s
{more}"""


def text(version: int = 2, **changes: Any) -> str:
    """A playbook that the demo site can run."""
    usual = {
        "low": 20, "high": 50, "device": "burner.modulating", "op": "set_output", "top": "",
        "arg": "${inputs.output}", "more": "  - {id: said, log: done}\n",
    }  # fmt: skip
    return BOOK.format(version=version, **{**usual, **changes})


def push(**changes: Any) -> PlaybookPush:
    """A push that the demo site takes, but for what is changed."""
    version = changes.get("version", 2)
    usual: dict[str, Any] = {
        "id": f"push-{changes.get('counter', 1)}", "site": "f1", "counter": 1, "kind": "release",
        "playbook": "held", "version": version, "text": text(version), "issued_at": 1,
        "expires_at": SystemClock().now_ms() + 3_600_000, "approved_by": "zhao", "reason": "better",
    }  # fmt: skip
    return PlaybookPush(**{**usual, **changes})


def tuned(counter: int = 1, **inputs: Any) -> PlaybookPush:
    """A push of values."""
    return push(counter=counter, kind="inputs", version=0, text="", inputs=inputs)


def back(counter: int, restores: str) -> PlaybookPush:
    """A push that takes another one back."""
    return push(counter=counter, kind="rollback", version=0, text="", restores=restores)


def signed(body: PlaybookPush, key: Ed25519PrivateKey = GROUP_KEY) -> SignedPush:
    """As it lies in the bag."""
    payload = canonical(body)
    return SignedPush(payload=payload, signature=key.sign(payload))


def raw(**fields: Any) -> SignedPush:
    """A signed map with whatever is wanted in it."""
    payload = msgspec.msgpack.encode({**msgspec.to_builtins(push()), **fields})
    return SignedPush(payload=payload, signature=GROUP_KEY.sign(payload))


@dataclass
class FactoryShelf:
    """One factory without a bus."""

    pool: asyncpg.Pool
    desk: GroupPlaybooks
    ground: Ground
    said: list[PlaybookPushReport] = field(default_factory=list)

    @property
    def live(self) -> int | None:
        found = self.ground.shelf.releases.get("held")
        return found.playbook.version if found else None

    @property
    def inputs(self) -> dict[str, Any]:
        found = self.ground.shelf.releases.get("held")
        assert found is not None
        return self.ground.shelf.releases.inputs(found.playbook)

    async def settle(self, body: PlaybookPush | SignedPush) -> Any:
        return await self.desk.settling.settle(
            body if isinstance(body, SignedPush) else signed(body)
        )

    async def audited(self, action: str) -> list[dict[str, Any]]:
        rows = await self.pool.fetch("SELECT data FROM audit WHERE action = $1 ORDER BY id", action)
        return [row["data"] for row in rows]

    async def refuses(self, body: PlaybookPush | SignedPush, code: str) -> dict[str, Any]:
        """Refused with this code, and nothing but an audit entry and a report came of it."""
        before = (self.live, self.inputs, len(await self.ground.drafts.store.listed(
            ("open", "submitted"), None, 50, None)))  # fmt: skip
        reports, entries = len(self.said), len(await self.audited("group_playbook_refused"))
        found = await self.settle(body)
        told = found.code if isinstance(found, (Rejected, Settled)) else None
        assert told == code, found
        if isinstance(found, Settled):
            assert found.status == "refused"
        assert (self.live, self.inputs, len(await self.ground.drafts.store.listed(
            ("open", "submitted"), None, 50, None))) == before  # fmt: skip
        assert [(r.status, r.code) for r in self.said[reports:]] == [("refused", code)]
        logged = await self.audited("group_playbook_refused")
        assert len(logged) == entries + 1
        assert logged[-1]["code"] == code
        return dict(found.params)

    async def release(self, body: str) -> Release:
        """A release of this factory's own."""
        shelf = self.ground.shelf
        async with shelf.store.transaction() as tx:
            made = await shelf.release(tx, await check(shelf.releases, body), "lin", "wu", "")
        assert isinstance(made, Release), made
        await shelf.taken(made.playbook)
        return made

    async def approve(self, draft: str, user: str = "lin") -> Any:
        return await self.ground.drafts.approve(draft, user, "looked", lambda _: None)


@cache
def demo() -> Site:
    """The demo site, read once."""
    return load_site(demo_sites() / "f1")


async def factory_shelf(
    pool: asyncpg.Pool, policy: Any = "ask", site: Site | None = None, clock: Clock | None = None
) -> FactoryShelf:
    """A factory whose live version is 1."""
    await pool.execute(f"TRUNCATE {TABLES}")
    made = await standing(pool, policy, site, clock)
    await made.release(text(1))
    made.said.clear()
    return made


async def standing(
    pool: asyncpg.Pool, policy: Any = "ask", site: Site | None = None, clock: Clock | None = None
) -> FactoryShelf:
    """A factory as it begins on what its database says."""
    site, clock = site or demo(), clock or SystemClock()
    releases = Releases(site, PgRunStore(pool, clock), clock)
    shelf = Shelf(site, clock, PgReleaseStore(pool), releases, SITE_KEY, audit)
    drafts = Drafts(
        clock, PgDraftStore(pool), shelf, Templates(playbook_library(), Path("/nowhere")), audit
    )
    said: list[PlaybookPushReport] = []

    async def say(tx: Any, kind: str, body: Body) -> None:
        assert isinstance(body, PlaybookPushReport)
        said.append(body)

    ground = Ground(
        site, policy, GROUP_KEY.public_key(), clock, PgGroupPlaybooks(pool), shelf, drafts, say,
        audit,
    )  # fmt: skip
    nothing: Bus = None  # type: ignore[assignment]
    await shelf.open()
    return FactoryShelf(pool, GroupPlaybooks(ground, nothing), ground, said)
