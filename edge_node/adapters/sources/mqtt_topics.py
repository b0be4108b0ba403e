"""MQTT topics and filters: what is allowed, what matches, which subscriptions serve which tags.

Pure; used by the driver `mqtt-broker` and by the check of a site.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

MAX_BYTES = 65_535


def topic_fault(topic: str) -> str:
    """What keeps a text from being a topic that can be published to; "" when nothing does."""
    if not topic:
        return "the topic is empty"
    if len(topic.encode()) > MAX_BYTES or "\0" in topic:
        return "the topic is too long or holds a NUL"
    if "+" in topic or "#" in topic:
        return "a topic that is published to has no wildcards"
    return "topics that begin with $ are the broker's own" if topic.startswith("$") else ""


def filter_fault(text: str, tree: bool = True) -> str:
    """What keeps a text from being a filter (`+` one level; `#` the rest, where `tree`)."""
    if not text:
        return "the topic is empty"
    if len(text.encode()) > MAX_BYTES or "\0" in text:
        return "the topic is too long or holds a NUL"
    if text.startswith("$share/"):
        return "a shared subscription is named by the option `shared`"
    levels = text.split("/")
    for place, level in enumerate(levels):
        if "+" in level and level != "+":
            return f"+ stands for a whole level: {level!r}"
        if "#" in level and not (tree and level == "#" and place == len(levels) - 1):
            return "# stands alone and last" if tree else "# names no single value"
    return ""


def covers(filter_: str, other: str) -> bool:
    """Whether a filter takes every topic of another filter (a topic is a filter, too)."""
    wanted, given = filter_.split("/"), other.split("/")
    if other.startswith("$") and wanted[0] in ("+", "#"):
        return False  # the broker's own topics are never matched by a wildcard
    for place, level in enumerate(wanted):
        if level == "#":
            return True
        if place >= len(given) or given[place] == "#":
            return False
        if level != "+" and level != given[place]:
            return False
    return len(wanted) == len(given)


def plan(topics: Iterable[str], given: Mapping[str, int], qos: int) -> dict[str, int]:
    """Filter -> QoS: those that are given, and one for each topic which none of them covers."""
    chosen = dict(given)
    for topic in sorted(set(topics)):
        if not any(covers(known, topic) for known in chosen):
            chosen[topic] = qos
    return chosen


class Routes:
    """Topic -> what is wanted of it; found once for each topic."""

    KEPT = 4096

    def __init__(self, wanted: Iterable[str]) -> None:
        wanted = set(wanted)
        self._exact = {topic for topic in wanted if "+" not in topic.split("/")}
        self._wild = sorted(wanted - self._exact)
        self._known: dict[str, tuple[str, ...]] = {}

    def of(self, topic: str) -> tuple[str, ...]:
        """The wanted topics and filters that this topic serves."""
        known = self._known.get(topic)
        if known is None:
            if len(self._known) >= self.KEPT:
                self._known.clear()
            exact = (topic,) if topic in self._exact else ()
            known = (*exact, *(wild for wild in self._wild if covers(wild, topic)))
            self._known[topic] = known
        return known
