"""What counts as a reason: two characters may say all, blanks say nothing, a book is too much."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from shared.web.dto_directives import DirectiveDecision
from shared.web.dto_group import DecisionRequest
from shared.web.dto_notices import NoticeClose, ShelvingDecision
from shared.web.dto_warning import WarningDecision

SHAPES: list[tuple[Callable[..., Any], dict[str, Any], int]] = [
    (NoticeClose, {}, 1_000),
    (ShelvingDecision, {"decision": "approve"}, 1_000),
    (DirectiveDecision, {"accept": True}, 1_000),
    (DecisionRequest, {"decision": "approve"}, 1_000),
    (WarningDecision, {"action": "approve"}, 500),
]


@pytest.mark.parametrize(("shape", "rest", "most"), SHAPES)
def test_a_short_reason_is_one_and_blanks_are_none(
    shape: Callable[..., Any], rest: dict[str, Any], most: int
) -> None:
    assert shape(**rest, reason=" 误报 ").reason == "误报"
    assert shape(**rest, reason="x" * most).reason == "x" * most
    for bad in ("", " \n\t ", "x" * (most + 1)):
        with pytest.raises(ValidationError):
            shape(**rest, reason=bad)
