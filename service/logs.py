"""Where logs go: all as JSON lines into the state directory, what matters to the terminal too."""

import logging
import sys
from pathlib import Path
from typing import TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

LIMIT_BYTES = 20_000_000
LEVELS = logging.getLevelNamesMapping()


class _Both:
    """Writes JSON lines to a bounded file and, from `loud` on, a short line to the terminal."""

    def __init__(self, path: Path | None, loud: str) -> None:
        self.path = path
        self.loud = LEVELS[loud.upper()]
        self.written = path.stat().st_size if path and path.exists() else 0
        self.file: TextIO | None = path.open("a", encoding="utf-8") if path else None
        self.line = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
        self.record = structlog.processors.JSONRenderer(ensure_ascii=False)

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> str:
        if self.file and self.path:
            text = str(self.record(logger, method, dict(event)))
            self.written += len(text)
            if self.written > LIMIT_BYTES:
                self.file.close()
                self.path.replace(self.path.with_suffix(".old.log"))
                self.file = self.path.open("a", encoding="utf-8")
                self.written = 0
            self.file.write(f"{text}\n")
            self.file.flush()
        if LEVELS.get(method.upper(), logging.ERROR) < self.loud:
            raise structlog.DropEvent
        return self.line(logger, method, event)


def configure(path: Path | None = None, loud: str = "warning") -> None:
    """Log into the file at `path`; on standard error only from the level `loud` on."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _Both(path, loud),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
