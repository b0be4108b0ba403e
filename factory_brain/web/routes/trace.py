"""REST: the time line of everything, as JSON, CSV or a PDF report."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Query, Response

from factory_brain.application.trace.export import TYPES
from factory_brain.web.routes.units import UnitParts, in_turn
from shared.web.auth import User, allowed
from shared.web.dto_trace import TraceOut
from shared.web.problem import ProblemError

Viewer = Annotated[User, Depends(allowed("view"))]
Kind = Literal["alarm", "incident", "unit", "batch"]
Name = Annotated[str, Path(max_length=200, pattern=r"^[^\x00]+$")]
_CONTENT: dict[int | str, dict[str, Any]] = {
    200: {"content": {
        "text/csv": {"schema": {"type": "string"}},
        "application/pdf": {"schema": {"type": "string", "format": "binary"}},
    }}
}  # fmt: skip


def trace_router(parts: UnitParts) -> APIRouter:
    """`GET /api/trace/{kind}/{id}`; of an alarm it is the occurrence that is named."""
    router = APIRouter(prefix="/api/trace", tags=["trace"])

    @router.get("/{kind}/{name}", response_model=TraceOut, responses=_CONTENT)
    async def trace(
        kind: Kind, name: Name, user: Viewer,
        format: Annotated[Literal["json", "csv", "pdf"], Query()] = "json",
        lang: Annotated[Literal["zh", "en"], Query()] = "zh",
    ) -> Any:  # fmt: skip
        if format != "json" and not user.may("export"):
            raise ProblemError(403, "not_allowed", action="export", roles=list(user.roles))
        async with in_turn(parts.turns):
            found = await parts.story.trace(kind, name)
        if found is None:
            raise ProblemError(404, "unknown_subject_of_trace", kind=kind, id=name)
        told, assets = found
        if format == "json":
            return told
        # What is at no known place is handed out by those alone who may export everywhere.
        if not (all(user.may("export", asset) for asset in assets) if assets
                else user.may_everywhere("export")):  # fmt: skip
            raise ProblemError(403, "not_allowed_here", alarm=name, action="export")
        try:
            content = await parts.export.make(told, format, lang, user.name)
        except TimeoutError as error:
            raise ProblemError(503, "export_busy") from error
        plain = "".join(c if c.isascii() and (c.isalnum() or c in "-._") else "_" for c in name)
        given = quote(f"trace-{kind}-{name}.{format}", safe="")
        return Response(content, media_type=TYPES[format], headers={
            "Content-Disposition": f'attachment; filename="trace-{kind}-{plain}.{format}"; '
            f"filename*=UTF-8''{given}",
            "X-Content-Type-Options": "nosniff", "Cache-Control": "private, no-store",
        })  # fmt: skip

    return router
