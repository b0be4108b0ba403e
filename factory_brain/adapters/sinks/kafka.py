"""Events and samples to Kafka, or to Azure Event Hubs by the same protocol.

Confirmed by all replicas (`acks=all`), with the idempotent producer. After a cut a batch is sent
again: receivers tell a repetition by `ce_source` and `ce_id`.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any
from urllib.parse import unquote, urlsplit

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidMessageError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)

from factory_brain.adapters.sinks.kafka_messages import Message, event_message, sample_message
from factory_brain.application.sinks.port import (
    Sink,
    SinkBatch,
    SinkKind,
    SinkRefusal,
    SinkUnreachable,
)
from shared.site.sinks import SinkSpec
from shared.telemetry import logger

log = logger("sinks")
SLICE = 200
"""Messages handed over before others have their turn."""
STOP_S = 5.0
_REFUSED = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidMessageError)


class KafkaSink:
    """One cluster, two topics: `<topic>.events` and `<topic>.samples`."""

    def __init__(self, spec: SinkSpec, secret: str, site: str) -> None:
        self._spec, self._secret, self._site = spec, secret, site
        self._topic = urlsplit(spec.url).path.strip("/")
        self._producer: AIOKafkaProducer | None = None

    async def write(self, batch: SinkBatch) -> None:
        """All messages, then wait for each one's confirmation."""
        messages = await asyncio.to_thread(self._messages, batch)
        try:
            producer = await self._connected()
            sent: list[Any] = []
            for number, each in enumerate(messages, 1):
                sent.append(await producer.send(
                    each.topic, each.value, key=each.key, headers=each.headers,
                    timestamp_ms=each.at,
                ))  # fmt: skip
                if number % SLICE == 0:
                    await asyncio.sleep(0)  # as long as there is room, nothing else gives way
            await asyncio.gather(*sent)
        except _REFUSED as error:
            raise SinkRefusal(f"{type(error).__name__}: {error}") from error
        except (KafkaError, OSError, asyncio.CancelledError) as error:
            # What may still be on its way must not come behind the repetition.
            await asyncio.shield(self.close())
            if isinstance(error, asyncio.CancelledError):
                raise
            raise SinkUnreachable(f"{type(error).__name__}: {error}") from error

    def _messages(self, batch: SinkBatch) -> list[Message]:
        found = [event_message(each, self._site, self._topic) for each in batch.events]
        return found + [sample_message(each, self._site, self._topic) for each in batch.samples]

    async def _connected(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(**options(self._spec, self._secret))
            try:
                await producer.start()
            except BaseException:
                await _stop(producer)
                raise
            self._producer = producer
        return self._producer

    async def close(self) -> None:
        """Let go of the cluster."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stop(producer)


async def _stop(producer: AIOKafkaProducer) -> None:
    """Let it finish for a moment; a cluster that never answers holds up no other sink."""
    stopping = asyncio.create_task(producer.stop())
    await asyncio.wait([stopping], timeout=STOP_S)
    if not stopping.done():  # cut off, so that nothing of it comes behind the repetition
        sender = producer._sender.sender_task  # pyright: ignore[reportPrivateUsage]
        if sender is not None:
            sender.cancel()
        cutting = asyncio.create_task(producer.client.close())
        await asyncio.wait([stopping, cutting], timeout=STOP_S)
    if stopping.done() and not stopping.cancelled() and (error := stopping.exception()) is not None:
        log.warning("kafka_not_closed", error=repr(error)[:300])


def options(spec: SinkSpec, secret: str) -> dict[str, Any]:
    """The producer's settings: `kafkas` is TLS, a user in the URL is SASL with the secret."""
    parts = urlsplit(spec.url)
    hosts = parts.netloc.rpartition("@")[2].split(",")
    tls, user = parts.scheme == "kafkas", unquote(parts.username or "")
    protocol = ("SASL_" if user else "") + ("SSL" if tls else "PLAINTEXT")
    found: dict[str, Any] = {
        "bootstrap_servers": hosts, "acks": "all", "enable_idempotence": True,
        "client_id": f"andon-{spec.id}", "compression_type": "gzip",
        "request_timeout_ms": spec.timeout, "security_protocol": protocol,
    }  # fmt: skip
    if tls:
        found["ssl_context"] = ssl.create_default_context()
    if user:
        found |= {
            "sasl_mechanism": "PLAIN", "sasl_plain_username": user, "sasl_plain_password": secret,
        }  # fmt: skip
    return found


def _fault(spec: SinkSpec) -> tuple[str, str] | None:
    parts = urlsplit(spec.url)
    mend = "write for example kafka://host:9092/andon, or kafkas:// for TLS"
    if parts.scheme not in ("kafka", "kafkas") or not parts.netloc:
        return "not a URL of Kafka", mend
    if not parts.path.strip("/") or "/" in parts.path.strip("/"):
        return "names no topic", mend
    if parts.username and not spec.secret:
        return "a user without a secret", "name the file of the password as `secret`"
    if parts.username and parts.scheme == "kafka":
        return "would send a password in the clear", "use kafkas://"
    return None


def _open(spec: SinkSpec, secret: str, site: str) -> Sink:
    return KafkaSink(spec, secret, site)


KIND = SinkKind(_open, _fault)
