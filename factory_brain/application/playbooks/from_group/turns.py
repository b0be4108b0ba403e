"""In which order the pushes of a bag are settled: what takes back goes first.

Called by the desk with what lies in the bag; nothing is believed of it yet but its order.
"""

from __future__ import annotations

from collections.abc import Iterable

from shared.errors import ContractError
from shared.messages.playbook_push import MAX_BYTES, PlaybookPush, SignedPush, read


def in_turn(pushes: Iterable[SignedPush]) -> list[SignedPush]:
    """Rollbacks before all else, but none before what it takes back; else by number.

    The numbers of rollbacks are held apart at the factory, so that none is passed by another.
    """
    read_ones = [(_peek(signed), signed) for signed in pushes]
    numbered = [(push, signed) for push, signed in read_ones if push is not None]
    numbered.sort(key=lambda each: each[0].counter)
    number_of = {push.id: push.counter for push, _ in numbered}
    backs = [each for each in numbered if each[0].kind == "rollback"]
    others = [each for each in numbered if each[0].kind != "rollback"]
    turns: list[SignedPush] = []
    for back, signed in backs:
        until = min(number_of.get(back.restores, 0), back.counter)
        turns += [each for push, each in others if push.counter <= until]
        others = [each for each in others if each[0].counter > until]
        turns.append(signed)
    turns += [signed for _, signed in others]
    return turns + [signed for push, signed in read_ones if push is None]


def _peek(signed: SignedPush) -> PlaybookPush | None:
    """What a push says that it is; None: it will be refused."""
    if len(signed.payload) > MAX_BYTES:
        return None
    try:
        return read(signed.payload)
    except ContractError:
        return None
