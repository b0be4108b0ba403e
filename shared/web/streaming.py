"""A streamed answer whose source is closed when the answer ends, however it ends.

Used by every route that streams; it knows nothing of what is sent.
"""

from __future__ import annotations

from starlette.responses import StreamingResponse
from starlette.types import Send


class ClosingStream(StreamingResponse):
    """Starlette's own leaves a generator whose sending failed to the garbage collector.

    Until that ran, a reader who has gone would count as one who attends.
    """

    async def stream_response(self, send: Send) -> None:
        """Send all there is, then close the source."""
        try:
            await super().stream_response(send)
        finally:
            close = getattr(self.body_iterator, "aclose", None)
            if close is not None:
                await close()
