"""The two HTTP interfaces a drill talks to: the brain's REST and the simulators' control.

Used by the drill runner only; the one place that knows their paths.
"""

from __future__ import annotations

from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from shared.errors import ContractError, PermanentTransportError, RetryableTransportError
from shared.web.dto import (
    AckItem,
    AckRequest,
    ActionResult,
    AlarmRow,
    AlarmSnapshot,
    AnswerRequest,
    Login,
    Run,
    RunList,
)

TIMEOUT_S = 5.0
PERSON = "admin"
"""Whom a drill plays."""
Shape = TypeVar("Shape", bound=BaseModel)


class Rest:
    """One base address with clear errors."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._http = httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S, trust_env=False)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """Send a request; raises TransportError with the address and the server's own reason."""
        try:
            answer = await self._http.request(method, path, json=body, headers=headers)
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise RetryableTransportError(f"{self._url}{path}: {reason}") from None
        if answer.status_code >= 500:
            raise RetryableTransportError(f"{self._url}{path}: {answer.status_code} {answer.text}")
        if answer.status_code >= 400:
            raise PermanentTransportError(f"{self._url}{path}: {answer.status_code} {answer.text}")
        return answer

    async def shaped(self, method: str, path: str, shape: type[Shape]) -> Shape:
        """Send a request and read the answer as `shape`."""
        answer = await self.ask(method, path)
        try:
            return shape.model_validate_json(answer.content)
        except ValidationError as error:
            raise ContractError(f"{self._url}{path}: {error}") from None


class Session(Rest):
    """A tier that wants to know who asks."""

    async def login(self, username: str, password: str) -> None:
        """Open a session; the cookie stays with this client."""
        body = Login(username=username, password=password).model_dump()
        await self.ask("POST", "/api/session", body)


class BrainClient(Session):
    """What an operator's browser would do, without the browser."""

    async def alarms(self) -> list[AlarmRow]:
        """The live alarm list."""
        return (await self.shaped("GET", "/api/alarms", AlarmSnapshot)).rows

    async def runs(self) -> list[Run]:
        """The newest playbook runs."""
        return (await self.shaped("GET", "/api/runs?limit=100", RunList)).runs

    async def run(self, run: str) -> Run:
        """One run with its steps and its question."""
        return await self.shaped("GET", f"/api/runs/{run}", Run)

    async def acknowledge(self, row: AlarmRow, key: str) -> None:
        """Acknowledge what the row shows; raises when the brain refuses."""
        item = AckItem(alarm=row.alarm, occurrence=row.occurrence, version=row.version)
        body = AckRequest(items=[item], comment="drill").model_dump()
        answer = await self.ask("POST", "/api/alarms/ack", body, {"Idempotency-Key": key})
        result = ActionResult.model_validate_json(answer.content).results[0]
        if not result.accepted:
            raise PermanentTransportError(f"acknowledgement refused: {result.code}")

    async def answer(self, run: Run, option: str, key: str) -> None:
        """Answer the question the run waits for."""
        assert run.ask is not None
        body = AnswerRequest(path=run.ask.path, option=option, comment="drill").model_dump()
        await self.ask("POST", f"/api/runs/{run.id}/answers", body, {"Idempotency-Key": key})


class ControlClient(Rest):
    """The simulators' control API."""

    async def state(self, writes_since: int) -> dict[str, Any]:
        """Everything, with the writes after a sequence number."""
        answer = await self.ask("GET", f"/state?writes_since={writes_since}")
        return answer.json()

    async def fault(self, plant: str, fault: str, on: bool, args: dict[str, float]) -> None:
        """Switch a fault."""
        body = {"plant": plant, "fault": fault, "on": on, "args": args}
        await self.ask("POST", "/faults", body)

    async def reset(self, plant: str) -> None:
        """Put one plant back to its healthy start."""
        await self.ask("POST", "/reset", {"plant": plant})

    async def speed(self, factor: float) -> None:
        """Set how fast plant time passes."""
        await self.ask("POST", "/speed", {"factor": factor})
