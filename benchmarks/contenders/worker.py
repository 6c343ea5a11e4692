"""A contender's own process: builds it, then does what the lines on its standard input say, and answers in JSON.

    run COUNT        -> seconds
    settle           -> null, as soon as all its threads sleep
    reshape BATCH    -> null
    results PATH     -> null; writes them as .npz
    memory           -> peak, in bytes

python worker.py CONTENDER TASK: a module of this folder, and a Task as JSON; `workers.Worker` starts it.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable

import numpy as np
from measure import peak_memory, settle

from contenders.task import Contender, Task


def answer(contender: Contender, clock: Callable[[], float], command: str, argument: str) -> float | None:
    if command == "run":
        before = clock()
        contender.run(int(argument))
        return clock() - before
    if command == "memory":
        return peak_memory()
    if command == "settle":
        settle()
    elif command == "reshape":
        contender.reshape(int(argument))
    elif command == "results":
        np.savez(argument, **contender.results())
    else:
        raise ValueError(f"Unknown command {command!r}")
    return None


def keep_to_cores(count: int) -> None:
    """Run on so many, the same ones in every process: a core may be slower than another for as long as somebody else
    uses it too, and a process stays where it is.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-count:])


def main() -> None:
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no reply
    task = Task(**json.loads(sys.argv[2]))
    keep_to_cores(task.threads)
    contender = importlib.import_module(f"contenders.{sys.argv[1]}").Contender(task)
    clock = getattr(time, task.clock)
    print("null", file=replies, flush=True)
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        print(json.dumps(answer(contender, clock, command, argument)), file=replies, flush=True)


if __name__ == "__main__":
    main()
