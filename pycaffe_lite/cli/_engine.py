"""What computes, in the first lines of a verb's log."""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)


def log_engine() -> None:
    """Say what nets compute with, in how many threads, and why."""
    from pycaffe_lite.engines import describe, describe_threads

    log.info("Computes with %s", describe())
    log.info("Threads: %s", describe_threads())
