"""What people see of links: counts, deliveries, devices, notices; and ending an alarm."""

from __future__ import annotations

from typing import Any

import msgspec

from factory_brain.application.links.devices import Devices
from factory_brain.application.links.inbound import Inbound
from factory_brain.application.links.ports import Deliveries, Notices
from factory_brain.application.ports import Audit
from shared.site.fields import Names
from shared.site.site import Site
from shared.web.dto_base import Text
from shared.web.dto_linked import (
    Delivery,
    DeviceNoticeOut,
    InboundLink,
    LinkedDeviceOut,
    LinkedDevices,
    Links,
    OutboundLink,
)


def _text(names: Names | None, default: str) -> Text:
    return Text(zh=names.zh, en=names.en) if names else Text(zh=default, en=default)


class LinkOverview:
    """The lists of a site's links."""

    def __init__(
        self, site: Site, inbound: Inbound, devices: Devices, deliveries: Deliveries,
        notices: Notices, audit: Audit,
    ) -> None:  # fmt: skip
        self._site, self._inbound, self._devices = site, inbound, devices
        self._deliveries, self._notices, self._audit = deliveries, notices, audit

    async def links(self) -> Links:
        """All webhooks with their counts."""
        heard = await self._inbound.overview()
        told = await self._deliveries.overview()
        inbound = [
            InboundLink(
                id=spec.id, name=_text(spec.name, spec.id), verify=spec.verify,
                events=heard.get(spec.id, (0, None, 0))[0],
                last_at=heard.get(spec.id, (0, None, 0))[1],
                alarms=heard.get(spec.id, (0, None, 0))[2],
            )
            for spec in self._site.links.inbound.values()
        ]  # fmt: skip
        outbound = [
            _outbound(spec.id, spec.endpoint, spec.order, told.get(spec.id, {}))
            for spec in self._site.links.outbound.values()
        ]
        return Links(inbound=inbound, outbound=outbound)

    async def deliveries(
        self, outbound: str | None, status: str | None, before: int | None, limit: int
    ) -> list[tuple[int, Delivery]]:
        """(sort key, delivery), newest first."""
        rows = await self._deliveries.list(outbound, status, before, limit)
        found: list[tuple[int, Delivery]] = []
        for row in rows:
            number = row.pop("n")
            row["body"] = msgspec.json.decode(row["body"])
            found.append((number, Delivery.model_validate(row)))
        return found

    async def devices(self) -> LinkedDevices:
        """All devices with what they show and what waits for them."""
        rows = await self._notices.overview()
        items = []
        for spec in self._site.links.devices.values():
            row = rows.get(spec.id, {})
            items.append(
                LinkedDeviceOut(
                    id=spec.id, kind=spec.kind, name=_text(spec.name, spec.id),
                    online=bool(row.get("online")), seen_at=row.get("seen_at"),
                    state=await self._devices.state_of(spec), waiting=row.get("waiting", 0),
                    oldest_at=row.get("oldest"), acknowledged=row.get("acknowledged", 0),
                    expired=row.get("expired", 0), dropped=row.get("dropped", 0),
                )
            )  # fmt: skip
        return LinkedDevices(broker=self._devices.connected, items=items)

    async def notices(
        self, device: str, status: str | None, before: int | None, limit: int
    ) -> list[DeviceNoticeOut] | None:
        """Notices of a device, newest first; None if there is no such device."""
        if device not in self._site.links.devices:
            return None
        rows = await self._notices.list(device, status, before, limit)
        return [DeviceNoticeOut.model_validate(row) for row in rows]

    async def end_alarm(self, alarm: str, actor: str) -> bool:
        """End an alarm whose system will never say that it is over; False if none stands."""
        return await self._inbound.end(alarm, actor, self._audit)


def _outbound(name: str, endpoint: str, order: str, row: dict[str, Any]) -> OutboundLink:
    return OutboundLink(
        id=name, endpoint=endpoint, order=order, due=row.get("due", 0),
        delivered=row.get("delivered", 0), dead=row.get("dead", 0), failing=row.get("failing", 0),
        disabled_at=row.get("disabled_at"), error=row.get("error"),
    )  # fmt: skip
