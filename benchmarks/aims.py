"""What was aimed at, and which cases of results/compare.json fall short: the table in benchmarks/README.md."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from contenders.task import INFER, PASSES, TRAIN
from table import NAMES, OVERHEAD, RIVALS, ROOM, Measurement, markdown

HEADLINE = "lenet"
OF_PYTORCH, OF_SGEMM, OF_PYTORCH_ALONE = 2.0, 0.6, 3.0
"""A step of LeNet's batch: times as fast as PyTorch's, and its share of SGEMM's rate. And of nets whose time is the
interpreter's: and_gate, LeNet with one item.
"""
WITH_ROOM = 1.2
"""Times as fast as PyTorch where that stays below ROOM; elsewhere as fast."""
BVLC = {"lenet": 2.1, "caffenet": 1.6, "googlenet": 1.7}
"""What BVLC Caffe takes for forward and backward to the data with one thread, in multiples of the arithmetic's cost at
SGEMM's rate. Not measured here: it is what its own speed and SGEMM's were on another machine.
"""


@dataclass(frozen=True)
class Figure:
    """Something measured that there is an aim for."""

    what: str
    value: float
    at_best: float
    """The same of each side's fastest turn: turns that nobody else on the machine has slowed down."""
    aim: float
    most: bool = False
    """Whether the aim is the most that it should be, not the least."""

    @property
    def holds(self) -> bool:
        return self.value <= self.aim if self.most else self.value >= self.aim


def figures(m: Measurement) -> Iterator[Figure]:
    """Those of a measurement."""
    net, mode, contenders = m["net"], m["mode"], m["contenders"]
    best, limit = {name: contender["best_ms"] for name, contender in contenders.items()}, m["limit_best_ms"]
    if mode == PASSES:
        if m["threads"] == 1 and net in BVLC:
            value = 1 / contenders["numpy"]["of_limit"]
            yield Figure("numpy, times its arithmetic", value, best["numpy"] / limit, BVLC[net], most=True)
        return
    for rival in RIVALS:
        if (ratio := m["times_as_fast"].get(f"onednn / {rival}")) is not None:
            aim = _of_pytorch(m) if rival == "pytorch" else 1.0
            yield Figure(f"times as fast as {NAMES[rival]}", ratio, best[rival] / best["onednn"], aim)
    if (mode, net) == (TRAIN, HEADLINE) and m["batch"] > 1 and "onednn" in contenders:
        yield Figure("of SGEMM's rate", contenders["onednn"]["of_limit"], limit / best["onednn"], OF_SGEMM)


def _of_pytorch(m: Measurement) -> float:
    """How many times as fast as PyTorch it should be."""
    if m["mode"] == TRAIN and m["net"] in (OVERHEAD, HEADLINE):
        return OF_PYTORCH if m["net"] == HEADLINE and m["batch"] > 1 else OF_PYTORCH_ALONE
    return WITH_ROOM if m["contenders"]["pytorch"]["of_limit"] < ROOM else 1.0


def table(measured: list[Measurement]) -> str:
    """Markdown: the cases that fall short, and how many there are."""
    rows: dict[tuple[str, ...], list[Figure]] = {}
    for m in measured:
        mode = {TRAIN: "training", INFER: "use", PASSES: "both passes"}[m["mode"]]
        for figure in figures(m):
            rows.setdefault((m["net"], mode, str(m["batch"]), figure.what), []).append(figure)
    everything = [figure for row in rows.values() for figure in row]
    short = {key: row for key, row in rows.items() if not all(figure.holds for figure in row)}
    lines = [[*key, " / ".join(map(_cell, row)), _at_best(row), _aims(row)] for key, row in short.items()]
    count = sum(figure.holds for figure in everything)
    head = ["net", "mode", "batch", "figure", "measured", "fastest turns", "aim"]
    return f"{count} of {len(everything)} figures reach their aim. The others, in bold:\n\n" + markdown(head, lines)


def _cell(figure: Figure) -> str:
    return f"{figure.value:.2f}" if figure.holds else f"**{figure.value:.2f}**"


def _at_best(row: list[Figure]) -> str:
    return " / ".join(f"{figure.at_best:.2f}" for figure in row)


def _aims(row: list[Figure]) -> str:
    return " / ".join(dict.fromkeys(f"{figure.aim:.1f}" for figure in row))
