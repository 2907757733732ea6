"""Where logs go: all as JSON lines into the state directory, what matters to the terminal too."""

import contextlib
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
        with contextlib.suppress(OSError):  # a full disk must not stop what tells of it
            self._keep(str(self.record(logger, method, dict(event))))
        if LEVELS.get(method.upper(), logging.ERROR) < self.loud:
            raise structlog.DropEvent
        return self.line(logger, method, event)

    def _keep(self, text: str) -> None:
        if not (self.file and self.path):
            return
        self.written += len(text)
        if self.written > LIMIT_BYTES:
            self.file.close()
            self.path.replace(self.path.with_suffix(".old.log"))
            self.file = self.path.open("a", encoding="utf-8")
            self.written = 0
        self.file.write(f"{text}\n")
        self.file.flush()


class _Terminal:
    """Standard error as long as somebody reads it: `| tee` and a closed terminal end before us."""

    def msg(self, message: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(f"{message}\n")
            sys.stderr.flush()

    debug = info = warning = error = critical = msg


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
        logger_factory=_Terminal,
        cache_logger_on_first_use=True,
    )
