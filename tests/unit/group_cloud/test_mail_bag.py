"""A bag of messages to a factory's desk is never so full that the factory refuses it."""

from __future__ import annotations

from typing import Any

from group_cloud.application.dispatching.mail import Mail
from shared.clock import SystemClock
from shared.messages.codec import decode
from shared.messages.mail import MAX_BYTES, MOST, GroupMessage, SignedBag, unpacked


class Post:
    """The rows and the bus, as far as putting bags asks them."""

    def __init__(self, messages: list[GroupMessage]) -> None:
        self.messages, self.put = messages, b""

    async def waiting(self, now: int) -> dict[str, list[GroupMessage]]:
        """All for one factory."""
        return {"f1": self.messages}

    async def ensure_bucket(self, bucket: str) -> None:
        """It is there."""

    async def bucket_put(self, bucket: str, key: str, value: bytes) -> None:
        """Kept to look at."""
        self.put = value

    async def publish(self, subject: str, data: bytes) -> None:
        """Nobody listens."""


async def test_long_chinese_messages_wait_for_the_next_bag_instead_of_spoiling_this_one() -> None:
    messages = [
        GroupMessage(id=f"m{n:02}", text="停" * 2_000, priority=1, author="陈" * 40, at=n,
                     expires_at=1 << 50)
        for n in range(MOST)
    ]  # fmt: skip
    post: Any = Post(messages)
    desk = Mail(post, post, post, post, SystemClock(), lambda payload: b"")
    await desk.put_all()
    payload = decode(post.put, SignedBag).payload
    assert len(payload) <= MAX_BYTES
    bag = unpacked(payload, "f1")
    assert bag.messages == messages[: len(bag.messages)]  # the oldest first
    assert len(payload) > MAX_BYTES - 7_000  # and as many as there is room for
    post.messages = messages[:3]
    await desk.put_all()
    assert unpacked(decode(post.put, SignedBag).payload, "f1").messages == messages[:3]
