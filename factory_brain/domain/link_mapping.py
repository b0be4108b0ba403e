"""What a linked system's message means: the site's expressions over its JSON body. Pure.

Called by the inbound links; a message that cannot be mapped is refused with the field and why.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from typing import Any

from shared.errors import Rejected
from shared.expression import Expression, StaticEnvironment, Unknown, compile_expression
from shared.site.links import PREFIX, InboundSpec

_KEY = re.compile(r"[A-Za-z0-9_.-]{1,60}\Z")
_ASSET = re.compile(r"[A-Z0-9][A-Z0-9-]{0,31}\Z")
_KIND = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")
_PRIORITIES = (1, 2, 3, 4)
_SECONDS = 100_000_000_000
"""A time below this counts seconds, not milliseconds (it would be in the year 5138)."""
_TOO_FAR_MS = 300_000
MAX_TEXT = 500


@dataclass(frozen=True, slots=True)
class Incoming:
    """One mapped message."""

    link: str
    kind: str
    asset: str
    alarm: str
    """Empty: an event, no alarm."""
    active: bool
    priority: int
    names: dict[str, str]
    value: float | None
    unit: str
    time: int


class MappingError(Exception):
    """A field that cannot be had from this message."""

    def __init__(self, field: str, why: str, mend: str) -> None:
        self.rejected = Rejected("hook_mapping", {"field": field, "why": why, "mend": mend})
        super().__init__(field)


class Mapping:
    """The compiled expressions of one inbound link."""

    def __init__(self, spec: InboundSpec) -> None:
        self.spec = spec
        self._when = _compiled(spec.when)
        self._fields = {name: _compiled(text) for name, text in spec.map.given()}

    def read(self, body: Any, now: int) -> Incoming | Rejected | None:
        """The event that `body` reports; None when it is not meant; a refusal that says why."""
        env = StaticEnvironment({"body": body})
        try:
            meant = self._when.evaluate(env)
            if isinstance(meant, Unknown):
                raise _unknown("when", meant)
            return self._event(env, now) if meant is True else None
        except MappingError as error:
            return error.rejected

    def _event(self, env: StaticEnvironment, now: int) -> Incoming:
        key = self._text(env, "alarm", "")
        if key and not _KEY.match(key):
            raise MappingError("alarm", repr(key[:60]), "1-60 of A-Z a-z 0-9 _ . -")
        kind, asset = self._text(env, "type", ""), self._text(env, "asset", "")
        if not _KIND.match(kind):
            raise MappingError("type", repr(kind[:60]), "1-64 of A-Z a-z 0-9 _ . -")
        if not _ASSET.match(asset):
            raise MappingError("asset", repr(asset[:60]), "1-32 of A-Z 0-9 -, as in the site")
        active = self._value(env, "active")
        if key and not isinstance(active, bool):
            raise MappingError("active", repr(active)[:60], "true or false")
        priority = self._value(env, "priority")
        if isinstance(priority, bool) or priority not in _PRIORITIES:
            raise MappingError("priority", repr(priority)[:60], "1, 2, 3 or 4")
        return Incoming(
            link=self.spec.id, kind=kind, asset=asset,
            alarm=f"{PREFIX}{self.spec.id}.{key}" if key else "",
            active=active is True, priority=int(priority), names=self._names(env, key or kind),
            value=self._number(env), unit=self._text(env, "unit", "")[:20],
            time=self._time(env, now),
        )  # fmt: skip

    def _value(self, env: StaticEnvironment, field: str) -> Any:
        expression = self._fields.get(field)
        if expression is None:
            return None
        value = expression.evaluate(env)
        if isinstance(value, Unknown):
            raise _unknown(field, value)
        return value

    def _text(self, env: StaticEnvironment, field: str, default: str) -> str:
        value = self._value(env, field)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise MappingError(field, repr(value)[:60], "a text")
        return "".join(c for c in str(value) if c.isprintable())[:MAX_TEXT]

    def _names(self, env: StaticEnvironment, default: str) -> dict[str, str]:
        both = self._text(env, "text", "")
        zh, en = self._text(env, "text_zh", ""), self._text(env, "text_en", "")
        return {"zh": zh or both or en or default, "en": en or both or zh or default}

    def _number(self, env: StaticEnvironment) -> float | None:
        value = self._value(env, "value")
        if value is None:
            return None
        try:
            number = float(value) if isinstance(value, int | float) else None
        except OverflowError:
            number = None
        if number is None or number != number or abs(number) == float("inf"):
            raise MappingError("value", repr(value)[:60], "a number, or null")
        return number

    def _time(self, env: StaticEnvironment, now: int) -> int:
        value = self._value(env, "time")
        if value is None:
            return now
        at = _ms(value)
        if at is None:
            raise MappingError("time", repr(value)[:60], "UTC seconds, milliseconds or RFC 3339")
        if at > now + _TOO_FAR_MS:
            # Nothing that is reported later could ever follow it.
            raise MappingError("time", str(value)[:60], "not in the future: set its clock")
        return at


def _compiled(text: str) -> Expression:
    return compile_expression(text, roots={"body"}, tags=())


def _unknown(field: str, value: Unknown) -> MappingError:
    params = ", ".join(f"{k}={v}" for k, v in value.params.items())
    why = f"{value.code} ({params})" if params else value.code
    return MappingError(field, why[:200], "send the member, or write has(…) ? … : … in links.yaml")


def _ms(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        if not 0 < value < 1e14:
            return None
        return int(value * 1000) if value < _SECONDS else int(value)
    try:
        moment = datetime.datetime.fromisoformat(value)
    except (ValueError, TypeError):
        return None
    return int(moment.timestamp() * 1000) if moment.tzinfo is not None else None
