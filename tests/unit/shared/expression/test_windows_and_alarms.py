"""Windows of every shape, `.last` and `alarm(...)`: what may be written and what it asks for."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from shared.expression import (
    ExpressionError,
    Reading,
    StaticEnvironment,
    WindowUse,
    compile_expression,
    is_constant,
    is_unknown,
)

TAGS = ["TT-1", "FT-7"]


@dataclass
class Alarm:
    active: bool
    acked: bool


@dataclass
class Asked:
    """An environment that notes the windows it is asked for."""

    asked: list[tuple[object, ...]] = field(default_factory=list)

    def root(self, name: str) -> object:
        raise KeyError(name)

    def tag(self, name: str) -> Reading | None:
        return None

    def window(self, function: str, tag: str, seconds: float, *more: object) -> object:
        self.asked.append((function, tag, seconds, *more))
        return 7.0


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ('avg("TT-1", "30s")', ("avg", "TT-1", 30.0)),
        ('avg("TT-1", "30s", "sliding")', ("avg", "TT-1", 30.0)),
        ('sum("TT-1", "30s", "tumbling")', ("sum", "TT-1", 30.0, "tumbling", 0.0, None)),
        ('range("TT-1", "1m", "hopping: 10s")', ("range", "TT-1", 60.0, "hopping", 10.0, None)),
        ('count("TT-1", "10s", "session")', ("count", "TT-1", 10.0, "session", 0.0, None)),
        ('first("TT-1", "10s", "session:5m")', ("first", "TT-1", 10.0, "session", 300.0, None)),
        ('last("TT-1", "20 samples")', ("last", "TT-1", 20.0, "count", 0.0, None)),
        ('lag("TT-1", "1 sample")', ("lag", "TT-1", 1.0, "count", 0.0, None)),
        ('percentile("TT-1", "5m", 95)', ("percentile", "TT-1", 300.0, "sliding", 0.0, 95.0)),
        ('percentile("TT-1", "5m", "tumbling", 99.9)',
         ("percentile", "TT-1", 300.0, "tumbling", 0.0, 99.9)),
    ],
)  # fmt: skip
def test_what_a_window_asks_for(text: str, asked: tuple[object, ...]) -> None:
    expression = compile_expression(text + " > 1", tags=TAGS)
    for run in (expression.evaluate, expression.compile_to_python()):
        env = Asked()
        assert run(env) is True
        assert env.asked == [asked]
    (use,) = expression.windows
    full = (*asked, "sliding", 0.0, None) if len(asked) == 3 else asked
    assert use == WindowUse(*full)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "code", "column"),
    [
        ('avg("TT-1", "30s", "tumblin")', "window_shape", 20),
        ('avg("TT-1", "30s", "tumbling:5s")', "window_step", 20),
        ('avg("TT-1", "30s", "hopping")', "window_step", 20),
        ('avg("TT-1", "30s", "hopping:x")', "window_step", 20),
        ('avg("TT-1", "30s", "hopping:10ms")', "window_overlap", 20),
        ('avg("TT-1", "30s", 5)', "window_argument", 20),
        ('avg("TT-1", "5 samples", "tumbling")', "window_argument", 26),
        ('avg("TT-1", "5000 samples")', "window_samples", 13),
        ('avg("TT-1", "99d")', "bad_duration", 13),
        ('percentile("TT-1", "30s")', "window_percentile", 1),
        ('percentile("TT-1", "30s", 101)', "window_percentile", 1),
        ('lag("TT-1", "30s", "tumbling")', "window_lag", 1),
        ('avg("TT-2", "30s")', "unknown_tag", 5),
        ('tag("TT-1").lst', "tag_unknown_member", 13),
        ('alarm("HI").active', "alarms_not_here", 1),
    ],
)
def test_refused_with_its_column(text: str, code: str, column: int) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text, tags=TAGS)
    assert (caught.value.code, caught.value.column) == (code, column)
    assert caught.value.text["zh"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('alarm("H").active', "unknown_alarm"),
        ('alarm("HI").activ', "alarm_unknown_member"),
        ('alarm("HI")', "alarm_not_literal"),
        ("alarm(1).active", "alarm_not_literal"),
        ('alarm("HI", "HI").active', "wrong_argument_count"),
    ],
)
def test_alarms_are_known_at_load(text: str, code: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text, alarms=["HI"])
    assert caught.value.code == code


def test_alarms_and_last_values() -> None:
    text = 'alarm("HI").active && !alarm("HI").acked && tag("TT-1").last > 5'
    expression = compile_expression(text, tags=TAGS, alarms=["HI"])
    assert expression.alarms == {"HI"}
    assert not is_constant(expression)
    runs = (expression.evaluate, expression.compile_to_python())
    stale = Reading(9.0, False, 60.0, "stale")
    for run in runs:
        env = StaticEnvironment(tags={"TT-1": stale}, alarms={"HI": Alarm(True, False)})
        assert run(env) is True
        env = StaticEnvironment(tags={"TT-1": stale}, alarms={"HI": Alarm(True, True)})
        assert run(env) is False
        env = StaticEnvironment(
            tags={"TT-1": Reading(9.0, False, 60.0, "bad")}, alarms={"HI": Alarm(True, False)}
        )
        assert is_unknown(run(env))
        unknown = run(StaticEnvironment(tags={"TT-1": stale}))
        assert getattr(unknown, "code", "") == "alarm_missing"
        assert is_unknown(run(Asked()))  # an environment that knows no alarms
