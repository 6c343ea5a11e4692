"""Logging as Google's glog writes it, which is what scripts that read Caffe's logs expect::

    I0210 13:39:22.381027 25210 solver.py:204] Iteration 100, lr = 0.00992565

Level, month and day; time; thread; where in our code. Until somebody calls `install`, as the command line does, there
are only warnings, and `logging` writes them as it writes all programs' that say nothing else.
"""

from __future__ import annotations

import getpass
import logging
import os
import platform
import sys
import threading
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from pycaffe_lite.errors import CaffeError

_LEVELS = (logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
_LOGGER = "pycaffe_lite"


class GlogFormatter(logging.Formatter):
    """glog's line, with the date in four digits: Caffe's own tools cannot read the eight of newer versions."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created)
        letter = {"WARNING": "W", "ERROR": "E", "CRITICAL": "F"}.get(record.levelname, "I")
        text = f"{letter}{when:%m%d %H:%M:%S.%f} {threading.get_native_id():5d} {record.filename}:{record.lineno}] "
        text += record.getMessage()
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


class GlogHandler(logging.Handler):
    """Writes to what sys.stderr is at that moment, each record in one write.

    So a live line at the bottom of a terminal only has to put itself in the place of sys.stderr.
    """

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:  # as every handler of `logging`: a log that cannot be written must not end the training
            self.handleError(record)


_handler = GlogHandler()
_handler.setFormatter(GlogFormatter())


class LogFile(logging.FileHandler):
    """A log in a file, new or with mode "w" in place of what is there. That it cannot be written is said once."""

    def __init__(self, path: str | os.PathLike[str], mode: str = "a") -> None:
        super().__init__(path, mode, encoding="utf-8", errors="backslashreplace")
        self.setFormatter(GlogFormatter())
        self._said = False

    def handleError(self, record: logging.LogRecord) -> None:
        if not self._said:
            self._said = True
            logging.getLogger(__name__).warning(
                "The log %s cannot be written: %s", self.baseFilename, sys.exc_info()[1]
            )


_file: LogFile | None = None


def install(level: int | None = None, log_dir: str = "", stderr: bool = True) -> None:
    """Log to stderr from `level` on: 0 INFO, 1 WARNING, 2 ERROR, 3 FATAL; by default what GLOG_minloglevel says, or 0.

    With `log_dir`, by default GLOG_log_dir, also into a new file in that folder, named as glog names it, to which the
    link caffe.INFO leads from then on; without `stderr` only there. May be called again, to change the level. Raises
    CaffeError for a folder that nothing can be written into.
    """
    if level is None:
        level = _from_environment()
    logger = logging.getLogger(_LOGGER)
    logger.setLevel(_LEVELS[min(max(level, 0), len(_LEVELS) - 1)])
    if stderr and _handler not in logger.handlers:
        logger.addHandler(_handler)
    folder = log_dir or os.environ.get("GLOG_log_dir", "")  # noqa: SIM112  the name is glog's
    if folder and _file is None:
        _open_file(Path(folder))


def uninstall() -> None:
    """Only warn again."""
    logger = logging.getLogger(_LOGGER)
    logger.setLevel(_level_of_warnings())
    logger.removeHandler(_handler)
    global _file
    if _file is not None:
        logger.removeHandler(_file)
        _file.close()
        _file = None


def init_log(level: int = 0, stderr: bool = True) -> None:
    """Log as Caffe does from now on (pycaffe's init_log): from `level` on, or without `stderr` errors only.

    glog would write what does not go to stderr into files of its own; we write one only where GLOG_log_dir is set.
    """
    install(level if stderr else max(level, _LEVELS.index(logging.ERROR)))


def log(text: str) -> None:
    """Write a line of one's own into the log (pycaffe's log)."""
    logging.getLogger(_LOGGER).info("%s", text, stacklevel=2)


def _open_file(folder: Path) -> None:
    global _file
    start = datetime.now()
    name = f"caffe.{platform.node()}.{_user()}.log.INFO.{start:%Y%m%d-%H%M%S}.{os.getpid()}"
    try:
        _file = LogFile(folder / name)
    except OSError as e:
        raise CaffeError(
            f"The log cannot be written into '{folder}': {e.strerror}", hint="Make the folder of --log_dir first."
        ) from e
    logging.getLogger(_LOGGER).addHandler(_file)
    with suppress(OSError):  # links are not for everybody on Windows
        link = folder / "caffe.INFO"
        link.unlink(missing_ok=True)
        link.symlink_to(name)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a process of no user
        return "unknown-user"


def _level_of_warnings() -> int:
    """From which on GLOG_minloglevel lets us warn."""
    level = _from_environment()
    return _LEVELS[min(level, len(_LEVELS) - 1)] if level > 1 else logging.NOTSET


def _from_environment() -> int:
    try:
        return int(os.environ.get("GLOG_minloglevel", "0"))  # noqa: SIM112  the name is glog's
    except ValueError:
        return 0


if _least := _level_of_warnings():
    logging.getLogger(_LOGGER).setLevel(_least)
