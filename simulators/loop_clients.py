"""What the drill of the learning loop asks of a factory's brain and of the group's cloud.

Used by that drill only: the calls are those of the consoles, made by one who may do everything.
"""

from __future__ import annotations

import csv
import io
import secrets
from datetime import UTC, datetime
from typing import Any

from shared.errors import ContractError, PermanentTransportError
from shared.web.dto import AlarmDetail, Proposal, ProposalList
from shared.web.dto_dispatch import PushBegun, PushPreview
from shared.web.dto_faults import FaultOut
from shared.web.dto_rollouts import RolloutDetail, RolloutList
from simulators.drill_clients import BrainClient, Session


def _key() -> dict[str, str]:
    return {"Idempotency-Key": f"drill-{secrets.token_hex(8)}"}


class FactoryClient(BrainClient):
    """The factory: what its operators see, say and record."""

    async def detail(self, alarm: str) -> AlarmDetail | None:
        """The alarm with the setting in force; None while it was never raised."""
        try:
            return await self.shaped("GET", f"/api/alarms/{alarm}", AlarmDetail)
        except PermanentTransportError:
            return None

    async def raised(self, alarm: str, since: int, until: int) -> list[str]:
        """The occurrences of an alarm that began in [since, until), as the journal has them."""
        answer = await self.ask("GET", f"/api/journal.csv?since={since}&until={until}")
        rows = csv.DictReader(io.StringIO(answer.text))
        # A raise carries its side alone; what follows on it carries a suffix.
        return [
            row["occurrence"] for row in rows
            if row["alarm"] == alarm and " " not in row["type"] and _ms(row["timestamp"]) >= since
        ]  # fmt: skip

    async def label(self, occurrence: str, outcome: str, cause: str) -> None:
        """Say what an alarm was; raises when the brain refuses."""
        body = {"outcome": outcome, "cause": cause, "comment": "drill"}
        path = f"/api/occurrences/{occurrence}/outcome"
        answer = (await self.ask("POST", path, body, _key())).json()
        if not answer["accepted"]:
            raise PermanentTransportError(f"label refused: {answer.get('code')}")

    async def record_fault(self, asset: str, start: int, end: int, cause: str) -> FaultOut:
        """Tell of a fault that no alarm told of."""
        body = {"asset": asset, "start": start, "end": end, "cause": cause, "comment": "drill"}
        answer = await self.ask("POST", "/api/faults", body, _key())
        return FaultOut.model_validate_json(answer.content)

    async def withdraw_fault(self, fault: str) -> None:
        """It was a drill's."""
        await self.ask("POST", f"/api/faults/{fault}/withdraw", {"reason": "drill"}, _key())


class GroupClient(Session):
    """The group: proposals, pushes and roll-outs."""

    async def proposals(self) -> list[Proposal]:
        """The newest proposals."""
        return (await self.shaped("GET", "/api/proposals", ProposalList)).proposals

    async def decide(self, proposal: str, decision: str, reason: str) -> Proposal:
        """Approve or reject a proposal."""
        body = {"decision": decision, "reason": reason}
        answer = await self.ask("POST", f"/api/proposals/{proposal}/decision", body, _key())
        return Proposal.model_validate_json(answer.content)

    async def preview(self, push: dict[str, Any]) -> PushPreview:
        """What a person's change would do; changes nothing."""
        answer = await self.ask("POST", "/api/group/push/preview", push)
        return PushPreview.model_validate_json(answer.content)

    async def push(self, push: dict[str, Any]) -> PushBegun:
        """Force a change by a person's own word, as it was looked at."""
        answer = await self.ask("POST", "/api/group/push", push, _key())
        return PushBegun.model_validate_json(answer.content)

    async def rollouts(self) -> RolloutList:
        """The newest roll-outs."""
        return await self.shaped("GET", "/api/rollouts", RolloutList)

    async def rollout(self, rollout: str) -> RolloutDetail:
        """One roll-out with what every edge answered."""
        return await self.shaped("GET", f"/api/rollouts/{rollout}", RolloutDetail)

    async def abort(self, rollout: str) -> None:
        """Take a roll-out back."""
        body = {"action": "abort", "reason": "drill"}
        await self.ask("POST", f"/api/rollouts/{rollout}/actions", body, _key())


def _ms(stamp: str) -> int:
    try:
        at = datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)
    except ValueError as error:
        raise ContractError(f"journal.csv: {error}") from None
    return round(at.timestamp() * 1000)
