"""Spans by the OpenTelemetry SDK to a collector (OTLP over HTTP, protobuf).

The only file that imports OpenTelemetry; `tracing.open_traces` imports it when an endpoint is set.
Exports in a thread of its own; what does not fit its bounded queue is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    format_span_id,
    format_trace_id,
    set_span_in_context,
)

from shared.tracing import parse

EXPORT_S = 5
EVERY_MS = 1000
QUEUE = 4096


class OtlpTraces:
    """Records spans and sends them."""

    on = True

    def __init__(self, endpoint: str, service: str, about: Mapping[str, str]) -> None:
        where = endpoint if endpoint.endswith("/v1/traces") else f"{endpoint.rstrip('/')}/v1/traces"
        resource = Resource.create(
            {"service.name": service, "service.namespace": "andon"}
            | {f"andon.{name}": value for name, value in about.items()}
        )
        # Shut down by our own service, not at the interpreter's end.
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(
            BatchSpanProcessor(
                OTLPSpanExporter(endpoint=where, timeout=EXPORT_S), max_queue_size=QUEUE,
                schedule_delay_millis=EVERY_MS, max_export_batch_size=512,
            )
        )  # fmt: skip
        self._tracer = self._provider.get_tracer("andon")

    def span(self, name: str, parent: str, start_ms: float, end_ms: float, **about: str) -> str:
        """Record a span and return its own trace context; without a parent it begins a trace."""
        above = parse(parent) if parent else None
        context = None
        if above is not None:
            trace, span, flags = above
            remote = SpanContext(trace, span, is_remote=True, trace_flags=TraceFlags(flags))
            context = set_span_in_context(NonRecordingSpan(remote))
        start = int(start_ms * 1_000_000)
        made = self._tracer.start_span(
            name, context=context, start_time=start,
            attributes={f"andon.{key}": value for key, value in about.items()},
        )  # fmt: skip
        made.end(end_time=max(start, int(end_ms * 1_000_000)))
        own = made.get_span_context()
        return (
            f"00-{format_trace_id(own.trace_id)}-{format_span_id(own.span_id)}"
            f"-{own.trace_flags:02x}"
        )

    async def close(self) -> None:
        """Send what is left and end the thread."""
        await asyncio.to_thread(self._provider.shutdown)
