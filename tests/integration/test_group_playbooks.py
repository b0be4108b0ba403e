"""A playbook of the group reaches a factory over real NATS, is reviewed there, and runs next."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from factory_brain.bootstrap import Brain
from factory_brain.settings import BrainSettings
from group_cloud.bootstrap import Cloud
from shared.embedded.ports import Ports
from shared.identity.policy import User
from shared.messages.codec import encode
from shared.messages.playbook_push import KEY, PushBag, SignedPush, canonical
from shared.messages.subjects import Node
from shared.paths import demo_sites
from shared.security import generate_key
from tests.support.cloud_world import Group, until
from tests.support.group_playbook_world import GROUP_KEY, back, push, signed
from tests.support.nats_world import World
from tests.support.playbook_authors import WAIT, Person, book

pytest_plugins = ("tests.support.cloud_fixtures",)
ASKS = """\
  - id: sure
    ask: {to: [role:shift-lead], question: {zh: 继续？, en: Go on?}, options: [go], within: 5m}
    on_timeout: fail
"""
"""A run that is under way until somebody says so, however quick or slow the machine."""
PEOPLE = {"wu": "engineer", "lin": "engineer", "sun": "shift-lead"}


@dataclass
class Both:
    """The group and one factory, with people at both."""

    group: Cloud
    brain: Brain
    here: dict[str, Person]
    there: dict[str, Person]

    async def rollout(self) -> dict[str, Any]:
        return (await self.there["wu"].ask("GET", "/playbook-rollouts"))["rollouts"][0]

    async def becomes(self, state: str) -> dict[str, Any]:
        async def there() -> dict[str, Any] | None:
            found = await self.rollout()
            return found if found["state"] == state else None

        return await until(there, 30)

    async def push(self, status: str, kind: str = "release") -> dict[str, Any]:
        """The factory's newest push of a kind, once it has this status there."""

        async def there() -> dict[str, Any] | None:
            items = (await self.here["wu"].ask("GET", "/group-playbooks"))["items"]
            mine = [each for each in items if (each["kind"], each["status"]) == (kind, status)]
            return max(mine, key=lambda each: each["counter"], default=None)

        return await until(there, 30)

    async def begin(self, **wanted: Any) -> dict[str, Any]:
        body = {
            "playbook": "noted", "sites": ["f1"], "dwell_s": 0, "min_runs": 0, "reason": "better",
            **wanted,
        }  # fmt: skip
        made = await self.there["wu"].ask("POST", "/playbook-rollouts", body, 201)
        path = f"/playbook-rollouts/{made['id']}/actions"
        agree = {"action": "approve", "reason": "looked at"}
        own = await self.there["wu"].ask("POST", path, agree, 403)
        assert own["code"] == "own_playbook_rollout"
        await self.there["lin"].ask("POST", path, agree)
        return made


async def _people(accounts: Any, url: str) -> dict[str, Person]:
    web = httpx.AsyncClient(base_url=url, timeout=15)

    async def up() -> bool:
        try:
            return (await web.get("/api/healthz")).status_code == 200
        except httpx.TransportError:
            return False

    await until(up, 30)
    found = {}
    for name, role in PEOPLE.items():
        await accounts.create(name, "correct horse battery", [role])
        found[name] = Person(web, await accounts.open_session(User(name, (role,)), "local"))
    return found


@pytest.fixture
async def both(world: World, group: Group, brain_url: str, tmp_path: Path) -> AsyncIterator[Both]:
    from shared.clock import SystemClock
    from shared.postgres.accounts import PgAccounts

    books = tmp_path / "books"
    books.mkdir()
    (tmp_path / "brain").mkdir()
    (books / "noted.yaml").write_text(book(1, more=ASKS))
    server = world.servers["f1"]
    private, _ = generate_key()
    for name, data in {"app": server.app_password.encode(), "site.key": private}.items():
        (tmp_path / name).write_bytes(data)
    settings = BrainSettings(
        site="f1", site_dir=demo_sites() / "f1", playbook_dir=books, secrets_dir=tmp_path,
        state_dir=tmp_path / "brain", nats_url=f"nats://127.0.0.1:{server.client_port}",
        nats_password_file=tmp_path / "app", database_url=brain_url, http_port=Ports().take(0),
        admin_password_file=tmp_path / "admin", approval_key_file=tmp_path / "site.key",
        release_key_file=tmp_path / "release.pub",
    )  # fmt: skip
    brain = await Brain.start(settings)
    assert group.cloud is not None
    here = await _people(brain.accounts, f"http://127.0.0.1:{settings.http_port}")
    there = await _people(PgAccounts(group.db, SystemClock()), group.url)
    made = Both(group.cloud, brain, here, there)

    async def known() -> Any:
        return await group.db.fetchval("SELECT 1 FROM factory WHERE site = 'f1'")

    await until(known, 30)
    yield made
    for people in (here, there):
        await people["wu"]._web.aclose()
    await brain.service.shutdown()


async def test_check_24_group_push_approved_here_is_what_the_next_run_runs(both: Both) -> None:
    wu, sun = both.here["wu"], both.here["sun"]
    running = await sun.ask("POST", "/playbooks/noted/runs")
    path = f"/runs/{running['id']}"

    async def asked() -> Any:
        found = await wu.ask("GET", path)
        return any(s["id"] == "sure" and s["status"] == "waiting" for s in found["steps"])

    await until(asked, 30)
    text = book(2, more="  - {id: more, log: more}\n")
    kept = await both.there["wu"].ask("POST", "/playbook-variants", {"text": text}, 201)
    assert (kept["version"], kept["errors"]) == (2, 0)
    again = await both.there["wu"].ask("POST", "/playbook-variants", {"text": text}, 409)
    assert again["code"] == "variant_exists"
    await both.begin(version=2)
    waiting = await both.push("waiting")
    assert (waiting["offered"], waiting["approved_by"]) == (2, "lin")
    draft = f"/drafts/{waiting['draft']}"
    diff = await wu.ask("GET", f"{draft}/diff")
    assert (diff["against"], "+version: 2" in diff["lines"]) == (1, True)
    live = await wu.ask("GET", "/playbooks/noted")
    assert live["version"] == 1  # nothing by itself
    await wu.approve(draft, {"note": "good"})
    now = await wu.ask("GET", "/playbooks/noted")
    still = await wu.ask("GET", path)
    assert still["ended_at"] is None
    assert (now["version"], still["version"]) == (2, 1)
    said = await sun.ask("POST", f"{path}/answers", {"step": "sure", "option": "go"})
    assert said["accepted"], said

    async def ended() -> Any:
        found = await wu.ask("GET", path)
        return found if found["ended_at"] else None

    finished = await until(ended, 30)
    assert (finished["version"], finished["status"]) == (1, "success")
    after = await sun.ask("POST", "/playbooks/noted/runs")
    assert (after["version"], after["id"] == running["id"]) == (2, False)
    done = await both.becomes("done")
    assert [(p["site"], p["status"], p["version"]) for p in done["pushes"]] == [
        ("f1", "applied", 2)
    ]
    rows = await both.brain.pool.fetch("SELECT id, digest FROM run")
    assert len({row["digest"] for row in rows}) == 2

    # Values: below what the factory has set itself, inside the bounds, taken back on demand.
    bad = {"playbook": "noted", "sites": ["f1"], "inputs": {"limit_c": 1301}, "reason": "x"}
    refusal = await both.there["wu"].ask("POST", "/playbook-rollouts", bad, 422)
    assert refusal["code"] == "input_outside_bounds"
    begun = await both.begin(inputs={"limit_c": 1150})
    values = await both.push("waiting", "inputs")
    path = f"/group-playbooks/{values['id']}"
    seen = await wu.ask("GET", path)
    assert [(i["now"], i["proposed"], i["least"]) for i in seen["inputs"]] == [(1200, 1150, 1100)]
    await sun.ask("POST", f"{path}/decision", {"accept": True, "reason": "x"}, 403)
    await wu.ask("POST", f"{path}/decision", {"accept": True, "reason": "seen"})
    run = await sun.ask("POST", "/playbooks/noted/runs")
    context = await both.brain.pool.fetchval("SELECT context FROM run WHERE id = $1", run["id"])
    assert context["inputs"]["limit_c"] == 1150
    await both.becomes("done")
    undo = {"action": "roll_back", "reason": "too cold"}
    await both.there["wu"].ask("POST", f"/playbook-rollouts/{begun['id']}/actions", undo)
    gone = await both.becomes("rolled_back")
    assert {p["status"] for p in gone["pushes"]} == {"applied", "rolled_back"}
    book_now = both.brain.releases.get("noted")
    assert book_now is not None
    assert both.brain.releases.inputs(book_now.playbook)["limit_c"] == 1200
    await forged(both)


async def forged(both: Both) -> None:
    """Somebody who can write the bucket, but has not the group's key."""
    node = Node("f1", "brain")
    body = push(counter=99, playbook="noted", version=9, text=book(9, more=WAIT))
    bag = PushBag(
        pushes=[signed(body), SignedPush(payload=canonical(back(98, "x")), signature=b"")]
    )
    assert GROUP_KEY.public_key() is not None

    async def told() -> Any:
        # Again each time: the group puts its own bag there too, when an answer has come.
        await both.group.bus.bucket_put(node.directive_bucket, KEY, encode(bag))
        await both.group.bus.publish(node.directive, b"")
        rows = await both.group.pool.fetch(
            "SELECT data FROM audit WHERE action = 'playbook_push_not_genuine'"
        )
        return rows if len(rows) >= 2 else None

    rows = await until(told, 30)
    assert {row["data"]["code"] for row in rows} == {"release_signature_invalid"}
    live = await both.here["wu"].ask("GET", "/playbooks/noted")
    assert live["version"] == 2
