"""What messages say in either language, and what a console says aloud in a flurry."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import msgspec
import pytest

from factory_brain.application.notify.speaking import SINGLY, WINDOW_MS, Speaking
from factory_brain.domain.notify.wording import worded
from factory_brain.domain.rows import Occurrence
from shared.clock import ManualClock
from tests.support.brain_world import transition

SHANGHAI = ZoneInfo("Asia/Shanghai")
FACTS = {
    "name": {"zh": "一段炉温高高", "en": "Zone 1 over-temperature"}, "priority": 1, "value": 1291.5,
    "limit": 1280.0, "unit": "°C", "asset": "FUR-01", "raised_at": 1_700_000_000_000,
    "place": [{"zh": "加热区", "en": "Reheating area"}, {"zh": "一号加热炉", "en": "Furnace 1"}],
    "action": {"zh": "降低烧嘴开度", "en": "Turn the burner down"},
}  # fmt: skip
SUMMARY = {
    "total": 7, "by_priority": {"2": 1, "3": 6},
    "top": [{"name": {"zh": "油压低", "en": "Oil low"}, "priority": 2, "value": 140, "unit": "kPa",
             "asset": "CMP-01", "standing": True}],
}  # fmt: skip


def test_an_alarm_in_both_languages() -> None:
    zh = worded("alarm", FACTS, "zh", SHANGHAI, "http://x/ack", "http://x/")
    assert zh.title == "【1级报警】一段炉温高高"
    assert zh.text.splitlines() == [
        "数值：1291.5 °C（限值 1280 °C）", "位置：加热区 / 一号加热炉 (FUR-01)",
        "发生时间：2023-11-15 06:13:20 (Asia/Shanghai)", "处置：降低烧嘴开度", "确认：http://x/ack",
        "控制台：http://x/",
    ]  # fmt: skip
    en = worded("alarm", FACTS, "en", SHANGHAI, "http://x/ack", "http://x/")
    assert en.title == "[Priority 1] Zone 1 over-temperature"
    assert "Value: 1291.5 °C (limit 1280 °C)" in en.text
    assert "To do: Turn the burner down" in en.text


@pytest.mark.parametrize("kind", ["reminder", "still_there", "over", "playbook", "test"])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_kind_has_words_even_for_an_alarm_of_which_little_is_known(
    kind: str, language: str
) -> None:
    bare = {"name": {"en": "X"}, "priority": 4, "asset": "", "value": None}
    found = worded(kind, bare, language, SHANGHAI)  # type: ignore[arg-type]
    assert found.title
    assert "None" not in found.title + found.text


def test_the_end_asks_for_no_acknowledgement() -> None:
    assert "http://x/ack" not in worded("over", FACTS, "zh", SHANGHAI, "http://x/ack").text


def test_a_summary_counts_and_names_the_worst() -> None:
    text = worded("summary", SUMMARY, "zh", SHANGHAI).text
    assert text.splitlines() == [
        "1 条 2 级，6 条 3 级", "P2 油压低 · 140 kPa · CMP-01 · 仍存在", "另有 6 条",
    ]  # fmt: skip
    assert "and 6 more" in worded("summary", SUMMARY, "en", SHANGHAI).text


def occurrence(n: int, priority: int = 3) -> Occurrence:
    body = msgspec.structs.replace(
        transition(1, active=True, acked=False, kind="raised"), occurrence=f"o-{n}",
        priority=priority, names={"zh": f"报警{n}", "en": f"Alarm {n}"},
    )  # fmt: skip
    return Occurrence(f"o-{n}", "A", "e1", body, "k", 0, None, 0, False)


async def test_a_flurry_is_spoken_in_a_few_sentences_and_nothing_twice() -> None:
    said: list[dict[str, object]] = []
    clock = ManualClock()
    voice = Speaking(clock, lambda _, body: said.append(msgspec.json.decode(body)), {})
    for n in range(10):
        await voice.on_occurrence(occurrence(n), True)
        await voice.on_occurrence(occurrence(n), True)
    assert len(said) == SINGLY
    assert said[0]["text"] == {"zh": "3级报警，报警0", "en": "Priority 3: Alarm 0"}
    await voice.on_occurrence(occurrence(11, priority=1), True)
    assert said[-1]["priority"] == 1  # the worst is not one of many
    clock.advance(WINDOW_MS)
    voice.flush()
    assert said[-1]["text"] == {"zh": "另有 7 条新报警", "en": "7 more new alarms"}
    await voice.on_occurrence(occurrence(12), True)
    assert said[-1]["count"] == 1
    await voice.on_occurrence(occurrence(13), False)  # nothing has come from the process
    assert len(said) == SINGLY + 3
