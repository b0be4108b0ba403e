"""The FastAPI base of the brain and the cloud, and its server as a service.

Tiers add their routers; the console's built files are served from here.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from fastapi.responses import FileResponse, HTMLResponse
from fastapi.staticfiles import StaticFiles
from uvicorn.protocols.http.h11_impl import H11Protocol

from shared.clock import Clock
from shared.errors import ConfigError
from shared.rates import RateSettings
from shared.telemetry import logger
from shared.web.auth import Accounts, Place, session_router
from shared.web.boundary import Boundary, StoreFaults
from shared.web.etags import Conditional
from shared.web.openapi import describe
from shared.web.problem import install_problem_handlers
from shared.web.rate_limits import RateLimits
from shared.web.routes_audit import audit_router
from shared.web.routes_identity import account_router
from shared.web.routes_problems import problem_router
from shared.web.routes_sign_in import sign_in_router
from shared.web.where import SaysWhere

log = logger("web")
UNHEARD_MS = 12_000
LARGEST_SAID = 4096
"""Bytes of what a WebSocket's client may say; nothing of it is listened to."""
_NOT_BUILT = (
    "<!doctype html><meta charset=utf-8><title>Andon</title>"
    "<p>控制台尚未构建，请运行 <code>make console</code>。"
    "<p>The console is not built: run <code>make console</code>."
)


@dataclass(frozen=True, slots=True)
class WebOptions:
    """What a tier's settings and its database's driver say of the interface."""

    rates: RateSettings = RateSettings()
    store: StoreFaults = StoreFaults()


def create_base_app(
    title: str, place: Place, clock: Clock, accounts: Accounts | None,
    options: WebOptions | None = None,
) -> FastAPI:  # fmt: skip
    """An application with sessions, problems and limits; `accounts` is None for OpenAPI export."""
    told = options or WebOptions()
    app = FastAPI(
        title=title,
        version="1",
        docs_url="/api/docs",
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    app.state.accounts = accounts
    install_problem_handlers(app)
    describe(app)
    app.add_middleware(Conditional)  # the innermost
    app.add_middleware(Boundary, store=told.store)
    app.add_middleware(RateLimits, clock=clock, settings=told.rates)
    app.add_middleware(SaysWhere, place=place)
    app.include_router(problem_router())
    app.include_router(session_router(place, clock))
    app.include_router(sign_in_router())
    app.include_router(account_router())
    # At the group an area is a tenant: its own people do not read what others did.
    app.include_router(audit_router(everywhere=place.tier == "group"))
    return app


def serve_console(app: FastAPI, dist: Path, page: str) -> None:
    """Serve the built console: `page` at `/` (and below `/ui/`), its assets below `/assets/`."""
    assets = dist / "assets"
    if assets.is_dir():
        app.mount("/assets", StaticFiles(directory=assets), name="assets")

    @app.get("/", include_in_schema=False, response_model=None)
    @app.get("/ui/{rest:path}", include_in_schema=False, response_model=None)
    async def index(rest: str = "") -> FileResponse | HTMLResponse:
        file = dist / page
        if not file.is_file():
            return HTMLResponse(_NOT_BUILT, status_code=503)
        # The page names its assets by content hash, so the page itself must never be cached.
        return FileResponse(file, headers={"Cache-Control": "no-store"})


class _Connection(H11Protocol):
    """A viewer whose machine is gone counts as watching only as long as this.

    While somebody watches, the edges leave the horn to this place; the kernel alone would go on
    believing in a closed laptop for a quarter of an hour.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Bound how long what was sent may stay unacknowledged."""
        peer = transport.get_extra_info("socket")
        if peer is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNHEARD_MS)
        super().connection_made(transport)


class WebServer:
    """uvicorn inside our own event loop, with a bounded stop."""

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                http=_Connection,
                ws="auto",
                ws_max_size=LARGEST_SAID,
                ws_per_message_deflate=False,
                log_config=None,
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=1,
                timeout_keep_alive=30,
            )
        )
        # Signals belong to our own Service.
        self._server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        self._where = f"{host}:{port}"

    async def run(self) -> None:
        """Serve until `close`."""
        self._server.should_exit = False
        try:
            await self._server._serve()
        except asyncio.CancelledError:
            # Our Service cancels tasks before it closes them: let go of the port and the streams.
            if self._server.started:
                await self._server.shutdown()
            raise
        except SystemExit as error:
            raise ConfigError(
                "cannot listen",
                where=self._where,
                mend="free the port or set another http_port",
            ) from error

    async def close(self) -> None:
        """Ask the server to end; open streams are cut after a second."""
        self._server.should_exit = True
        self._server.force_exit = True
        await asyncio.sleep(0)
