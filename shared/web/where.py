"""Tells the audit log from which address a request came.

An ASGI layer around the whole application; it only sets what `shared/identity/where.py` holds.
"""

from __future__ import annotations

from dataclasses import replace

from starlette.types import ASGIApp, Receive, Scope, Send

from shared.identity.where import here, stand
from shared.web.auth import Place


class SaysWhere:
    """Sets tier, site and the caller's address for everything that a request starts."""

    def __init__(self, app: ASGIApp, place: Place) -> None:
        self._app, self._place = app, place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        client = scope.get("client")
        address = str(client[0]) if client else ""
        stand(replace(here(), tier=self._place.tier, site=self._place.site, address=address))
        await self._app(scope, receive, send)
