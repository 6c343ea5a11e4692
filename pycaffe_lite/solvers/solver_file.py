"""A solver's file: read, brought up to date, and asked where things stand and lie."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pycaffe_lite._files import PathLike
from pycaffe_lite.errors import CaffeError, ParameterError, Position
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import Positions, read_net, read_solver

log = logging.getLogger(__name__)

_TYPES = {
    "SGD": "SGD",
    "NESTEROV": "Nesterov",
    "ADAGRAD": "AdaGrad",
    "RMSPROP": "RMSProp",
    "ADADELTA": "AdaDelta",
    "ADAM": "Adam",
}


@dataclass
class SolverFile:
    """A SolverParameter of today, and the file it came from; both `path` and `positions` are empty for a message."""

    message: pb.SolverParameter
    path: str = ""
    positions: Positions = field(default_factory=Positions)

    @classmethod
    def read(cls, source: PathLike | pb.SolverParameter) -> SolverFile:
        """The file, text or binary, or a copy of the message, with old fields made new ones as Caffe does.

        The enum solver_type becomes type; without snapshot_prefix snapshots are named after the solver file, without
        its extension; if the prefix is a folder, they go there under that name. Raises MissingFileError, ParseError and
        ParameterError.
        """
        if isinstance(source, pb.SolverParameter):
            self = cls(pb.SolverParameter())
            self.message.CopyFrom(source)
        else:
            self = cls.as_written(source)
        self.upgrade_type()
        self._name_snapshots()
        return self

    @classmethod
    def as_written(cls, path: PathLike) -> SolverFile:
        """The file without upgrades; raises MissingFileError and ParseError."""
        message, positions = read_solver(path)
        return cls(message, os.fspath(path), positions)

    def upgrade_type(self) -> bool:
        """Make the enum solver_type, where it is given, the string type; returns whether it was.

        Raises ParameterError where both are given.
        """
        message = self.message
        if not message.HasField("solver_type"):
            return False
        if message.HasField("type"):
            with self.blame():
                raise ParameterError(
                    "Both type and solver_type, the old form of it, are given", field="solver_type", hint="Keep type."
                )
        message.type = _TYPES[pb.SolverParameter.SolverType.Name(message.solver_type)]
        message.ClearField("solver_type")
        log.info("Upgraded %s: solver_type to type: %s", self.path or "the solver", message.type)
        return True

    @contextmanager
    def blame(self, path: str = "") -> Iterator[None]:
        """Errors from within the block get their place in this file, unless they know a better one.

        `path` leads to the message whose fields the errors name, if that is not the solver itself.
        """
        try:
            yield
        except CaffeError as e:
            if e.position is None:
                field = f"{path}.{e.field}".strip(".")
                e.position = self.positions.find(f"{field}[0]" if f"{field}[0]" in self.positions else field)
            raise

    def net(self, field: str, index: int | None = None) -> tuple[pb.NetParameter, Positions]:
        """The network that a field (net, train_net_param, ..., or entry `index` of it) names or holds, and its places.

        A file is looked for from the current folder, as in Caffe, and if it is not there, beside the solver's file.
        """
        value = getattr(self.message, field)
        if index is not None:
            value = value[index]
        where = field if index is None else f"{field}[{index}]"
        if isinstance(value, pb.NetParameter):
            return value, _Within(self.positions, where)
        with self.blame(where):
            return read_net(self._find(value))

    def _find(self, path: str) -> str:
        beside = os.path.join(os.path.dirname(self.path), path)
        return beside if self.path and not os.path.exists(path) and os.path.exists(beside) else path

    def _name_snapshots(self) -> None:
        message = self.message
        if self.path and not message.snapshot_prefix:
            message.snapshot_prefix = str(Path(self.path).with_suffix(""))
            log.info("snapshot_prefix is not given, snapshots are named %s", message.snapshot_prefix)
        elif self.path and os.path.isdir(message.snapshot_prefix):
            message.snapshot_prefix = os.path.join(message.snapshot_prefix, Path(self.path).stem)


class _Within(Positions):
    """The positions of one field's message in those of the message around it."""

    def __init__(self, outer: Positions, path: str) -> None:
        super().__init__(outer.file)
        self._outer, self._path = outer, path

    def find(self, path: str) -> Position | None:
        return self._outer.find(f"{self._path}.{path}".strip("."))

    def __contains__(self, path: object) -> bool:
        return f"{self._path}.{path}" in self._outer

    def __len__(self) -> int:
        return len(self._outer)
