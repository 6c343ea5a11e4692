"""Runs a script that says `import caffe`, untouched: python -m pycaffe_lite.as_caffe script.py [arguments]"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, TracebackType

from pycaffe_lite import glog
from pycaffe_lite._files import find_file, read_bytes
from pycaffe_lite._install import CHILDREN, register
from pycaffe_lite.errors import CaffeError

_HERE = str(Path(__file__).parent) + os.sep


def run_script(script: str, arguments: Sequence[str], *, log_level: int | None = None, debug: bool = False) -> int:
    """Run a script as Python would, but for `import caffe` giving pycaffe_lite; returns the exit status.

    From that import on Caffe's log goes to stderr, from `log_level` (default GLOG_minloglevel's) on. Modules are looked
    for beside the script, as always, and in the end in the current folder. Processes that the script starts find caffe
    too. Tracebacks show the user's code and none of ours, unless `debug`. Raises MissingFileError for the script.
    """
    code = read_bytes(script)
    register(lambda: glog.install(log_level))
    module = ModuleType("__main__")
    module.__dict__.update(__file__=script, __builtins__=__builtins__, __cached__=None)
    before = sys.argv, sys.path, sys.modules["__main__"], os.environ.get("PYTHONPATH")
    folder = os.path.dirname(os.path.realpath(find_file(script)))
    others = [p for p in sys.path if p not in (os.getcwd(), CHILDREN)]
    # What a script starts finds caffe by one of the two: multiprocessing hands on the path, others the environment.
    sys.argv, sys.path = [script, *arguments], [folder, CHILDREN, *others, os.getcwd()]
    os.environ["PYTHONPATH"] = os.pathsep.join([CHILDREN, *filter(None, [before[3]])])
    sys.modules["__main__"] = module
    try:
        exec(compile(code, script, "exec", dont_inherit=True), module.__dict__)
        return 0
    except SystemExit as e:
        if e.code is None or isinstance(e.code, int):
            return e.code or 0
        print(e.code, file=sys.stderr)
        return 1
    except BaseException as e:
        if not debug:
            _show_users_code_only(e)
        sys.excepthook(type(e), e, e.__traceback__)
        return 130 if isinstance(e, KeyboardInterrupt) else 1
    finally:
        sys.argv, sys.path, sys.modules["__main__"], python_path = before
        if python_path is None:
            os.environ.pop("PYTHONPATH", None)
        else:
            os.environ["PYTHONPATH"] = python_path


def _show_users_code_only(error: BaseException | None) -> None:
    """Take our frames out of the tracebacks; where an error that is none of our own begins in our code, it stays."""
    while error is not None:
        frames = _frames(error.__traceback__)
        own = [_HERE in f.tb_frame.f_code.co_filename for f in frames]
        if not own or not own[-1] or isinstance(error, CaffeError):
            frames = [f for f, ours in zip(frames, own, strict=True) if not ours]
        else:
            frames = frames[1:]
        for outer, inner in zip(frames, [*frames[1:], None], strict=False):
            outer.tb_next = inner
        error.__traceback__ = frames[0] if frames else None
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _frames(traceback: TracebackType | None) -> list[TracebackType]:
    frames = []
    while traceback is not None:
        frames.append(traceback)
        traceback = traceback.tb_next
    return frames


def main() -> int:
    """The script and its arguments are those of the command line."""
    if len(sys.argv) < 2:
        print("usage: python -m pycaffe_lite.as_caffe script.py [arguments]", file=sys.stderr)
        return 2
    try:
        return run_script(sys.argv[1], sys.argv[2:])
    except CaffeError as e:
        print(f"{__spec__.name if __spec__ else __name__}: {e}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
