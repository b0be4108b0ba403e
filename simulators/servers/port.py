"""What a wire of a simulated plant must be able to do.

Implemented by the OPC UA, Modbus and MQTT modules, used by `simulators.simulation`.
"""

from __future__ import annotations

from typing import Any, Protocol


class Wire(Protocol):
    """One plant's connection to the outside."""

    async def open(self) -> None:
        """Begin to answer; after `close` again at the same address."""
        ...

    async def close(self, *, silent: bool = False) -> None:
        """Stop answering and cut everybody off; `silent` leaves no last will behind."""
        ...

    async def shutdown(self) -> None:
        """Stop for good, in good order."""
        ...

    async def publish(self) -> None:
        """Bring what the plant shows now onto the wire."""
        ...

    def endpoint(self) -> dict[str, Any]:
        """Where and how to reach the plant, as served by the control API."""
        ...
