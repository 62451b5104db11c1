"""One line an event, on standard error: standard output is for answers."""

from __future__ import annotations

import logging
import sys

import structlog

from sync_core.errors import ConfigError
from sync_core.settings import Settings

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def configure(settings: Settings) -> None:
    """For a process's entry. Raises ConfigError for a level that is none."""
    level = settings.log_level.strip().upper()
    if level not in _LEVELS:
        raise ConfigError(f"LOG_LEVEL is {settings.log_level}; use one of {', '.join(_LEVELS)}.")
    number = logging.getLevelNamesMapping()[level]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # Not rich's traceback, which would print local variables: a Stripe key is one of them.
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.getLogger("apscheduler").setLevel(max(number, logging.WARNING))
