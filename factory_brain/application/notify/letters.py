"""Links in messages: signed, for one message and a time, used once.

Whoever holds one acts in the right that its person has at that moment; opening it does nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import quote

from factory_brain.application.notify.ports import (
    Acknowledge,
    Entry,
    FindOccurrence,
    Message,
    Store,
)
from shared.clock import Clock
from shared.errors import Rejected
from shared.site.site import Site

ACKABLE = ("alarm", "reminder", "still_there")
ANSWERABLE = (*ACKABLE, "summary", "playbook", "test")
_SIGNATURE = 18


class Links:
    """Makes links and takes what they bring back."""

    def __init__(
        self, site: Site, clock: Clock, store: Store, occurrences: FindOccurrence,
        acknowledge: Acknowledge, own_url: str,
    ) -> None:  # fmt: skip
        self._site, self._clock, self._store = site, clock, store
        self._occurrences, self._acknowledge = occurrences, acknowledge
        self._own_url = own_url
        self._key: bytes | None = None

    @property
    def _base(self) -> str:
        return (self._site.notify.console_url or self._own_url).rstrip("/")

    def console_url(self, message: Message) -> str:
        """Where the console shows it."""
        return f"{self._base}/#/alarms" + (f"/{quote(message.alarm)}" if message.alarm else "")

    async def ack_url(self, message: Message) -> str:
        """The link by which its person answers; none for what needs no answer."""
        if message.kind not in ANSWERABLE:
            return ""
        return f"{self._base}/api/notifications/{await self.token(message)}/ack"

    async def token(self, message: Message) -> str:
        """The signed name of a message; it is the same at every attempt."""
        until = (message.at + self._site.notify.link_for) // 1000
        body = f"{message.id}.{until:x}"
        return f"{body}.{await self._sign(body)}"

    async def _sign(self, body: str) -> str:
        if self._key is None:
            self._key = await self._store.key()
        digest = hmac.new(self._key, body.encode(), hashlib.sha256).digest()[:_SIGNATURE]
        return base64.urlsafe_b64encode(digest).decode()

    async def open(self, token: str) -> Message | Rejected:
        """The message of a link, if it is genuine, in time and not used."""
        body, _, signature = token.rpartition(".")
        name, _, until = body.partition(".")
        wanted = await self._sign(body)
        if not hmac.compare_digest(wanted.encode(), signature.encode()):
            return Rejected("notification_link_unknown", {})
        message = await self._store.message(name)
        if message is None:
            return Rejected("notification_link_unknown", {})
        if int(until, 16) * 1000 < self._clock.now_ms():
            return Rejected("notification_link_expired", {})
        if message.confirmed_at is not None:
            return Rejected("notification_link_used", {"at": message.confirmed_at})
        return message

    async def answer(self, token: str) -> tuple[Message, str] | Rejected:
        """Acknowledge as the message's person: the message and what came of it.

        A refused acknowledgement still is an answer: whoever sent it was reached.
        """
        message = await self.open(token)
        if isinstance(message, Rejected):
            return message
        person = self._site.notify.person(message.person)
        actor = person.user if person else message.person
        result = await self._result(message, actor)
        entry = Entry(
            "confirmed", message.person, result, message.id, message.kind, "", message.occurrence,
            message.alarm, message.priority, self._clock.now_ms() - message.at,
        )  # fmt: skip
        if not await self._store.confirm(message, entry, actor, self._clock.now_ms()):
            return Rejected("notification_link_used", {"at": self._clock.now_ms()})
        return message, result

    async def _result(self, message: Message, actor: str) -> str:
        """acknowledged, already_acknowledged, noted, or the code of the refusal."""
        if message.kind not in ACKABLE:
            return "noted"
        occurrence = await self._occurrences(message.occurrence)
        if occurrence is not None and occurrence.view.state.acked:
            await self._store.answered(message.occurrence, self._clock.now_ms())
            return "already_acknowledged"
        refused = await self._acknowledge(
            message.alarm, message.occurrence, message.version, actor, ""
        )
        return "acknowledged" if refused is None else refused.code
