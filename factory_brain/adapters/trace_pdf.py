"""The time line as a PDF report with plots: bounded, Chinese readable, every time with its zone.

Called in a thread by the export; asks nobody, keeps nothing.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, LongTable, Paragraph, SimpleDocTemplate, Spacer, TableStyle

from factory_brain.adapters.trace_plot import FONT, plot
from factory_brain.domain.trace import cells, words
from shared.web.dto_trace import TraceEntry, TraceOut

MOST_ROWS = 1500
"""Entries in the report; the rest is in the CSV and the JSON, and the report says so."""
MOST_TOLD = 400
_WIDTH = A4[0] - 30 * mm
_COLUMNS = (34 * mm, 14 * mm, 48 * mm, 24 * mm, _WIDTH - 120 * mm)
_TEXT = ParagraphStyle("text", fontName=FONT, fontSize=7.5, leading=9.5, wordWrap="CJK")
_HEAD = ParagraphStyle("head", _TEXT, fontSize=15, leading=20)
_SECTION = ParagraphStyle("section", _TEXT, fontSize=10.5, leading=15, spaceBefore=8, spaceAfter=3)
_WORDS = {
    "zh": {
        "report": "追溯报告", "period": "时间范围", "zone": "时区", "made": "生成时间",
        "site": "工厂", "entries": "记录数", "plots": "过程曲线", "line": "时间线",
        "heads": ("时间", "类别", "内容", "人员/来源", "详情"), "late": "迟到",
        "unsure": "顺序不确定", "cut": "内容过多，此处未全部列出；请导出 CSV 或 JSON。",
        "legend": "~ 表示时钟精度不足以判定与相邻记录的先后；* 表示迟到的记录。"
        "曲线上：▲产生 ◆确认 ▼恢复，虚线为限值。", "page": "第 {} 页 / 共 {} 页", "by": "导出人",
    },
    "en": {
        "report": "Trace report", "period": "Period", "zone": "Time zone", "made": "Made at",
        "site": "Site", "entries": "Entries", "plots": "Signals", "line": "Time line",
        "heads": ("Time", "Lane", "What", "Who", "Details"), "late": "late",
        "unsure": "order uncertain", "cut": "There is more: export it as CSV or JSON.",
        "legend": "~ : the clocks cannot tell whether it came before or after its neighbours; "
        "* : it arrived late. In plots: ▲ raised, ◆ acknowledged, ▼ returned; dashed: limits.",
        "page": "Page {} of {}", "by": "Exported by",
    },
}  # fmt: skip


def as_pdf(trace: TraceOut, language: str, made_at: int, actor: str) -> bytes:
    """The report."""
    pdfmetrics.registerFont(UnicodeCIDFont(FONT))
    said, zone = _WORDS[language], ZoneInfo(trace.timezone)
    title = f"{words.said(words.SUBJECTS[trace.kind], language)} {trace.id}"
    out = io.BytesIO()
    document = SimpleDocTemplate(
        out, pagesize=A4, leftMargin=15 * mm, rightMargin=15 * mm, topMargin=14 * mm,
        bottomMargin=16 * mm, title=f"{said['report']}: {title}", author="Andon",
    )  # fmt: skip
    flow: list[Flowable] = [
        Paragraph(escape(f"{said['report']} · {title}"), _HEAD),
        *_facts(trace, language, made_at, actor, zone),
    ]
    if trace.signals:
        flow.append(Paragraph(said["plots"], _SECTION))
    for signal in trace.signals:
        flow += [plot(signal, trace, language, zone, _WIDTH), Spacer(1, 6)]
    flow += [
        Paragraph(said["line"], _SECTION), Paragraph(said["legend"], _TEXT), Spacer(1, 3),
        _table(trace, language, zone),
    ]  # fmt: skip
    if trace.truncated or len(trace.entries) > MOST_ROWS:
        flow += [Spacer(1, 4), Paragraph(said["cut"], _TEXT)]
    document.build(flow, canvasmaker=_paged(said["page"], f"{title} · {trace.timezone}"))
    return out.getvalue()


def _facts(
    trace: TraceOut, language: str, made_at: int, actor: str, zone: ZoneInfo
) -> Iterator[Flowable]:
    said = _WORDS[language]
    since, until = cells.local(trace.since, zone), cells.local(trace.until, zone)
    for name, value in (
        (words.said(words.SUBJECTS[trace.kind], language), words.said(trace.title, language)),
        (said["site"], trace.site),
        (said["period"], f"{since} - {until}"),
        (said["zone"], f"{trace.timezone} (UTC{_offset(trace.since, zone)})"),
        (said["made"], cells.local(made_at, zone)),
        (said["by"], actor),
        (said["entries"], len(trace.entries)),
    ):
        yield Paragraph(escape(f"{name}: {value}"), _TEXT)


def _offset(at: int, zone: ZoneInfo) -> str:
    return f"{datetime.fromtimestamp(at / 1000, UTC).astimezone(zone):%z}"


def _table(trace: TraceOut, language: str, zone: ZoneInfo) -> LongTable:
    rows = [[Paragraph(escape(head), _TEXT) for head in _WORDS[language]["heads"]]]
    for each in trace.entries[:MOST_ROWS]:
        rows.append([Paragraph(escape(cell), _TEXT) for cell in _cells(each, language, zone)])
    style = TableStyle([
        ("VALIGN", (0, 0), (-1, -1), "TOP"), ("LINEBELOW", (0, 0), (-1, -1), 0.25, colors.silver),
        ("BACKGROUND", (0, 0), (-1, 0), colors.whitesmoke), ("TOPPADDING", (0, 0), (-1, -1), 1.5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5), ("LEFTPADDING", (0, 0), (-1, -1), 2),
        ("RIGHTPADDING", (0, 0), (-1, -1), 2),
    ])  # fmt: skip
    return LongTable(rows, colWidths=_COLUMNS, repeatRows=1, style=style)


def _cells(each: TraceEntry, language: str, zone: ZoneInfo) -> tuple[str, ...]:
    marks = ("~" if each.uncertain else "") + ("*" if each.late else "")
    about = " ".join(part for part in (each.alarm, each.station, each.unit) if part)
    return (
        f"{cells.local(each.at, zone)} {marks}", words.lane(each.lane, language),
        f"{words.kind(each.kind, language)} {about}", each.actor or each.clock,
        cells.told(each.params)[:MOST_TOLD],
    )  # fmt: skip


def _paged(words_of_page: str, foot: str) -> type[Canvas]:
    """A canvas that knows the number of pages when it writes each page's foot."""

    class Paged(Canvas):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._states: list[dict[str, Any]] = []

        def showPage(self) -> None:  # noqa: N802 - the library's name
            self._states.append(dict(self.__dict__))
            self._startPage()  # type: ignore[attr-defined]

        def save(self) -> None:
            for number, state in enumerate(self._states, 1):
                self.__dict__.update(state)
                self.setFont(FONT, 7.5)
                self.drawString(15 * mm, 9 * mm, foot[:90])
                page = words_of_page.format(number, len(self._states))
                self.drawRightString(A4[0] - 15 * mm, 9 * mm, page)
                super().showPage()
            super().save()

    return Paged
