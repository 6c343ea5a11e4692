"""Command lines as gflags takes them, made into what argparse takes.

Caffe's scripts write `-solver X`, `--solver=X`, `--gray=false`, `--nogray`, flags before the command, underscores in
its name, and `--flagfile=FILE` with a flag on each line.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pycaffe_lite._files import read_bytes
from pycaffe_lite.errors import ParameterError, shortened

_OPTION = re.compile(r"--?([A-Za-z]\w[\w-]*|v)(?:=(.*))?", re.DOTALL)
_TRUTH = {
    **dict.fromkeys(("1", "t", "true", "y", "yes"), True),
    **dict.fromkeys(("0", "f", "false", "n", "no"), False),
}
_DEEPEST = 8
"""Flag files that name each other, before that is taken for a circle."""


class Switch(argparse.Action):
    """A flag of gflags' that is true or false: `--gray`, `--nogray`, `--gray=false`."""

    def __init__(self, option_strings: Sequence[str], dest: str, default: Any = False, help: str | None = None) -> None:
        super().__init__([*option_strings, f"--no{dest}"], dest, nargs=0, default=default, help=help)

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        setattr(namespace, self.dest, option != self.option_strings[-1])


def like_argparse(argv: Sequence[str], verbs: Mapping[str, argparse.ArgumentParser]) -> list[str]:
    """The arguments in argparse's form: the verb first, two dashes before long options, switches without values.

    What follows `--`, or the script of `run`, is left alone. Raises MissingFileError and ParameterError for a flag
    file.
    """
    verb, rest = _verb_first(list(argv), verbs)
    parser = verbs.get(verb)
    switches = {a.dest for a in parser._actions if isinstance(a, Switch)} if parser else set()
    return ([verb] if verb else []) + list(_dashes(rest, verb, switches, 0))


def _verb_first(argv: list[str], verbs: Mapping[str, argparse.ArgumentParser]) -> tuple[str, list[str]]:
    """The verb as it is spelt here, and everything else; '' and everything where there is none."""
    for i, argument in enumerate(argv):
        verb = argument.replace("_", "-")
        if verb in verbs and (i == 0 or argv[0].startswith("-")):
            return verb, argv[:i] + argv[i + 1 :]
        if argument == "--":
            break
    return "", argv


def _dashes(argv: Sequence[str], verb: str, switches: set[str], depth: int) -> Iterator[str]:
    rest = iter(argv)
    for argument in rest:
        option = _OPTION.fullmatch(argument)
        if argument == "--" or (verb == "run" and not argument.startswith("-")):
            yield argument
            yield from rest
        elif option is None:
            yield argument
        elif option[1] == "flagfile":
            yield from _dashes(
                _flags(option[2] if option[2] is not None else next(rest, ""), depth), verb, switches, depth + 1
            )
        elif option[1] in switches and option[2] is not None and option[2].lower() in _TRUTH:
            yield f"--{option[1]}" if _TRUTH[option[2].lower()] else f"--no{option[1]}"
        else:
            yield "--" + argument.lstrip("-")


def _flags(files: str, depth: int) -> list[str]:
    """The flags in the files, whose names are separated by commas: one a line, '#' before a comment."""
    if depth == _DEEPEST:
        raise ParameterError(f"Flag files name each other in a circle, through {files}")
    flags = []
    for path in files.split(","):
        data = read_bytes(path)
        if b"\0" in data:
            raise ParameterError(f"{path} is binary, and no flag file")
        for number, line in enumerate(data.decode("utf-8", "surrogateescape").splitlines(), 1):
            flag = line.strip()
            if flag and not flag.startswith(("#", "-")):
                raise ParameterError(
                    f"Line {number} of the flag file {path} is {shortened(flag)!r}",
                    hint="It should be a flag: --name=value.",
                )
            flags += [flag] if flag.startswith("-") else []
    return flags
