"""install-tools: commands of Caffe's names, `caffe` first, for scripts that call them.

Each is a line of shell that calls this program, so that scripts such as examples/mnist/train_lenet.sh run.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from pycaffe_lite.errors import CaffeError

NAME = "install-tools"
HELP = "make commands of Caffe's names (caffe, convert_imageset, ...) for scripts that call them"

# Caffe's name -> where it is below Caffe's build folder, and our verb
_TOOLS = {
    "caffe": ("tools", ""),
    "compute_image_mean": ("tools", "compute-image-mean"),
    "convert_imageset": ("tools", "convert-imageset"),
    "extract_features": ("tools", "extract-features"),
    "upgrade_net_proto_binary": ("tools", "upgrade-net-proto-binary"),
    "upgrade_net_proto_text": ("tools", "upgrade-net-proto-text"),
    "upgrade_solver_proto_text": ("tools", "upgrade-solver-proto-text"),
    "convert_cifar_data": ("examples/cifar10", "convert-cifar"),
    "convert_mnist_data": ("examples/mnist", "convert-mnist"),
}
_MARK = "made by pycaffe-lite install-tools"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder",
        metavar="BUILD",
        nargs="?",
        help="make a folder like Caffe's build/, tools/caffe and so on, for scripts that call ./build/tools/caffe; "
        "without it the commands go beside this Python's own, on the PATH where its environment is active",
    )
    parser.add_argument("--remove", action="store_true", help="remove what was made so")


def run(args: argparse.Namespace) -> int:
    """Write or remove the commands; raises CaffeError, before anything is written, for files that are not ours."""
    from pycaffe_lite._files import atomic_write, read_bytes

    commands = dict(_commands(args.folder))
    there = [path for path in commands if path.exists()]
    foreign = [path for path in there if path.is_dir() or _MARK not in read_bytes(path).decode("latin-1")]
    if foreign:
        raise CaffeError(
            f"{foreign[0]} is there already, and not {_MARK}",
            hint="Is it Caffe's own? Give a folder that has no such file.",
        )
    folder = args.folder or sysconfig.get_path("scripts")
    if args.remove and not there:
        print(f"There is nothing to remove in {folder}.")
        return 0
    for path in there if args.remove else commands:
        try:
            if args.remove:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as part:
                part.write_text(commands[path], encoding="utf-8")
                part.chmod(0o755)
        except OSError as e:
            what = "remove" if args.remove else "write"
            raise CaffeError(f"Cannot {what} {path}: {e.strerror}", hint="Give a folder of your own.") from e
    print(f"{'Removed from' if args.remove else 'Made in'} {folder}:")
    print("  " + " ".join(sorted({path.stem for path in (there if args.remove else commands)})))
    return 0


def _commands(folder: str | None) -> Iterator[tuple[Path, str]]:
    """Files and what to write into them."""
    windows = os.name == "nt"
    for name, (place, verb) in _TOOLS.items():
        words = [sys.executable, "-m", "pycaffe_lite", *([verb] if verb else [])]
        if windows:
            text = f'@rem {_MARK}\n@"{words[0]}" {" ".join(words[1:])} %*\n'
        else:
            text = f'#!/bin/sh\n# {_MARK}\nexec {shlex.join(words)} "$@"\n'
        end = ".cmd" if windows else ""
        if folder is None:
            yield Path(sysconfig.get_path("scripts"), name + end), text
        else:
            yield Path(folder, place, name + end), text
            yield Path(folder, place, f"{name}.bin{end}"), text
