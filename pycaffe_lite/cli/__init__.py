"""The command line: one program, `pycaffe-lite`, one module here per verb.

A verb's module has `NAME`, `HELP`, `add_arguments(parser)` and `run(args) -> int`, the exit status. All of them are
imported to show the help, so they import what is heavy inside `run`.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress

from pycaffe_lite import glog
from pycaffe_lite._install import register
from pycaffe_lite.cli._arguments import PROGRAM, parse
from pycaffe_lite.errors import CaffeError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. `argv` is the command line without the program, default sys.argv[1:].

    0: done; 1: an error, in one line on stderr, or with `--debug` with its traceback; 2: the command line itself is
    wrong; 130: interrupted; 141: nobody reads the output any more.
    """
    if argv is None:
        argv = sys.argv[1:]
        with suppress(OSError):  # a folder that is gone
            sys.path.insert(0, os.getcwd())  # where users keep their Python layers, as for python itself
        register()  # which may say `import caffe`
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # names that the terminal's encoding lacks
                stream.reconfigure(errors="backslashreplace")
    debug = "--debug" in argv or "-debug" in argv
    try:
        status = _run(argv)
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # What is still buffered would fail again, with a traceback, when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13  # SIGPIPE, which Windows lacks
    except Exception as e:
        if debug:
            traceback.print_exc()
        else:
            print(f"{PROGRAM}: error: {_line(e)}", file=sys.stderr)
        return 1


def _run(argv: Sequence[str]) -> int:
    try:
        args = parse(argv)
    except SystemExit as e:  # after help, version or what is wrong with the command line
        return e.code if isinstance(e.code, int) else 0
    if args.log_dir:  # also of verbs that log nothing to stderr
        glog.install(args.minloglevel, args.log_dir, stderr=False)
    status: int = args.run(args)
    return status


def _line(error: Exception) -> str:
    """The error in one line."""
    text = " ".join(str(error).split())
    if isinstance(error, CaffeError):
        return text
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, SyntaxError):  # says itself where, and no frame is there
        frames = traceback.StackSummary()
    where = f" ({os.path.relpath(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
    notes = "".join(f" {' '.join(note.split())}." for note in getattr(error, "__notes__", ()))
    return f"{type(error).__name__}: {text}{where}.{notes} Run again with --debug to see where it comes from."
