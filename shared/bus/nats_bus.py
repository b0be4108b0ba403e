"""The bus on NATS and JetStream; the only file that imports nats.

Called through `port.Bus`; owns the connection and never decides what a message means.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator, Coroutine
from typing import Any

import nats
from nats import errors as nats_errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext, api
from nats.js import errors as js_errors

from shared.bus.nats_pull import Pull, PullEnded
from shared.bus.port import Delivery, Handler, StreamSpec
from shared.errors import ConfigError, PermanentTransportError, RetryableTransportError
from shared.messages.subjects import Node, any_node
from shared.telemetry import logger

log = logger("bus")
PUBLISH_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 10.0
_RETRYABLE = (nats_errors.Error, TimeoutError, OSError, js_errors.Error)


async def _unless(refused: asyncio.Event, connecting: Coroutine[Any, Any, Client]) -> Client:
    """The connection, within 10 s and unless it is refused before."""
    attempt = asyncio.create_task(connecting)
    refusal = asyncio.create_task(refused.wait())
    try:
        await asyncio.wait(
            {attempt, refusal}, timeout=CONNECT_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED
        )
        if attempt.done():
            return attempt.result()
        raise TimeoutError("no answer")
    finally:
        for task in (attempt, refusal):
            task.cancel()


class NatsDelivery:
    """One JetStream message."""

    def __init__(self, message: Msg) -> None:
        self._message = message

    @property
    def subject(self) -> str:
        """The subject it was published to."""
        return self._message.subject

    @property
    def data(self) -> bytes:
        """The message body."""
        return self._message.data

    @property
    def attempt(self) -> int:
        """1 on first delivery."""
        return self._message.metadata.num_delivered

    async def ack(self) -> None:
        """Done: committed here."""
        await self._message.ack()

    async def nak(self, delay_s: float) -> None:
        """Deliver again after `delay_s`."""
        await self._message.nak(delay=delay_s)


class NatsBus:
    """One connection of one process to its tier's server."""

    def __init__(self, client: Client, site: str) -> None:
        self._client = client
        self._js: JetStreamContext = client.jetstream(timeout=PUBLISH_TIMEOUT_S)
        self._site = site
        self._connection = secrets.token_hex(4)
        self._pending: dict[str, asyncio.Future[bytes]] = {}
        self._replies_subscribed = False
        self._reply_lock = asyncio.Lock()
        self._at_work: set[asyncio.Task[None]] = set()

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        user: str,
        password: str,
        name: str,
        inbox: str,
        site: str = "*",
    ) -> NatsBus:
        """Connect (waiting at most 10 s for the first time); reconnects for ever afterwards."""

        last = ""

        async def on_event(event: str, error: Exception | None = None) -> None:
            nonlocal last
            text = f"{event} {error or ''}"
            if text != last:  # a server that is away is said once, not twice a second
                log.info("bus_" + event, url=url, name=name, error=str(error) if error else None)
            last = text

        async def on_disconnected() -> None:
            await on_event("disconnected")

        async def on_reconnected() -> None:
            await on_event("reconnected")

        refused = asyncio.Event()

        async def on_error(error: Exception) -> None:
            if "authorization" in str(error).lower():
                refused.set()
            await on_event("error", error)

        try:
            # With endless reconnects nats-py also retries a refused password endlessly.
            client = await _unless(
                refused,
                nats.connect(
                    url,
                    user=user,
                    password=password,
                    name=name,
                    inbox_prefix=inbox.encode(),
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=0.5,
                    connect_timeout=3,
                    ping_interval=10,
                    max_outstanding_pings=2,
                    pending_size=8 << 20,
                    allow_reconnect=True,
                    disconnected_cb=on_disconnected,
                    reconnected_cb=on_reconnected,
                    error_cb=on_error,
                ),
            )
        except _RETRYABLE as error:
            if refused.is_set() or "authorization" in str(error).lower():
                raise ConfigError(
                    f"NATS at {url} refused user {user!r}",
                    mend="check nats_user and nats_password_file against the configuration",
                ) from error
            raise ConfigError(
                f"cannot reach NATS at {url}: {error or type(error).__name__}",
                mend="start the server, or correct nats_url in the settings",
            ) from error
        return cls(client, site)

    @property
    def connected(self) -> bool:
        """Whether the local server is connected."""
        return self._client.is_connected

    @property
    def closed(self) -> bool:
        """Whether the connection has ended for good (refused credentials after a reconnect)."""
        return self._client.is_closed

    async def until_closed(self) -> None:
        """Wait until the connection has ended for good: a process without it is deaf."""
        while not self._client.is_closed:  # noqa: ASYNC110 (the client has no event for it)
            await asyncio.sleep(1.0)
        log.error("bus_closed", mend="check the credentials; the process ends to be started anew")

    async def publish(self, subject: str, data: bytes) -> None:
        """Publish without confirmation."""
        try:
            await self._client.publish(subject, data)
        except _RETRYABLE as error:
            raise RetryableTransportError(f"publish to {subject}: {error!r}") from error

    async def publish_durable(self, subject: str, data: bytes, message_id: str) -> None:
        """Publish into a stream and wait for its acknowledgement."""
        try:
            await self._js.publish(
                subject,
                data,
                timeout=PUBLISH_TIMEOUT_S,
                headers={"Nats-Msg-Id": message_id},
            )
        except nats_errors.MaxPayloadError as error:
            raise PermanentTransportError(f"{len(data)} bytes to {subject}: too large") from error
        except _RETRYABLE as error:
            raise RetryableTransportError(f"durable publish to {subject}: {error!r}") from error

    async def request(self, subject: str, data: bytes, timeout_s: float) -> bytes:
        """Ask the upper tier."""
        try:
            return (await self._client.request(subject, data, timeout=timeout_s)).data
        except _RETRYABLE as error:
            raise RetryableTransportError(f"request to {subject}: {error!r}") from error

    async def request_down(self, node: Node, subject: str, data: bytes, timeout_s: float) -> bytes:
        """Ask a lower node; the answer comes on the node's own reply subtree."""
        await self._subscribe_replies()
        token = secrets.token_hex(6)
        reply = node.reply(f"{self._connection}.{token}")
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._pending[reply] = future
        try:
            await self._client.publish(subject, data, reply=reply)
            return await asyncio.wait_for(future, timeout_s)
        except _RETRYABLE as error:
            raise RetryableTransportError(f"request to {subject}: {error!r}") from error
        finally:
            self._pending.pop(reply, None)

    async def _subscribe_replies(self) -> None:
        async with self._reply_lock:
            if self._replies_subscribed:
                return

            async def on_reply(message: Msg) -> None:
                future = self._pending.get(message.subject)
                if future is None or future.done():
                    return
                # The server itself answers for a node that nobody speaks for: empty, status 503.
                if (message.headers or {}).get("Status") == "503":
                    future.set_exception(nats_errors.NoRespondersError())
                else:
                    future.set_result(message.data)

            pattern = any_node(self._site, "*", "reply", self._connection, ">")
            await self._client.subscribe(pattern, cb=on_reply)
            self._replies_subscribed = True

    async def subscribe(self, subject: str, handler: Handler, *, workers: int = 1) -> None:
        """Handle core messages one after the other, or up to `workers` at once."""
        free = asyncio.Semaphore(workers)

        async def answer(message: Msg) -> None:
            reply = await handler(message.subject, message.data)
            if reply is not None and message.reply:
                await self._client.publish(message.reply, reply)

        async def work(message: Msg) -> None:
            try:
                await answer(message)
            except Exception as error:  # as nats does for a handler that fails in turn
                log.exception("handler_failed", subject=message.subject, error=repr(error))
            finally:
                free.release()

        async def on_message(message: Msg) -> None:
            if workers == 1:
                await answer(message)
                return
            await free.acquire()
            task = asyncio.create_task(work(message))
            self._at_work.add(task)
            task.add_done_callback(self._at_work.discard)

        await self._client.subscribe(
            subject,
            cb=on_message,
            pending_msgs_limit=10_000,
            pending_bytes_limit=64 << 20,
        )

    async def ensure_stream(self, spec: StreamSpec) -> None:
        """Create the stream, or bring it to `spec`."""
        config = api.StreamConfig(
            name=spec.name,
            subjects=list(spec.subjects),
            max_bytes=spec.max_bytes,
            max_age=spec.max_age_s,
            duplicate_window=spec.duplicate_window_s,
            storage=api.StorageType.FILE,
            # What its consumer has acknowledged goes at once: the sender keeps its own copy until
            # it is told of the commit, and a stream full of old messages would refuse new ones.
            retention=api.RetentionPolicy.WORK_QUEUE,
            discard=api.DiscardPolicy.NEW,
        )
        try:
            try:
                present = await self._js.stream_info(spec.name)
                if present.config.retention != config.retention:  # cannot be changed in place
                    log.warning("stream_made_anew", stream=spec.name)  # its senders send again
                    await self._js.delete_stream(spec.name)
                    raise js_errors.NotFoundError
                await self._js.update_stream(config)
            except js_errors.NotFoundError:
                await self._js.add_stream(config)
        except _RETRYABLE as error:
            raise RetryableTransportError(f"stream {spec.name}: {error!r}") from error

    async def consume(
        self, stream: str, durable: str, subject: str, batch: int = 50
    ) -> AsyncGenerator[list[Delivery], None]:
        """Durable pull consumer: batches of deliveries, for ever, over reconnects."""
        pull: Pull | None = None
        try:
            while True:
                try:
                    if pull is None or not pull.bound:
                        pull = await self._bind(stream, durable, subject, batch, pull)
                    messages = await pull.next()
                except (*_RETRYABLE, PullEnded) as error:
                    if self._client.is_closed:
                        return
                    log.warning(
                        "consumer_rebinds", stream=stream, durable=durable, error=repr(error)
                    )
                    if pull is not None and pull.lost():
                        await self._unbind(pull)
                        pull = None
                    await asyncio.sleep(0.5)
                    continue
                yield [NatsDelivery(message) for message in messages]
        finally:
            await self._unbind(pull)

    @staticmethod
    async def _unbind(pull: Pull | None) -> None:
        """Let go of the inbox; the durable consumer stays on the server."""
        try:
            if pull is not None:
                await pull.close()
        except _RETRYABLE as error:
            log.debug("consumer_unbound", error=repr(error))

    async def _bind(self, stream: str, durable: str, subject: str, batch: int, old: Any) -> Pull:
        config = api.ConsumerConfig(
            durable_name=durable,
            filter_subject=subject,
            ack_policy=api.AckPolicy.EXPLICIT,
            ack_wait=30,
            max_ack_pending=1000,
            deliver_policy=api.DeliverPolicy.ALL,
        )
        await self._js.add_consumer(stream, config)
        if old is not None:
            return old.bind_anew()
        asking = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"
        pull = Pull(self._client, self._client.new_inbox(), asking, batch)
        await pull.open()
        return pull

    async def ensure_bucket(self, bucket: str) -> None:
        """Create a key-value bucket on the local server."""
        try:
            try:
                await self._js.key_value(bucket)
            except js_errors.NotFoundError:
                # Direct get is the only way in which an edge may read its bucket.
                config = api.KeyValueConfig(bucket=bucket, history=5, direct=True)
                await self._js.create_key_value(config)
        except _RETRYABLE as error:
            raise RetryableTransportError(f"bucket {bucket}: {error!r}") from error

    async def bucket_put(self, bucket: str, key: str, value: bytes) -> None:
        """Store a value in a local bucket."""
        try:
            store = await self._js.key_value(bucket)
            await store.put(key, value)
        except _RETRYABLE as error:
            raise RetryableTransportError(f"bucket {bucket}: {error!r}") from error

    async def bucket_get(self, bucket: str, key: str, domain: str) -> bytes | None:
        """Newest value by direct get: the one JetStream call an edge is allowed."""
        subject = f"$JS.{domain}.API.DIRECT.GET.KV_{bucket}.$KV.{bucket}.{key}"
        try:
            message = await self._client.request(subject, b"", timeout=PUBLISH_TIMEOUT_S)
        except _RETRYABLE as error:
            raise RetryableTransportError(f"bucket {bucket}: {error!r}") from error
        headers: dict[str, Any] = message.headers or {}
        status = headers.get("Status")
        if status == "404":
            return None
        if status:
            raise RetryableTransportError(f"bucket {bucket}: {status} {headers.get('Description')}")
        if headers.get("KV-Operation") in ("DEL", "PURGE"):
            return None
        return message.data

    async def stream_info(self, stream: str) -> dict[str, Any]:
        """State of a local stream as plain data, for doctor and tests."""
        message = await self._client.request(f"$JS.API.STREAM.INFO.{stream}", b"", timeout=3)
        return json.loads(message.data)

    async def close(self) -> None:
        """Flush and disconnect (bounded)."""
        try:
            if self._client.is_connected:
                await asyncio.wait_for(self._client.flush(timeout=2), 3)
        except _RETRYABLE as error:
            log.warning("bus_flush_failed", error=repr(error))
        await self._client.close()
