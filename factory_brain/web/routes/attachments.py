"""REST: files beside an occurrence or an incident; out they go as downloads only."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request, Response

from factory_brain.application.attachments import (
    MAX_BYTES,
    SIGNATURES,
    NotYours,
    Stored,
    Subject,
)
from factory_brain.application.desk import Desk
from factory_brain.web.routes.desk import DeskParts
from shared.errors import Rejected
from shared.web.auth import IdempotencyKey, User, allowed, once
from shared.web.dto_desk import Attachment, AttachmentList
from shared.web.may_answer import may_answer
from shared.web.problem import ProblemError

Viewer = Annotated[User, Depends(allowed("view"))]
Speaker = Annotated[User, Depends(allowed("comment"))]
Id = Annotated[str | None, Query(max_length=200)]
_BODY = {
    "requestBody": {
        "required": True,
        "content": {k: {"schema": {"type": "string", "format": "binary"}} for k in SIGNATURES},
    }
}  # fmt: skip


def attachment_router(desk: Desk, parts: DeskParts) -> APIRouter:
    """Routes of attachments."""
    router = APIRouter(prefix="/api/attachments", tags=["attachments"])

    @router.post("", openapi_extra=_BODY)
    async def add(
        request: Request, user: Speaker, key: IdempotencyKey,
        name: Annotated[str, Query(min_length=1, max_length=255)],
        occurrence: Id = None, incident: Id = None,
    ) -> Attachment:  # fmt: skip
        if occurrence:
            asset = await desk.asset_of(occurrence)
        else:
            asset = await parts.attachments.asset_of(incident) if incident else None
        if not user.may("comment", asset):
            told = occurrence or incident or ""
            raise ProblemError(403, "not_allowed_here", alarm=told, action="attach")
        content = await _content(request)
        kind = request.headers.get("content-type", "")

        async def act() -> Attachment:
            subject = _subject(occurrence, incident)
            stored = await parts.attachments.add(subject, name, kind, content, user.name)
            if isinstance(stored, Rejected):
                raise ProblemError.of(_STATUS.get(stored.code, 422), stored)
            return _dto(stored)

        answer: Any = await once(request, user, key, act, content)
        return answer

    @router.get("")
    async def listed(_: Viewer, occurrence: Id = None, incident: Id = None) -> AttachmentList:
        found = await parts.attachments.listed(_subject(occurrence, incident))
        return AttachmentList(items=[_dto(each) for each in found])

    @router.get("/{attachment}", response_class=Response, responses=may_answer(text="*/*"))
    async def download(attachment: str, _: Viewer) -> Response:
        found = await parts.attachments.get(attachment)
        if found is None:
            raise ProblemError(404, "unknown_attachment", attachment=attachment)
        stored, content = found
        return Response(content, media_type=stored.media_type, headers=_headers(stored))

    @router.delete("/{attachment}", status_code=204)
    async def remove(attachment: str, user: Speaker) -> None:
        try:
            refusal = await parts.attachments.remove(
                attachment, user.name, any_ones=user.may_everywhere("administer")
            )
        except NotYours as error:
            raise ProblemError(403, "attachment_not_yours", by=str(error)) from error
        if refusal is not None:
            raise ProblemError.of(404, refusal)

    return router


_STATUS = {
    "unknown_subject": 404, "attachment_too_large": 413, "attachment_kind": 415,
    "too_many_attachments": 409,
}  # fmt: skip


async def _content(request: Request) -> bytes:
    """The body, read no further than a file may be long."""
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BYTES:
            raise ProblemError(413, "attachment_too_large", most_mb=MAX_BYTES // 1024 // 1024)
    return bytes(content)


def _subject(occurrence: str | None, incident: str | None) -> Subject:
    if bool(occurrence) == bool(incident):
        raise ProblemError(422, "one_subject")
    return Subject(occurrence or None, incident or None)


def _headers(stored: Stored) -> dict[str, str]:
    plain = stored.name.encode("ascii", "replace").decode().replace('"', "_").replace("?", "_")
    return {
        "Content-Disposition": f"attachment; filename=\"{plain}\"; "
        f"filename*=UTF-8''{quote(stored.name, safe='')}",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cache-Control": "private, no-store",
    }  # fmt: skip


def _dto(stored: Stored) -> Attachment:
    return Attachment(
        id=stored.id, occurrence=stored.occurrence, incident=stored.incident, name=stored.name,
        media_type=stored.media_type, size=stored.size, sha256=stored.sha256, by=stored.by,
        at=stored.at,
    )  # fmt: skip
