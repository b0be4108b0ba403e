"""Structured logs: one JSON line per event on standard output.

`logger(component).info("alarm_raised", alarm=..., occurrence=...)`; error: someone must act.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

from shared.redaction import cleaned


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}",
            "level": record.levelname.lower(),
            "component": record.name.removeprefix("andon."),
            "event": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return cleaned(json.dumps(line, ensure_ascii=False, default=str))


class Logger:
    """A component's structured logger."""

    def __init__(self, component: str) -> None:
        self._log = logging.getLogger(f"andon.{component}")

    def _emit(self, level: int, event: str, fields: dict[str, Any], exc: bool = False) -> None:
        if self._log.isEnabledFor(level):
            kept = {k: v for k, v in fields.items() if v is not None}
            self._log.log(level, event, extra={"fields": kept}, exc_info=exc)

    def debug(self, event: str, **fields: Any) -> None:
        """Detail for developers."""
        self._emit(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """Something happened as it should."""
        self._emit(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Something is off; the system copes."""
        self._emit(logging.WARNING, event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Someone must act."""
        self._emit(logging.ERROR, event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        """An unexpected fault, with its trace."""
        self._emit(logging.ERROR, event, fields, exc=True)


def logger(component: str) -> Logger:
    """The logger of one component."""
    return Logger(component)


def setup_logs(level: str = "info", stream: Any = None) -> None:
    """Send all logs as JSON lines to `stream` (standard output by default)."""
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(_JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("andon").setLevel(level.upper())
