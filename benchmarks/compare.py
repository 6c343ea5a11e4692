"""pycaffe-lite beside PyTorch, OpenCV and onnxruntime: the same nets, the same weights, the same threads, in turn.

    pip install -r benchmarks/requirements.txt
    python benchmarks/compare.py                  # all nets with one and two threads: about 30 minutes
    python benchmarks/compare.py lenet --threads 1 --budget 5 --output trial.json
    python benchmarks/compare.py --table          # only writes the READMEs' tables anew from results/compare.json

Every contender has a process of its own; they work in turns, never two at once, in several rounds, each in the other
order than the one before and with the machine's own SGEMM among them, on the same cores, as many as there are threads.
Ratios are medians over rounds of what one round has measured. Before anything is timed the contenders must agree on
outputs, loss and what a step learns.

Of a contender's variants the one with the smaller median counts: PyTorch's two memory formats; in use, our nets with
and without reuse_memory=True.

Training is a step: forward, backward, update (SGD with momentum and weight decay), the batch lying ready. Use is a
forward pass of one item, and of as many as a training batch has. "passes" is forward and backward to the data.
The limit is what the net's multiply-adds would take at the rate of SGEMM: forward, and in training the gradients of
weights and of all blobs but the data ("passes": of the data too); nothing else is counted.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import aims
import table
from contenders.agreement import check_outputs, check_training
from contenders.task import INFER, PASSES, TRAIN, Task
from contenders.workers import CONTENDERS, Worker, start
from measure import ROOT, Gemm, about, child, median, write

NETS = "and_gate lenet cifar10_quick resnet20 squeezenet caffenet googlenet resnet50 mobilenet vgg16".split()
BVLC = ("lenet", "caffenet", "googlenet")
"""Nets of which is known what BVLC Caffe takes for `passes`."""
PACKAGES = ("torch", "opencv-python-headless", "onnxruntime", "onednn-cpu-gomp", "numpy")
ONLINE = ("lenet",)
"""Nets that are also trained with one item at a time: the interpreter's overhead counts most there."""
SLOW, SLOW_ROUNDS = ("vgg16",), 3
"""Nets of which few rounds are run, whatever --rounds says."""
TURN = 0.06
"""Seconds that a turn takes at least, in whole iterations."""
MOST_ROUNDS = 25
TRIALS = 4
"""Turns by which variants are found that take more than CLOSE times as long as another, and do not run."""
CLOSE = 1.2
LIMIT = "sgemm"


def compare(net: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """All measurements of a net."""
    modes = [mode for mode in args.modes if mode != PASSES or net in BVLC]
    rounds = min(args.rounds, SLOW_ROUNDS) if net in SLOW else args.rounds
    clock = "process_time" if args.processor_time else "perf_counter"
    measured = []
    with tempfile.TemporaryDirectory() as folder:
        prepared = child(str(ROOT / "benchmarks/contenders/prepare.py"), net, folder)
        if TRAIN in modes:
            difference = check_training(folder, min(2, prepared["batch"]), max(args.threads), args.only)
            print(f"{net}: contenders learn the same within {difference:.0e}", flush=True)
        for mode in modes:
            for threads in args.threads:
                task = Task(folder, mode, prepared["batch"], threads, clock=clock)
                workers = [Worker(LIMIT, "sgemm", task), *start(task, args.only)]
                for batch in batches(net, mode, prepared["batch"]):
                    for worker in workers:
                        worker.ask("reshape", batch)
                    result = race(workers, mode, 2 * batch * prepared[mode], args.budget, rounds)
                    measured.append({"net": net, "mode": mode, "batch": batch, "threads": threads, **result})
                    print(line(measured[-1]), flush=True)
                for worker in workers:
                    worker.close()
    return measured


def batches(net: str, mode: str, batch: int) -> list[int]:
    """How many items each measurement has, if those of a training step are `batch`."""
    return [1, batch] if mode == INFER or (mode == TRAIN and net in ONLINE) else [batch]


def race(workers: list[Worker], mode: str, flop: float, budget: float, rounds: int) -> dict[str, Any]:
    """Let the workers run in turns for about `budget` seconds, and `rounds` rounds at least."""
    turns = [Turns(worker, count) for worker, count in try_out(workers)]
    if mode == INFER:
        check_outputs([turn.worker for turn in turns if turn.worker.name != LIMIT])
    start_time, round_ = time.perf_counter(), 0
    while round_ < rounds or (round_ < MOST_ROUNDS and time.perf_counter() - start_time < budget):
        for turn in reversed(turns) if round_ % 2 else turns:
            turn.take()
        round_ += 1
    best: dict[str, Turns] = {}
    for turn in turns:
        name = turn.worker.name
        best[name] = min(best.get(name, turn), turn, key=lambda turn: median(turn.seconds))
    limit = best.pop(LIMIT).seconds
    limits = [flop / Gemm.rate(taken) for taken in limit]
    return {
        "rounds": round_,
        "sgemm_gflops": round(Gemm.rate(median(limit)) / 1e9, 1),
        "gflop": flop / 1e9,
        "limit_ms": median(limits) * 1e3,
        "limit_best_ms": min(limits) * 1e3,
        "contenders": {
            name: {
                "ms": median(turn.seconds) * 1e3,
                "best_ms": min(turn.seconds) * 1e3,
                "peak_mb": round(turn.worker.ask("memory") / 1e6),
                "variant": turn.worker.variant,
                "of_limit": ratio(limits, turn.seconds),
            }
            for name, turn in best.items()
        },
        "times_as_fast": {
            f"{mine} / {rival}": ratio(best[rival].seconds, best[mine].seconds)
            for mine in ("onednn", "numpy")
            for rival in best
            if mine in best and rival != mine
        },
    }


def ratio(a: list[float], b: list[float]) -> float:
    """The median of what rounds say."""
    return median([x / y for x, y in zip(a, b, strict=True)])


class Turns:
    """A worker's, of so many iterations each, and the seconds that one of them took."""

    def __init__(self, worker: Worker, count: int) -> None:
        self.worker, self._count = worker, count
        self.seconds: list[float] = []

    def take(self) -> None:
        self.seconds.append(self.worker.turn(self._count))


def try_out(workers: list[Worker]) -> list[tuple[Worker, int]]:
    """Those that are to run, with how many iterations a turn has."""
    once = [min(worker.turn(1) for _ in range(2)) for worker in workers]
    trials = [[seconds] for seconds in once]
    for _ in range(TRIALS):
        for worker, seconds, taken in zip(workers, once, trials, strict=True):
            if seconds <= TURN:
                taken.append(worker.turn(max(1, round(TURN / seconds))))
    least = [min(taken[1:] or taken) for taken in trials]  # the first of several turns was a cold one
    fastest: dict[str, float] = {}
    for worker, taken in zip(workers, least, strict=True):
        fastest[worker.name] = min(taken, fastest.get(worker.name, taken))
    return [
        (worker, max(1, round(TURN / taken)))
        for worker, taken in zip(workers, least, strict=True)
        if taken <= CLOSE * fastest[worker.name]
    ]


def line(result: dict[str, Any]) -> str:
    head = f"{result['net']} {result['mode']} batch {result['batch']} threads {result['threads']}"
    times = ", ".join(f"{name} {c['ms']:.4g} ms" for name, c in result["contenders"].items())
    ratios = ", ".join(f"{pair} {ratio:.2f}" for pair, ratio in result["times_as_fast"].items() if "onednn /" in pair)
    share = "".join(f"; {c['of_limit']:.0%} of SGEMM" for n, c in result["contenders"].items() if n in ("onednn",))
    return f"{head}: {times}; {ratios}{share}"


def versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "none"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("nets", nargs="*", metavar="NET", default=NETS, help="which nets (default all)")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], metavar="N")
    parser.add_argument("--modes", nargs="+", choices=[TRAIN, INFER, PASSES], default=[TRAIN, INFER, PASSES])
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS), help="which contenders")
    parser.add_argument("--budget", type=float, default=6, metavar="S", help="seconds for each measurement (default 6)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds at least (default 5)")
    parser.add_argument(
        "--processor-time", action="store_true", help="for trials on a busy machine, with one thread: not wall time"
    )
    parser.add_argument(
        "--output", type=Path, default=table.RESULT, metavar="JSON", help="default results/compare.json"
    )
    parser.add_argument("--table", action="store_true", help="measure nothing, write the READMEs' tables")
    args = parser.parse_args()
    if args.table:
        result = json.loads(table.RESULT.read_text(encoding="utf-8"))
        table.write(ROOT / "README.md", table.tables(result))
        table.write(ROOT / "benchmarks/README.md", aims.table(result["measurements"]))
        return
    start_time, measured = time.perf_counter(), []
    for net in args.nets:
        measured += compare(net, args)
        write(args.output, {**about(), "versions": versions(), "measurements": measured})
    print(f"{time.perf_counter() - start_time:.0f} s")


if __name__ == "__main__":
    main()
