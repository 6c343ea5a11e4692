"""A solver's nets: which of its fields names them, in which state, with whose weights."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from pycaffe_lite._parallel import solver_rank
from pycaffe_lite.errors import ParameterError
from pycaffe_lite.net import Net
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.solvers.solver_file import SolverFile
from pycaffe_lite.watched import WatchedStorage

log = logging.getLogger(__name__)

_TRAIN_FIELDS = ("net", "net_param", "train_net", "train_net_param")
_Source = tuple[str, "int | None"]


def make_train_net(file: SolverFile, level: int, stages: Sequence[str]) -> Net:
    """The net that is trained; `level` and `stages` come on top of train_state's.

    Raises ParameterError unless exactly one field gives the net; what Net raises.
    """
    given = [f for f in _TRAIN_FIELDS if file.message.HasField(f)]
    with file.blame():
        if not given:
            raise ParameterError(
                f"No network to train: none of {', '.join(_TRAIN_FIELDS)} is given",
                hint='Give one, such as net: "train_test.prototxt".',
            )
        if len(given) > 1:
            raise ParameterError(
                f"More than one network to train: {' and '.join(given)} are given",
                field=given[1],
                hint="Keep one of them.",
            )
    state = pb.NetState()
    state.CopyFrom(file.message.train_state)
    if level:
        state.level = level
    state.stage.extend(stages)
    log.info("Creating training net %s", _described(file.message, (given[0], None)))
    net = _make(file, (given[0], None), pb.TRAIN, state)
    if not any(node.losses for node in net._nodes):
        log.warning("The net has no loss, nothing will be learnt: give it a loss layer, or a top a loss_weight")
    return net


def make_test_nets(file: SolverFile) -> list[Net]:
    """The nets that test: test_net_param's, test_net's, then net or net_param for each entry that test_iter has left.

    Raises ParameterError where test_iter, test_state and test_interval do not fit these; what Net raises.
    """
    with file.blame():
        sources = _test_sources(file.message)
    nets = []
    for i, source in enumerate(sources):
        log.info("Creating test net (#%d) specified by %s", i, _described(file.message, source).removeprefix("from "))
        state = file.message.test_state[i] if file.message.test_state else pb.NetState()
        nets.append(_make(file, source, pb.TEST, state))
    return nets


def load_weights(nets: Sequence[Net], weights: Sequence[str]) -> None:
    """Copy weights files, each entry one or several with commas between them, into all of the nets."""
    for path in (p.strip() for entry in weights for p in entry.split(",")):
        for net in nets:
            log.info("Finetuning from %s", path)
            net.copy_from(path)


def share_weights(test_net: Net, train_net: Net) -> None:
    """Let the test net use the trained net's weights, and give back the memory of its own."""
    test_net.share_with(train_net)
    if test_net.params.keys() <= train_net.params.keys():
        test_net.learnable.data = WatchedStorage(test_net.dtype)


def _test_sources(message: pb.SolverParameter) -> list[_Source]:
    sources: list[_Source] = [("test_net_param", i) for i in range(len(message.test_net_param))]
    sources += [("test_net", i) for i in range(len(message.test_net))]
    generic = next((f for f in ("net_param", "net") if message.HasField(f)), None)
    count = len(message.test_iter)
    if count < len(sources) or (generic is None and count != len(sources)):
        raise ParameterError(
            f"test_iter is {_times(count)}, there are {len(sources)} test nets",
            field="test_iter[0]",
            hint="Give it once for each test net.",
        )
    if generic is not None:
        sources += [(generic, None)] * (count - len(sources))
    states = len(message.test_state)
    if states not in (0, len(sources)):
        raise ParameterError(
            f"test_state is {_times(states)}, there are {len(sources)} test nets",
            field="test_state[0]",
            hint="Give it once for each test net or not at all.",
        )
    if sources and message.test_interval < 1:
        found = message.test_interval if message.HasField("test_interval") else "missing"
        raise ParameterError(
            f"test_interval is {found}, yet there are test nets",
            field="test_interval",
            hint="Give the iterations between two tests, or leave test_iter out.",
        )
    return sources


def _make(file: SolverFile, source: _Source, phase: pb.Phase, state: pb.NetState) -> Net:
    found, positions = file.net(*source)
    message = pb.NetParameter()
    message.CopyFrom(found)
    own = pb.NetState(phase=phase)
    own.MergeFrom(message.state)
    own.MergeFrom(state)
    message.state.CopyFrom(own)
    seed = file.message.random_seed
    # As in Caffe, solvers that train together draw numbers of their own.
    return Net.from_message(message, positions, seed=seed + solver_rank() if seed >= 0 else None)


def _described(message: pb.SolverParameter, source: _Source) -> str:
    field, index = source
    if field.endswith("param"):
        return f"specified in {field}" + ("." if index is None else f" #{index}")
    value = getattr(message, field)
    return f"from {'net' if field == 'net' else field} file: {value if index is None else value[index]}"


def _times(n: int) -> str:
    return "not given" if n == 0 else "given once" if n == 1 else f"given {n} times"
