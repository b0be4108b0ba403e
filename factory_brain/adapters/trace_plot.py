"""A trend with limit lines and the alarm's marks, as a drawing of the report."""

# The stubs of reportlab take an attribute's value for the whole group of attributes.
# pyright: reportArgumentType=false
from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from reportlab.graphics.shapes import Drawing, Line, Polygon, PolyLine, Rect, String
from reportlab.lib import colors

from factory_brain.domain.trace.words import said
from shared.web.dto_trace import TraceOut, TraceSignal

FONT = "STSong-Light"
"""Of the readers' own Asian fonts: the report stays small."""
HEIGHT = 118.0
_LEFT, _BOTTOM, _TOP = 44.0, 16.0, 16.0
_MARKS = {
    "raised": ("up", colors.HexColor("#b71c1c")), "re_alarmed": ("up", colors.HexColor("#b71c1c")),
    "acknowledged": ("diamond", colors.HexColor("#1a237e")),
    "returned": ("down", colors.HexColor("#1b5e20")),
}  # fmt: skip
_MOST_MARKS = 60


class _Frame:
    """From times and values to places on the paper."""

    def __init__(self, signal: TraceSignal, trace: TraceOut, width: float) -> None:
        numbers = [v for v in signal.v if v is not None] + list(signal.limits.values())
        low, high = min(numbers, default=0.0), max(numbers, default=1.0)
        room = (high - low) * 0.08 or abs(high) * 0.05 or 1.0
        self.low, self.high, self.width = low - room, high + room, width
        self.since = min([trace.since, *signal.t[:1]]) if trace.kind != "alarm" else signal.t[0]
        self.until = max(trace.until, self.since + 1)
        if trace.kind == "alarm" and signal.resolution == "snippet":
            self.until = max(signal.t[-1], self.since + 1)

    def x(self, at: int) -> float:
        share = (at - self.since) / (self.until - self.since)
        return _LEFT + min(max(share, 0.0), 1.0) * (self.width - _LEFT - 4)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return _BOTTOM + share * (HEIGHT - _BOTTOM - _TOP)


def plot(
    signal: TraceSignal, trace: TraceOut, language: str, zone: ZoneInfo, width: float
) -> Drawing:
    """One signal."""
    frame, drawing = _Frame(signal, trace, width), Drawing(width, HEIGHT)
    name = f"{signal.tag} {said(signal.name, language)} {f'({signal.unit})' if signal.unit else ''}"
    drawing.add(_text(_LEFT, HEIGHT - 11, name, 8))
    drawing.add(Rect(
        _LEFT, _BOTTOM, width - _LEFT - 4, HEIGHT - _BOTTOM - _TOP, fillColor=None,
        strokeColor=colors.silver, strokeWidth=0.5,
    ))  # fmt: skip
    for value in (frame.low, (frame.low + frame.high) / 2, frame.high):
        drawing.add(_text(_LEFT - 3, frame.y(value) - 2.5, f"{value:.5g}", 6.5, "end"))
    for step in range(5):
        at = frame.since + (frame.until - frame.since) * step // 4
        shown = f"{datetime.fromtimestamp(at / 1000, UTC).astimezone(zone):%m-%d %H:%M:%S}"
        anchor = "start" if step == 0 else "end" if step == 4 else "middle"
        drawing.add(_text(frame.x(at), 6, shown, 6.5, anchor))
    for side, limit in signal.limits.items():
        drawing.add(Line(
            _LEFT, frame.y(limit), width - 4, frame.y(limit), strokeWidth=0.7,
            strokeColor=colors.HexColor("#e65100"), strokeDashArray=[4, 2],
        ))  # fmt: skip
        drawing.add(_text(width - 6, frame.y(limit) + 2, f"{side} {limit:g}", 6.5, "end"))
    for points in _lines(signal, frame):
        drawing.add(PolyLine(points, strokeColor=colors.HexColor("#0d47a1"), strokeWidth=0.8))
    for mark in _marks(signal, trace, frame):
        drawing.add(mark)
    return drawing


def _lines(signal: TraceSignal, frame: _Frame) -> Iterator[list[float]]:
    """Stretches without a hole; a value without good quality is one."""
    points: list[float] = []
    for at, value in zip(signal.t, signal.v, strict=True):
        if value is not None:
            points += [frame.x(at), frame.y(value)]
            continue
        if len(points) > 2:
            yield points
        points = []
    if len(points) > 2:
        yield points


def _marks(signal: TraceSignal, trace: TraceOut, frame: _Frame) -> Iterator[Polygon]:
    found = 0
    for each in trace.entries:
        if each.lane != "alarm" or each.params.get("tag") != signal.tag or each.kind not in _MARKS:
            continue
        if not frame.since <= each.at <= frame.until:
            continue
        found += 1
        if found > _MOST_MARKS:
            return
        shape, color = _MARKS[each.kind]
        value = each.params.get("value")
        x = frame.x(each.at)
        y = frame.y(min(max(float(value), frame.low), frame.high)) if value else _BOTTOM + 5
        points = _shape(shape, x, y)
        yield Polygon(points, fillColor=color, strokeColor=colors.white, strokeWidth=0.4)


def _shape(shape: str, x: float, y: float) -> list[float]:
    if shape == "up":
        return [x - 3.5, y - 3, x + 3.5, y - 3, x, y + 4]
    if shape == "down":
        return [x - 3.5, y + 3, x + 3.5, y + 3, x, y - 4]
    return [x - 3.5, y, x, y + 4, x + 3.5, y, x, y - 4]


def _text(x: float, y: float, text: str, size: float, anchor: str = "start") -> String:
    return String(x, y, text, fontName=FONT, fontSize=size, textAnchor=anchor)
