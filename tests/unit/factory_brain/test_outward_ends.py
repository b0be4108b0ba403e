"""What is told outward survives a bad moment and odd values."""

from __future__ import annotations

import httpx
import pytest

from factory_brain.adapters.outward import Client
from factory_brain.application.playbooks.ended import told_context


async def test_a_client_that_could_not_be_made_is_made_at_the_next_need(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = Client._made
    client = Client(1.0)

    def without_a_descriptor(_: Client) -> httpx.AsyncClient:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(Client, "_made", without_a_descriptor)
    with pytest.raises(OSError, match="Too many open files"):
        await client.ready()
    monkeypatch.setattr(Client, "_made", made)
    assert isinstance(await client.ready(), httpx.AsyncClient)
    await client.close()


def test_numbers_that_no_float_holds_do_not_end_the_telling() -> None:
    inputs = {"long": 10**400, "endless": float("inf"), "none": float("nan"), "fine": 7, "on": True}
    told = told_context({"inputs": inputs, "alarm": {"value": -(10**400), "limit": 1280.0}})
    assert told == {"alarm.limit": 1280.0, "input.fine": 7, "input.on": True}
