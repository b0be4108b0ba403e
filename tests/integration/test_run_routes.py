"""Runs are ended and held over HTTP; playbooks' dead webhooks are listed and sent again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from factory_brain.bootstrap import Brain
from shared.identity.policy import Grant, User
from shared.web.auth import COOKIE
from tests.support.brain_world import until

pytest_plugins = ["tests.support.brain_fixtures"]
BOOK = """\
schema: playbook/v1
playbook: held
version: 1
name: {zh: 保持, en: Held}
triggers:
  - {id: by-hand, manual: {roles: [shift-lead]}}
deadline: 10m
steps:
  - {id: rest, wait: 5m}
finally:
  - {id: closing, log: closed}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Path:
    """A brain's folder with one playbook in it, before the brain begins."""
    (tmp_path / "held.yaml").write_text(BOOK)
    return tmp_path


class Person:
    """Somebody at the console."""

    number = 0

    def __init__(self, web: httpx.AsyncClient, token: str) -> None:
        self._web, self._cookie = web, {"Cookie": f"{COOKIE}={token}"}

    async def ask(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        Person.number += 1
        sent = {**self._cookie, "Idempotency-Key": f"routes-{Person.number:08d}"}
        answer = await self._web.request(method, f"/api{path}", json=body, headers=sent)
        assert answer.status_code == status, (path, answer.status_code, answer.text[:600])
        return answer.json()


@pytest.fixture
async def people(folder: Path, brain: Brain, web: httpx.AsyncClient) -> dict[str, Person]:
    made: dict[str, Person] = {}
    for role in ("operator", "shift-lead", "engineer"):
        await brain.accounts.create(f"a-{role}", "correct horse battery", [role])
        token = await brain.accounts.open_session(User(f"a-{role}", (role,)), "local")
        made[role] = Person(web, token)
    return made


async def test_check_21_runs_are_held_and_ended_over_http(
    brain: Brain, people: dict[str, Person]
) -> None:
    lead, operator = people["shift-lead"], people["operator"]

    async def begun() -> str:
        run = (await lead.ask("POST", "/playbooks/held/runs"))["id"]

        async def waits() -> bool:
            return (await lead.ask("GET", f"/runs/{run}"))["status"] == "waiting"

        await until(waits)
        return run

    async def status(run: str, wanted: str) -> None:
        async def there() -> bool:
            return (await lead.ask("GET", f"/runs/{run}"))["status"] == wanted

        await until(there)

    async def say(run: str, word: str, who: Person = lead, code: int = 200) -> Any:
        return await who.ask("POST", f"/runs/{run}/{word}", {"reason": "look"}, code)

    first = await begun()
    for word in ("cancel", "terminate", "suspend", "resume"):
        await say(first, word, operator, 403)
        await say("no-such-run", word, code=404)
    assert (await say(first, "resume"))["code"] == "not_suspended"
    assert (await say(first, "suspend"))["accepted"]
    await status(first, "suspended")
    assert (await say(first, "resume"))["accepted"]
    await status(first, "waiting")
    assert (await say(first, "cancel"))["accepted"]
    await status(first, "cancelled")
    assert (await say(first, "terminate"))["code"] == "run_over"
    second = await begun()
    assert (await say(second, "terminate"))["accepted"]
    await status(second, "cancelled")
    rows = await brain.pool.fetch(
        "SELECT action, actor, why FROM audit WHERE target IN ($1, $2) ORDER BY at, id",
        first, second,
    )  # fmt: skip
    words = [row["action"] for row in rows if row["action"].endswith("_run")]
    assert sorted(words) == ["cancel_run", "resume_run", "suspend_run", "terminate_run"]
    assert {row["actor"] for row in rows} == {"a-shift-lead"}


async def test_dead_webhooks_of_playbooks_are_listed_and_sent_again(
    brain: Brain, people: dict[str, Person]
) -> None:
    await brain.pool.execute(
        "INSERT INTO delivery (id, run, path, endpoint, body, schedule, at, attempt, due, status, "
        "detach, error) VALUES ('r1:/steps/hook', 'r1', '/steps/hook', 'nowhere', $1, $2, 1, 1, 2, "
        "'dead', true, 'refused')",
        {"type": "t", "data": {}, "time": 1}, [0],
    )  # fmt: skip
    await people["operator"].ask("GET", "/playbook-webhooks/dead", status=403)
    engineer = people["engineer"]
    (one,) = (await engineer.ask("GET", "/playbook-webhooks/dead"))["items"]
    assert (one["id"], one["endpoint"], one["error"]) == ("r1:/steps/hook", "nowhere", "refused")
    assert (one["type"], one["run"], one["path"]) == ("t", "r1", "/steps/hook")
    assert one["size"] > 0
    # What is of one area only does not tell systems of the whole plant.
    grants = (Grant("engineer", "FUR-01"),)
    await brain.accounts.create("near", "correct horse battery", grants)
    token = await brain.accounts.open_session(User.of("near", grants), "local")
    near = Person(engineer._web, token)
    await near.ask("GET", "/playbook-webhooks/dead", status=403)
    await near.ask("POST", "/playbook-webhooks/replay", {"id": "r1:/steps/hook"}, 403)
    body = {"id": "r1:/steps/hook"}
    assert await engineer.ask("POST", "/playbook-webhooks/replay", body) == {"replayed": 1}
    assert await engineer.ask("POST", "/playbook-webhooks/replay", {"id": "x"}) == {"replayed": 0}

    async def tried() -> bool:
        found = (await engineer.ask("GET", "/playbook-webhooks/dead"))["items"]
        return bool(found) and found[0]["error"] != "refused"

    await until(tried)  # it was tried again: there still is no such endpoint
    (again,) = (await engineer.ask("GET", "/playbook-webhooks/dead"))["items"]
    assert again["id"] == one["id"]  # the webhook-id that its receiver knows it by
    row = await brain.pool.fetchrow("SELECT * FROM audit WHERE action = 'delivery_replayed'")
    assert (row["actor"], row["target"]) == ("a-engineer", "nowhere")
    # A long list is read page by page.
    await brain.pool.executemany(
        "INSERT INTO delivery (id, run, path, endpoint, body, schedule, at, attempt, due, status, "
        "detach, error) VALUES ($1, 'r1', '/steps/hook', 'nowhere', $3, $4, 1, 1, $2, 'dead', "
        "true, 'refused')",
        [(f"r1:/steps/h{n}", n // 2, {"type": "t"}, [0]) for n in range(4)],
    )  # fmt: skip
    found: list[str] = []
    cursor = ""
    for _ in range(3):
        page = await people["engineer"].ask("GET", f"/playbook-webhooks/dead?limit=2{cursor}")
        found += [one["id"] for one in page["items"]]
        cursor = f"&cursor={page['next']}"
    assert page["next"] is None
    assert found == [one["id"], *(f"r1:/steps/h{n}" for n in (3, 2, 1, 0))]
