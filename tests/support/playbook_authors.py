"""People who write and review playbooks at a brain's web interface, and what they write."""

from __future__ import annotations

from typing import Any

import httpx

from shared.web.auth import COOKIE

BOOK = """\
schema: playbook/v1
playbook: noted
version: {version}
name: {{zh: 记录, en: Noted}}
inputs:
  limit_c: {{type: number, default: 1200, unit: °C, tunable: {{min: 1100, max: 1300}}}}
triggers:
  - {{id: hot, alarm: FUR-01.TT-101.HIHI, where: "{where}"}}
  - {{id: by-hand, manual: {{roles: [shift-lead]}}}}
concurrency: {{key: alarm.asset}}
deadline: 10m
steps:
  - {{id: said, log: "limit ${{inputs.limit_c}}"}}
{more}"""
ROLES = {"wu": "engineer", "lin": "engineer", "op": "operator", "sun": "shift-lead"}
WAIT = "  - {id: rest, wait: 60s}\n"


def book(version: int = 1, where: str = "alarm.value > inputs.limit_c", more: str = "") -> str:
    return BOOK.format(version=version, where=where, more=more)


class Person:
    """Somebody at the console."""

    number = 0

    def __init__(self, web: httpx.AsyncClient, token: str) -> None:
        self._web, self._cookie = web, {"Cookie": f"{COOKIE}={token}"}

    async def ask(
        self, method: str, path: str, body: Any = None, status: int = 200, **headers: str
    ) -> Any:
        Person.number += 1
        sent = {**self._cookie, "Idempotency-Key": f"key-{Person.number:08d}", **headers}
        answer = await self._web.request(method, f"/api{path}", json=body, headers=sent)
        assert answer.status_code == status, (path, answer.status_code, answer.text[:600])
        return answer.json()

    async def tagged(self, path: str) -> dict[str, str]:
        """The condition under which something is changed only as it is now."""
        answer = await self._web.get(f"/api{path}", headers=self._cookie)
        return {"If-Match": answer.headers["etag"]}

    async def approve(self, path: str, body: Any = None, status: int = 200) -> Any:
        """Approve what is read at this moment."""
        tag = await self.tagged(path)
        return await self.ask("POST", f"{path}/approve", body or {}, status, **tag)

    async def draft(self, text: str, **source: Any) -> dict[str, Any]:
        made = await self.ask("POST", "/drafts", source or {"source": "blank", "playbook": "noted"})
        await self.ask("PUT", f"/drafts/{made['id']}", {"text": text})
        return await self.ask("GET", f"/drafts/{made['id']}")
