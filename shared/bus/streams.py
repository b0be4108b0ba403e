"""Names and limits of every stream and consumer.

Used by the brain and the cloud at start; the subjects come from `messages/subjects.py`.
"""

from __future__ import annotations

from shared.bus.port import StreamSpec
from shared.messages.subjects import BRAIN, EVENT_LANES, any_node

EVENTS = "EVENTS"
SAMPLES = "SAMPLES"
GIB = 1 << 30


def alarms(site: str, lane: str) -> str:
    """The subjects of one lane of all edges of a site."""
    return any_node(site, "*", "alarm", lane)


def factory_streams(site: str) -> list[StreamSpec]:
    """What a factory's server keeps until its brain has committed it."""
    return [
        # Lane by lane, as its consumers take them: what nobody takes would fill it for good.
        StreamSpec(EVENTS, tuple(alarms(site, lane) for lane in EVENT_LANES), 2 * GIB, 7 * 86400),
        StreamSpec(SAMPLES, (any_node(site, "*", "sample", "*"),), 1 * GIB, 86400),
    ]


def cloud_streams() -> list[StreamSpec]:
    """What the group's server keeps until the cloud has committed it."""
    return [StreamSpec(EVENTS, (any_node("*", BRAIN, "outcome", "*"),), 2 * GIB, 7 * 86400)]
