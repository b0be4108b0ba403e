"""REST: the delivery log, who has duty, leave and swaps, tests, and answers by a message's link."""

from __future__ import annotations

from html import escape
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse

from factory_brain.application.notify.directory import OnCall
from factory_brain.application.notify.ports import LogFilter, Message
from factory_brain.domain.notify.wording import said
from factory_brain.web.parts import NotifyParts
from shared.errors import Rejected
from shared.web.auth import IdempotencyKey, User, allowed, once
from shared.web.dto import Text
from shared.web.dto_notify import (
    LATEST,
    NotificationAccepted,
    NotificationAnswer,
    NotificationEntry,
    NotificationLink,
    NotificationPage,
    NotificationTest,
    NotifyPerson,
    OnCallList,
    OnCallRoster,
    Outcome,
    OverrideRequest,
)
from shared.web.may_answer import may_answer
from shared.web.paging import cursor_of, parts_of
from shared.web.problem import ProblemError, worded

Viewer = Annotated[User, Depends(allowed("view"))]
Keeper = Annotated[User, Depends(allowed("manage_notifications", everywhere=True))]
Limit = Annotated[int, Query(ge=1, le=200)]
_STATUS = {
    "notification_link_unknown": 404, "notification_link_expired": 410,
    "notification_link_used": 410, "no_such_person": 404, "unknown_channel": 404,
    "unknown_roster": 404,
}  # fmt: skip
_PAGE = """<!doctype html><html lang="{lang}"><meta charset="utf-8"><title>Andon</title>
<meta name="viewport" content="width=device-width"><meta name="referrer" content="no-referrer">
<body style="font:18px system-ui;margin:2rem auto;max-width:32rem;padding:0 1rem">
<h1 style="font-size:1.4rem">{name}</h1><p>{text}</p>{form}</body></html>"""
_FORM = (
    '<form method="post"><button style="font:inherit;padding:.8rem 2rem">{label}</button></form>'
)
_RESULTS = {
    "acknowledged": "已确认 / Acknowledged", "noted": "已收到 / Noted",
    "already_acknowledged": "已由他人确认 / Acknowledged already",
}  # fmt: skip


def notify_router(parts: NotifyParts) -> APIRouter:
    """Routes of notifications."""
    router = APIRouter(prefix="/api", tags=["notifications"])
    _log(router, parts)
    _duty(router, parts)
    _answers(router, parts)
    return router


def _problem(refused: Rejected) -> ProblemError:
    return ProblemError.of(_STATUS.get(refused.code, 422), refused)


def _log(router: APIRouter, parts: NotifyParts) -> None:
    @router.get("/notifications")
    async def log(
        _: Viewer, person: str | None = None, outcome: Outcome | None = None,
        alarm: str | None = None, occurrence: str | None = None, limit: Limit = 50,
        cursor: str | None = None,
    ) -> NotificationPage:  # fmt: skip
        """The delivery log: every attempt, and why something was not told."""
        wanted = LogFilter(person, outcome, alarm, occurrence, _before(cursor))
        found = await parts.desk.log(wanted, limit + 1)
        more = cursor_of(found[limit - 1]["n"]) if len(found) > limit else None
        items = [NotificationEntry.model_validate(each) for each in found[:limit]]
        return NotificationPage(items=items, next=more)

    @router.post("/notifications/test")
    async def test(
        body: NotificationTest, user: Keeper, key: IdempotencyKey, request: Request
    ) -> NotificationAccepted:
        """Send somebody a test message."""

        async def act() -> NotificationAccepted:
            made = await parts.desk.try_out(body.person, body.channel, user.name)
            if isinstance(made, Rejected):
                raise _problem(made)
            return NotificationAccepted(id=made)

        answer: Any = await once(request, user, key, act)
        return answer


def _before(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    return parts_of(cursor, int)[0]


def _duty(router: APIRouter, parts: NotifyParts) -> None:
    @router.get("/oncall")
    async def on_call(
        _: Viewer, at: Annotated[int | None, Query(ge=0, le=LATEST)] = None
    ) -> OnCallList:
        """Who has duty on every roster, now or at `at`."""
        when = parts.desk.now() if at is None else at
        found = await parts.desk.on_call(when)
        people = [
            NotifyPerson(
                id=each.id, name=Text(zh=each.name.zh, en=each.name.en), language=each.language,
                channels=[channel.kind for channel in each.channels],
            )
            for each in parts.desk.directory.file.people
        ]  # fmt: skip
        rosters = [_roster(parts, each) for each in found]
        return OnCallList(at=when, rosters=rosters, people=people)

    @router.post("/rosters/{roster}/overrides")
    async def enter(
        roster: str, body: OverrideRequest, user: Keeper, key: IdempotencyKey, request: Request
    ) -> NotificationAccepted:
        """Enter leave or a swap."""

        async def act() -> NotificationAccepted:
            made = await parts.desk.enter(
                roster, body.since, body.until, body.instead_of, body.by, body.why, user.name
            )
            if isinstance(made, Rejected):
                raise _problem(made)
            return NotificationAccepted(id=made)

        answer: Any = await once(request, user, key, act)
        return answer

    @router.delete("/rosters/{roster}/overrides/{override}", status_code=204)
    async def cancel(roster: str, override: str, user: Keeper) -> None:
        """Take leave or a swap back."""
        if not await parts.desk.cancel(roster, override, user.name):
            raise ProblemError(404, "unknown_override", override=override)


def _roster(parts: NotifyParts, found: OnCall) -> OnCallRoster:
    names, duty = found.roster.name, found.duty
    person = parts.desk.directory.person(duty.person) if duty.person else None
    return OnCallRoster(
        roster=found.roster.id,
        name=Text(zh=names.zh, en=names.en) if names else Text(zh=found.roster.id),
        person=duty.person,
        person_name=Text(zh=person.name.zh, en=person.name.en) if person else None,
        layer=duty.layer, override=duty.override, until=found.until,
    )  # fmt: skip


def _answers(router: APIRouter, parts: NotifyParts) -> None:
    """Whoever holds a link is its person: no session, no right of another kind."""

    @router.get(
        "/notifications/{token}/ack", response_model=NotificationLink,
        responses={200: {"content": {"text/html": {}}}, **may_answer(410)},
    )  # fmt: skip
    async def look(token: str, request: Request) -> Any:
        """What a message's link is about. Nothing is done by looking: mail scanners look too."""
        message = await parts.desk.links.open(token)
        if isinstance(message, Rejected):
            raise _problem(message)
        if _wants_page(request):
            form = _FORM.format(label="确认 / Acknowledge")
            return _page(parts, message, "", form)
        return NotificationLink(
            person=message.person, kind=message.kind, alarm=message.alarm,
            occurrence=message.occurrence, priority=message.priority,
            name=Text(zh=said(message.facts.get("name"), "zh"),
                      en=said(message.facts.get("name"), "en")),
            at=message.at,
        )  # fmt: skip

    @router.post(
        "/notifications/{token}/ack", response_model=NotificationAnswer,
        responses={200: {"content": {"text/html": {}}}, **may_answer(410)},
    )  # fmt: skip
    async def answer(token: str, request: Request) -> Any:
        """Acknowledge as the person of the message; the link is used up by it."""
        done = await parts.desk.links.answer(token)
        if isinstance(done, Rejected):
            raise _problem(done)
        message, result = done
        parts.desk.answered()
        if _wants_page(request):
            return _page(parts, message, _result(result), "")
        return NotificationAnswer(alarm=message.alarm, occurrence=message.occurrence, result=result)


def _wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _result(result: str) -> str:
    both = (worded("zh", result, {}), worded("en", result, {}))
    return _RESULTS.get(result) or " / ".join(each for each in both if each) or result


def _page(parts: NotifyParts, message: Message, text: str, form: str) -> Response:
    person = parts.desk.directory.person(message.person)
    language = person.language if person else "zh"
    name = said(message.facts.get("name"), language) or message.alarm or "Andon"
    body = _PAGE.format(lang=language, name=escape(name), text=escape(text), form=form)
    policy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"
    return HTMLResponse(
        body, headers={"cache-control": "no-store", "content-security-policy": policy}
    )
