"""Solver: the training loop, the same for all types of solvers.

An iteration goes through named stages: start, gradients (iter_size times), ready, clip, normalise, regularise, update.
Callbacks run at start, after testing and before the first forward pass, and at ready, before gradients are clipped.
"""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import numpy as np

from pycaffe_lite import _debug_info, _mode
from pycaffe_lite._files import PathLike
from pycaffe_lite._typing import Array
from pycaffe_lite.constraints import Constraint, whole_number
from pycaffe_lite.net import Net
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import SolverState
from pycaffe_lite.solvers import nets, resume, snapshot
from pycaffe_lite.solvers.display import Clock, Event, SmoothedLoss, Watcher, log_outputs
from pycaffe_lite.solvers.early_stopping import EarlyStopping
from pycaffe_lite.solvers.lr_policy import Progress, Schedule
from pycaffe_lite.solvers.settings import Settings
from pycaffe_lite.solvers.signals import Action
from pycaffe_lite.solvers.solver_file import SolverFile
from pycaffe_lite.solvers.testing import Tests
from pycaffe_lite.solvers.update import Block, Parameters, regularise

log = logging.getLogger(__name__)


class Solver(ABC):
    """Trains a net, as a solver file says.

    `solver_file` is a path or a SolverParameter message. `weights` (files) come in place of those in the file; `level`
    and `stages` are added to train_state. Files of nets are looked for from the current folder, as in Caffe, and then
    beside the solver file; snapshot_prefix is relative to the current folder.

    Raises MissingFileError and ParseError for the file; ParameterError for its fields; SnapshotError when snapshots
    could not be written; what Net raises.

    Differences from Caffe: all fields are checked here, not when they are first used; a snapshot's files are written
    whole or not at all; a third one lets training go on bit by bit as if it had never stopped, `average_loss` included;
    test nets use the trained weights from the beginning; there is early stopping.
    """

    type: ClassVar[str] = ""
    constraints: ClassVar[Mapping[str, Constraint]] = {}
    histories: ClassVar[int] = 1
    """How many numbers this type remembers for each weight."""

    def __init__(
        self,
        solver_file: PathLike | pb.SolverParameter | SolverFile,
        *,
        weights: Sequence[str] | None = None,
        level: int = 0,
        stages: Sequence[str] = (),
    ) -> None:
        file = solver_file if isinstance(solver_file, SolverFile) else SolverFile.read(solver_file)
        message = file.message
        with file.blame():
            self.param = Settings.of(message, self.constraints)
            if self.param.snapshot or message.HasField("early_stopping"):
                snapshot.check_writable(self.param)
        if message.HasField("solver_mode") and message.solver_mode == pb.SolverParameter.GPU:
            _mode.set_mode_gpu()
        log.info("Initializing solver from parameters: \n%s", message)
        self.net = nets.make_train_net(file, level, stages)
        self.test_nets = nets.make_test_nets(file)
        nets.load_weights([self.net, *self.test_nets], message.weights if weights is None else weights)
        for test_net in self.test_nets:
            test_net.debug_info = message.debug_info
            nets.share_weights(test_net, self.net)
        self.early_stopping: EarlyStopping | None = None
        """Where it stands, if the file asks for it."""
        if message.HasField("early_stopping"):
            with file.blame():
                self.early_stopping = EarlyStopping(message, self.test_nets)
        self.iter = 0
        self.stopped = False
        """Whether the last step or solve ended before its time."""
        self.stopped_early = False
        """Whether that was early stopping."""
        self.action_source: Callable[[], Action] = lambda: Action.NONE
        """Asked after each iteration and before each test batch what somebody outside wants; see SignalActions."""
        self._rates = Schedule(self.param)
        self._tests = Tests(self.test_nets, self.net, self.early_stopping)
        self._parameters = Parameters(self.net, self.histories)
        self._loss = SmoothedLoss(self.param.average_loss)
        self._clock = Clock(0)
        self._last_snapshot = -1
        self._resumed = False  # by a snapshot whose losses the next step goes on averaging
        self._on_start: list[Callable[[], object]] = []
        self._on_gradients_ready: list[Callable[[], object]] = []
        self._watchers: list[Watcher] = []
        log.info("Solver scaffolding done.")

    # Training.

    def solve(self, resume_file: PathLike | None = None) -> None:
        """Train up to max_iter, from where `resume_file`, a solver state, left off if it is given.

        Raises SnapshotError, before anything is trained, when the snapshots could not be written.
        """
        p = self.param
        log.info("Solving %s", self.net.name)
        log.info("Learning Rate Policy: %s", p.lr_policy)
        if p.snapshot_after_train:
            snapshot.check_writable(p)
        if resume_file:
            log.info("Restoring previous solver status from %s", resume_file)
            self.restore(resume_file)
        if p.max_iter <= self.iter:
            log.warning("Nothing is trained: max_iter is %d, iteration %d is reached", p.max_iter, self.iter)
        self.step(p.max_iter - self.iter)
        if p.snapshot_after_train and self._last_snapshot != self.iter:
            self.snapshot()
        if self.stopped:
            log.info("Optimization stopped early.")
            return
        if p.display and self.iter % p.display == 0:
            self._loss.add(self.net._forward(0, len(self.net._nodes) - 1))
            log.info("Iteration %d, loss = %g", self.iter, self._loss.value)
        if p.test_interval and self.iter % p.test_interval == 0:
            self._test_all()
        log.info("Optimization Done.")

    def step(self, n: int) -> None:
        """Train for n iterations, with the tests, displays and snapshots that fall due. Raises ParameterError where n
        is no whole number, or below 0.
        """
        p, n = self.param, whole_number(n, "The number of iterations", 0)
        self.stopped = self.stopped_early = False
        if not self._resumed:
            self._loss, self._tests.made = SmoothedLoss(p.average_loss), False
        self._resumed = False
        self._clock.start(self.iter)
        try:
            self._step_to(self.iter + n)
        finally:
            self.net.learnable.settle_diffs()

    def _step_to(self, stop: int) -> None:
        p = self.param
        while self.iter < stop:
            if self._tests.due(p, self.iter):
                self._test_all()
                if self.early_stopping is not None and self.early_stopping.exhausted and not self.stopped:
                    log.info("Early stopping: Iteration %d, %s", self.iter, self.early_stopping)
                    self.stopped = self.stopped_early = True
                if self.stopped:
                    break
            display = bool(p.display and self.iter % p.display == 0)
            self.net.debug_info = display and p.debug_info
            self._start()
            self._loss.add(self._gradients())
            if display:
                self._display()
            self._ready()
            rate = self._update()
            if self._watched:
                self.net.learnable.settle_diffs()
            if self._watchers:
                self._notify(Event("iteration", self.iter, self._loss.value, rate))
            action = self.action_source()
            if action is Action.SNAPSHOT or (p.snapshot and self.iter % p.snapshot == 0):
                self.snapshot()
            if action is Action.STOP:
                self.stopped = True
                break

    def apply_update(self) -> None:
        """Update the weights by the gradients that are in the net's diffs: the second half of an iteration."""
        self._update()
        self.net.learnable.settle_diffs()

    @property
    def _watched(self) -> bool:
        """Whether code that is not ours runs in an iteration, and may look at arrays that it kept."""
        return bool(self._watchers or self._on_start or self._on_gradients_ready or self.net._passes.runs_others_code)

    def _start(self) -> None:
        if self._on_start or self.net._passes.runs_others_code:
            self.net.clear_param_diffs()  # arrays that somebody kept show it at once
        else:
            self.net.learnable.forget_diffs()
        for call in self._on_start:
            call()

    def _gradients(self) -> float:
        """Add up the gradients of iter_size batches; returns the mean loss."""
        loss = 0.0
        try:
            for _ in range(self.param.iter_size):
                loss += self.net._passes.forward_backward()
        finally:
            self.net.learnable.settle_diffs()
        return loss / self.param.iter_size

    def _ready(self) -> None:
        for call in self._on_gradients_ready:
            call()

    def _update(self) -> float:
        """Clip, normalise, regularise, update; returns the learning rate."""
        p = self.param
        rate = self._rates.next(self.iter, self._loss.value if self._loss.losses else math.inf)
        if p.display and self.iter % p.display == 0:
            log.info("Iteration %d, lr = %g", self.iter, rate)
        if p.clip_gradients >= 0:
            self._parameters.clip(p.clip_gradients)
        self._parameters.normalise(p.iter_size)
        self._begin_update()
        before = _debug_info.means(self.net.learnable) if self.net.debug_info else None
        self._parameters.update(rate, p.weight_decay, self._update_block, self._blocks_at_once)
        if before is not None:
            _debug_info.log_update(self.net._nodes, self.net.learnable, before)
        self.iter += 1
        self._tests.made = False
        return rate

    # What each type of solver has of its own.

    _blocks_at_once = True
    """Whether several threads may run `_update_block`."""

    def _begin_update(self) -> None:  # noqa: B027  most types need none
        """Compute what is the same for all weights in this iteration."""

    def _update_block(self, block: Block, rate: float, decay: float, scratch: Array) -> Array:
        """Regularise and update the weights of a block; returns what was subtracted from them."""
        if decay:
            regularise(block.diff, block.weights, decay, self.param.regularization_type == "L1", scratch)
        update = self._compute_update(block.diff, block.history, rate, scratch)
        np.subtract(block.weights, update, out=block.weights)
        return update

    @abstractmethod
    def _compute_update(self, diff: Array, history: tuple[Array, ...], rate: float, scratch: Array) -> Array:
        """From the gradients in `diff`, what is to be subtracted from the weights: `diff`, overwritten, or the first of
        `history`.

        The arrays are 1-D, of one length and number type: a part of one learnable blob. `history` has `histories` of
        them, zeros at first, to be updated in place; `scratch` may be overwritten. `rate` is the learning rate times
        lr_mult.
        """

    # Around training.

    @property
    def lr(self) -> float:
        """The learning rate of the next iteration."""
        return self._rates.rate(self.iter)

    def snapshot(self) -> None:
        """Write weights, state and where the data stand, named by snapshot_prefix and iteration: all files whole, or
        none (SnapshotError).
        """
        self._snapshot(f"iter_{self.iter}")
        self._last_snapshot = self.iter

    def restore(self, state_file: PathLike) -> None:
        """Take weights, history and iteration from a snapshot's .solverstate or .solverstate.h5, and what lies beside
        it, so that training goes on bit by bit as if it had never stopped, on the same machine with as many threads.

        Beside a state that Caffe wrote there is nothing: data and random numbers then begin anew, as in Caffe; so they
        do, with a warning, for a layer that is another, and all of them for a file that belongs to another state.

        Raises MissingFileError, ParseError, WeightsError; SnapshotError for the state of another net or type of solver.
        """
        history = self._parameters.history
        state = snapshot.read(state_file, [array.shape for array in history])
        rest = resume.read(state_file)
        if state.learned_net:
            self.net.copy_from(state.learned_net)
        for mine, saved in zip(history, state.history, strict=True):
            mine[...] = saved
        self.iter, self._rates.progress = state.iter, Progress(state.current_step)
        self._resumed = rest is not None
        self._tests.resumed(rest is not None and rest.tested)
        if rest is not None:
            self._loss = SmoothedLoss(self.param.average_loss, rest.losses)
            self._rates.progress = rest.progress
            if self.early_stopping is not None:
                self.early_stopping.set_state(rest.early_stopping)
            resume.set_all_layer_states([self.net, *self.test_nets], rest)

    def share_weights(self, net: Net) -> None:
        """Train in the weight memory of another net, for layers of the same name (WeightsError if they do not fit)."""
        self.net.share_with(net)

    def add_callback(
        self, on_start: Callable[[], object] | None, on_gradients_ready: Callable[[], object] | None
    ) -> None:
        """Call these in every iteration, without arguments: before the forward pass; when all gradients are there."""
        self._on_start += [on_start] if on_start else []
        self._on_gradients_ready += [on_gradients_ready] if on_gradients_ready else []

    def watch(self, watcher: Watcher) -> None:
        """Call `watcher` with an Event after every iteration, and around test batches and snapshots."""
        self._watchers.append(watcher)

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"<{name}: iteration {self.iter} of {self.param.max_iter} · lr {self.lr:g} · net {self.net.name!r}>"

    # Helpers.

    def _snapshot(self, tag: str) -> None:
        names = snapshot.file_names(self.param, tag)
        state = SolverState(self.iter, "", self._parameters.history, self._rates.progress.current_step)
        rest = resume.Resume(
            [*self._loss.losses],
            self._tests.made,
            self._rates.progress,
            None if self.early_stopping is None else self.early_stopping.state(),
            resume.layer_states(self.net),
            self._tests.layer_states(),
        )
        self._notify(Event("snapshotting", self.iter, self._loss.value, self.lr, names.weights))
        snapshot.write(self.param, names, self.net, state, rest)
        self._notify(Event("snapshot", self.iter, self._loss.value, self.lr, names.weights))

    def _display(self) -> None:
        p = self.param
        speed, seconds = self._clock.lap(self.iter)
        log.info(
            "Iteration %d (%g iter/s, %gs/%d iters), loss = %g", self.iter, speed, seconds, p.display, self._loss.value
        )
        log_outputs("Train", self.net, {name: self.net.blobs[name].data for name in self.net.outputs})

    def _test_all(self) -> None:
        def go_on(net: int, batches: int, batch: int) -> bool:
            self._notify(Event("testing", self.iter, self._loss.value, self.lr, str(net), batch, batches))
            return self._poll()

        def tested(net: int, batches: int, means: dict[str, Array]) -> None:
            self._notify(Event("tested", self.iter, self._loss.value, self.lr, str(net), batches, batches, means))

        if self._tests.run(self.param, self.iter, go_on, tested):
            self._snapshot("best")

    def _poll(self) -> bool:
        """Do what somebody outside has asked for during a test; False to stop."""
        while (action := self.action_source()) is not Action.NONE:
            if action is Action.SNAPSHOT:
                self.snapshot()
            else:
                self.stopped = True
        return not self.stopped

    def _notify(self, event: Event) -> None:
        for watcher in self._watchers:
            watcher(event)
