"""Passes: a built network's layers, run forward and backward."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pycaffe_lite import _debug_info
from pycaffe_lite.blob import Blob, Side
from pycaffe_lite.errors import CaffeError, GraphError
from pycaffe_lite.graph.again import Note, Repeats, loss_of
from pycaffe_lite.graph.build import Graph, check_shapes, reshape, settle
from pycaffe_lite.graph.chains import Chains
from pycaffe_lite.graph.names import Calls
from pycaffe_lite.graph.plan import Node
from pycaffe_lite.graph.steps import Steps
from pycaffe_lite.proto import caffe_pb2 as pb

Callback = Callable[[int], object]
"""Called with a layer's index."""


@dataclass
class Callbacks:
    """What to call around each layer's passes."""

    before_forward: list[Callback] = field(default_factory=list)
    after_forward: list[Callback] = field(default_factory=list)
    before_backward: list[Callback] = field(default_factory=list)
    after_backward: list[Callback] = field(default_factory=list)

    @property
    def any(self) -> bool:
        """Whether there is anything to call."""
        return bool(self.before_forward or self.after_forward or self.before_backward or self.after_backward)

    def of(self, what: Side) -> tuple[list[Callback], list[Callback]]:
        """Before and after each layer, in the pass that computes data, or diffs."""
        if what == "data":
            return self.before_forward, self.after_forward
        return self.before_backward, self.after_backward


class Passes:
    """Of a graph's nodes in one phase; they are given by their index.

    Layers run one by one where somebody watches, by callbacks or debug_info. Otherwise some run in others' passes
    (Chains), and a pass that is like the one before is done again without asking the layers (Repeats, Steps).
    """

    def __init__(self, graph: Graph, phase: int) -> None:
        nodes, reuse = graph.nodes, graph.reuse
        self._nodes, self._learnable, self._reuse = nodes, graph.params, reuse
        self._has_users_layers = any(node.always_reshape for node in nodes)
        self.callbacks = Callbacks()
        self.debug_info = False
        """Whether passes log the mean absolute values of all that they compute."""
        self._checked = (-1, 0, 0)
        """Blob.changes, start and end, when backward passes last found the shapes of forward passes."""
        self.chains = Chains(nodes, reuse)
        self.repeats: Repeats | None = None
        self.steps: Steps | None = None
        if nodes and not self._has_users_layers:
            if phase == pb.TEST:
                self.repeats = Repeats(nodes, self.chains.all, reuse)
            elif not any(node.bottom_weights for node in nodes):
                self.steps = Steps(nodes, self.chains.all, self.chains.all_backward)
        self._names = graph.names

    def forward_as_named(self, start: int, end: int) -> None:
        """As `forward`, for those who ask by name: whatever layers have of their own, a name is one memory."""
        if self._names is None:
            self.forward(start, end)
            return
        with self._names.one_memory("data", start, end):
            self.forward(start, end)

    def backward_as_named(self, start: int, end: int) -> None:
        """As `backward`, for those who ask by name."""
        if self._names is None:
            self.backward(start, end)
            return
        with self._names.one_memory("diff", end, start):
            self.backward(start, end)

    def forward(self, start: int, end: int) -> float:
        """Run layers start to end (indices, both included); returns the weighted loss of their tops."""
        nodes = self._nodes[start : end + 1] if self._is_watched else self.chains.between(start, end)
        repeats = self.repeats
        if repeats is None or nodes is not self.chains.all:
            return self._run_forward(nodes, None)
        done, loss = repeats.run()
        if done == len(nodes):
            return loss
        notes = None if done else repeats.notes()
        loss += self._run_forward(nodes[done:], notes)
        if notes is not None:
            repeats.keep(notes)
        return loss

    def backward(self, start: int, end: int) -> None:
        """Run the backward passes of layers start down to end (indices, both included) that need one. Raises ShapeError
        where blobs have been reshaped since the last forward pass.
        """
        if self._reuse is not None:
            raise GraphError("A net with reuse_memory=True has no backward pass", hint="Build it without.")
        self._check_shapes(start, end)
        nodes = self._nodes[end : start + 1][::-1] if self._is_watched else self.chains.backward(start, end)
        self._run_backward(nodes, None)
        if self.debug_info and (start, end) == (len(self._nodes) - 1, 0):
            with np.errstate(all="ignore"):
                _debug_info.log_all_params(self._learnable)

    def _check_shapes(self, start: int, end: int) -> None:
        """Raise ShapeError where the backward passes of these would meet other shapes than forward passes did."""
        if self._checked == (asked := (Blob.changes, start, end)):
            return
        for node in self._nodes[end : start + 1]:
            if node.need_backward and not node.always_reshape:
                try:
                    check_shapes(node)
                except CaffeError as e:
                    raise node.spec.blame(e) from e.__cause__
        self._checked = asked

    def forward_backward(self) -> float:
        """Both passes through all layers; returns the weighted loss."""
        if self._names is None:
            return self._run_both()
        with self._names.one_memory("diff", 0, len(self._nodes) - 1):
            return self._run_both()

    def _run_both(self) -> float:
        steps, last = self.steps, len(self._nodes) - 1
        if steps is None or self._is_watched:
            loss = self.forward(0, last)
            self.backward(last, 0)
            return loss
        done, loss = steps.run()
        forward, backward = steps.left(done)
        if not (forward or backward):
            return loss
        notes = None if done else steps.notes()
        loss += self._run_forward(forward, notes)
        self._run_backward(backward, notes)
        if notes is not None:
            steps.keep(notes)
        return loss

    @property
    def runs_others_code(self) -> bool:
        """Whether a pass calls back, or runs Python layers."""
        return self._has_users_layers or self.callbacks.any

    def forget(self) -> None:
        """What was noted of the last passes: shapes may change."""
        for repeats in (self.repeats, self.steps):
            if repeats is not None:
                repeats.forget()

    @property
    def _is_watched(self) -> bool:
        """Whether somebody is told about layer by layer."""
        return self.debug_info or self.callbacks.any

    def _users_errors(self) -> dict[str, Any]:
        """What numpy is to do about errors in users' layers."""
        return dict(np.geterr()) if self._has_users_layers else {}

    def _run_forward(self, nodes: Sequence[Node], notes: list[Note] | None) -> float:
        """Run these nodes; returns their loss, and in `notes` what they did."""
        loss, reuse, errors = 0.0, self._reuse, self._users_errors()
        before, after = self._calls("data")
        with np.errstate(all="ignore"):  # infinity and NaN come out where they do in C
            for node in nodes:
                for call in before:
                    call(node.index)
                if reuse is not None:
                    reuse.before_layer(node)
                try:
                    if node.always_reshape:
                        _forward_as_its_author_expects(node, errors)
                    else:
                        if node.settled_at != Blob.changes:
                            settle(node)
                        did = node.layer.forward(node.bottoms, node.tops)
                        if notes is not None:
                            notes.append(Note.of_forward(node, did))
                except CaffeError as e:
                    raise node.spec.blame(e) from e.__cause__
                if self.debug_info:
                    _debug_info.log_forward(node, self._learnable)
                if node.losses:
                    loss += loss_of(node)
                for call in after:
                    call(node.index)
        return loss

    def _run_backward(self, nodes: Sequence[Node], notes: list[Note] | None) -> None:
        """Run the backward passes of these nodes that need one; in `notes` what they did."""
        errors = self._users_errors()
        before, after = self._calls("diff")
        with np.errstate(all="ignore"):
            for node in nodes:
                for call in before:
                    call(node.index)
                if node.need_backward:
                    try:
                        if node.always_reshape:
                            _backward_as_its_author_expects(node, errors)
                        else:
                            did = node.layer.backward(node.tops, node.propagate_down, node.bottoms)
                            if notes is not None:
                                notes.append(Note.of_backward(node, did))
                    except CaffeError as e:
                        raise node.spec.blame(e) from e.__cause__
                    for i, weight in node.bottom_weights:
                        node.bottoms[i].diff[...] += weight
                    if self.debug_info:
                        _debug_info.log_backward(node)
                for call in after:
                    call(node.index)

    def _calls(self, what: Side) -> tuple[Calls, Calls]:
        """What is called before and after each layer in the pass that computes data, or diffs."""
        before, after = self.callbacks.of(what)
        return (before, after) if self._names is None else self._names.around(what, before, after)


def _forward_as_its_author_expects(node: Node, errors: Mapping[str, Any]) -> None:
    """A user's layer is reshaped each time, works on copies where it may not work in place, and warns as usual."""
    reshape(node)
    for i, original in node.copies:
        node.bottoms[i].data[...] = original.data
    with np.errstate(**errors), node.spec.noted("forward"):
        node.layer.forward(node.bottoms, node.tops)


def _backward_as_its_author_expects(node: Node, errors: Mapping[str, Any]) -> None:
    with np.errstate(**errors), node.spec.noted("backward"):
        node.layer.backward(node.tops, node.propagate_down, node.bottoms)
    for i, original in node.copies:
        if node.propagate_down[i]:
            original.diff[...] = node.bottoms[i].diff
