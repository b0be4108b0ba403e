"""A write order as one Modbus request, and what its answer means.

Used by `modbus_client`. Chooses the request only; sends nothing by itself, repeats nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from pymodbus.pdu import ModbusPDU

from edge_node.adapters.sources.modbus_codec import Orders, encode
from edge_node.adapters.sources.modbus_line import Client
from edge_node.adapters.sources.modbus_map import Register
from edge_node.application.ipc import Write, WriteResult

# 4 device failure, 5 accepted but not finished, 11 target behind a gateway silent.
AMBIGUOUS_CODES = {4, 5, 11}
ILLEGAL_FUNCTION = 1
Request = Callable[[Client, int], Coroutine[Any, Any, ModbusPDU]]


def tag_type(value: Any) -> str:
    """How an order's value decides between a bit and a text."""
    return "string" if isinstance(value, str) else "number"


def request(register: Register, value: Any, orders: Orders) -> Request:
    """The one request that writes `value`; ValueError when it cannot be written."""
    at = register.offset
    if register.table not in ("coil", "holding"):
        raise ValueError("inputs can only be read")
    if isinstance(value, dict | list):
        raise ValueError("a register takes a number, a boolean or a text")
    if register.kind == "bit":
        if isinstance(value, str) or value not in (0, 1):
            raise ValueError(f"a bit takes true or false, not {value!r}")
        on, mask = bool(value), 1 << register.part

        async def bit(client: Client, unit: int) -> ModbusPDU:
            if register.bit:
                return await client.write_coil(at, on, device_id=unit)
            # The device itself sets the one bit: reading, changing and writing the whole
            # register could undo what it or another master writes in between.
            return await client.mask_write_register(
                address=at, and_mask=0xFFFF ^ mask, or_mask=mask if on else 0, device_id=unit
            )

        return bit
    words = encode(register, value, orders)

    async def registers(client: Client, unit: int) -> ModbusPDU:
        if len(words) == 1:
            return await client.write_register(at, words[0], device_id=unit)
        return await client.write_registers(at, words, device_id=unit)

    return registers


def judge(order: Write, register: Register, answer: ModbusPDU) -> WriteResult | None:
    """The outcome of a refused or doubtful write; None when the device has confirmed it."""
    if answer.isError():
        code = getattr(answer, "exception_code", 0)
        outcome = "unknown" if code in AMBIGUOUS_CODES else "failed"
        mend = ""
        if code == ILLEGAL_FUNCTION and register.kind == "bit" and not register.bit:
            mend = "; this device cannot set one bit of a register: write the whole register"
        return WriteResult(id=order.id, outcome=outcome, detail=f"device exception {code}{mend}")
    if answer.address != register.offset:
        detail = f"sent; the device confirmed another address ({answer.address + 1})"
        return WriteResult(id=order.id, outcome="unknown", detail=detail)
    return None
