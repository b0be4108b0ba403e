"""Delivers playbooks' webhooks: body a CloudEvent, sent by the one way out (`outward.py`)."""

from __future__ import annotations

import msgspec

from factory_brain.adapters.outward import Outside, Outward
from factory_brain.application.playbooks.ports import Delivered, Delivery
from factory_brain.domain.cloud_event import rfc3339
from shared.clock import Clock

__all__ = ["HttpWebhooks", "Outside"]


class HttpWebhooks:
    """Implements the engine's `WebhookSender`."""

    def __init__(self, outside: Outside, clock: Clock) -> None:
        self._outside = outside
        self._outward = Outward(outside, clock)

    def warm(self) -> None:
        """Be ready to send."""
        self._outward.client.warm()

    async def close(self) -> None:
        """Close connections."""
        await self._outward.close()

    async def deliver(self, delivery: Delivery) -> Delivered:
        """What the receiver answered."""
        answered = await self._outward.post(delivery.endpoint, delivery.id, self._body(delivery))
        return Delivered(answered.error, answered.status, answered.retry_after_s)

    def _body(self, delivery: Delivery) -> bytes:
        return msgspec.json.encode(
            {
                "specversion": "1.0",
                "id": delivery.id,
                "source": f"andon/{self._outside.site}",
                "type": delivery.body["type"],
                "time": rfc3339(delivery.body["time"]),
                "datacontenttype": "application/json",
                "data": delivery.body["data"],
            }
        )
