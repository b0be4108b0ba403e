"""How a tag's samples go up to the factory's history, and how much of them a raise takes along.

Single values only; used by the models of tags, alarms and the site.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from shared.site.fields import Duration, Model

Figure = Literal["avg", "min", "max", "last"]


class Window(Model):
    """Figures of equal spans of time instead of the samples themselves."""

    every: Duration = 10_000
    of: list[Figure] = Field(default=["avg", "min", "max", "last"], min_length=1)

    @model_validator(mode="after")
    def _possible(self) -> Window:
        if not 100 <= self.every <= 3_600_000:
            raise ValueError("`every` of a window is from 100ms to 1h")
        if len(set(self.of)) != len(self.of):
            raise ValueError("`of` names a figure twice")
        return self


class WindowReport(Model):
    """`report: {window: {every: 10s, of: [avg, max]}}`."""

    window: Window = Window()


def _report(given: Any) -> Any:
    if given is True:
        return "change"
    if isinstance(given, str) and given not in ("change", "raw"):
        raise ValueError(
            f"{given!r} is not a way to report; write change, raw, false or "
            "{window: {every: 10s, of: [avg, min, max, last]}}"
        )
    return given


Report = Annotated[Literal["change", "raw", False] | WindowReport, BeforeValidator(_report)]
"""`change` (beyond the deadband, and every 60 s), `raw`, a window, or false."""


class SnippetSpec(Model):
    """What a raise takes along at full rate: `{before: 60s, after: 30s}`; both 0 for nothing."""

    before: Duration = 60_000
    after: Duration = 30_000

    @model_validator(mode="after")
    def _possible(self) -> SnippetSpec:
        if self.before > 900_000 or self.after > 300_000:
            raise ValueError("a snippet is at most 15m before and 5m after the raise")
        return self


def report_name(tag: str, figure: str, own: str) -> str:
    """The name under which a figure of `tag` goes up: its own, or `TAG@max`.

    `own` is the figure that goes up under the tag's own name, so that what asks for the tag's
    newest value gets one.
    """
    return tag if figure == own else f"{tag}@{figure}"


def own_figure(figures: list[Figure]) -> Figure:
    """The figure that goes up under the tag's own name: the last value, else the first asked."""
    return "last" if "last" in figures else figures[0]
