"""README's tables of speed, from results/compare.json."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from contenders.task import INFER, PASSES, REUSE, TRAIN
from measure import RESULTS

RESULT = RESULTS / "compare.json"
BEGIN, END = "<!-- speed: written by benchmarks/compare.py --table -->\n", "<!-- end of speed -->\n"
NAMES = {"onednn": "oneDNN", "numpy": "numpy", "pytorch": "PyTorch", "opencv": "OpenCV", "onnxruntime": "onnxruntime"}
RIVALS = ("pytorch", "opencv", "onnxruntime")

ROOM = 0.8
"""Of SGEMM's rate: below it there is something to gain."""
OVERHEAD = "and_gate"
"""The net whose time is the interpreter's."""

Measurement = dict[str, Any]
Row = list[Measurement]
"""One net, batch and mode, with each number of threads."""


def tables(result: dict[str, Any]) -> str:
    """Markdown for all that was measured."""
    measured: list[Measurement] = result["measurements"]
    use = [m for m in measured if m["mode"] == INFER]
    least = {m["net"]: min(n["batch"] for n in use if n["net"] == m["net"]) for m in use}
    parts = [
        _about(result),
        _table("a training step", [m for m in measured if m["mode"] == TRAIN]),
        _table("use, one item", [m for m in use if m["batch"] == least[m["net"]]]),
        _table("use, a batch", [m for m in use if m["batch"] != least[m["net"]]]),
        _passes([m for m in measured if m["mode"] == PASSES]),
        _summary(measured),
    ]
    return "\n".join(filter(None, parts))


def _about(result: dict[str, Any]) -> str:
    versions = ", ".join(f"{package} {version}" for package, version in result["versions"].items())
    machine = result["machine"]
    threads = sorted({m["threads"] for m in result["measurements"]})
    return (
        f"{result['date']}, commit {result['commit']}, {machine['cpu']}, {machine['cores']} cores; {versions}. "
        f"Numbers side by side are those with {' and '.join(map(str, threads))} thread{'s' * (threads[-1] > 1)}.\n"
    )


def _rows(measured: list[Measurement]) -> list[Row]:
    rows: dict[tuple[str, int], Row] = {}
    for m in measured:
        rows.setdefault((m["net"], m["batch"]), []).append(m)
    return list(rows.values())


def _table(title: str, measured: list[Measurement]) -> str:
    if not measured:
        return ""
    present = [name for name in NAMES if any(name in m["contenders"] for m in measured)]
    rivals = [name for name in present if name not in ("onednn", "numpy")]
    columns: dict[str, Callable[[Measurement], str]] = {}
    for name in present:
        columns[f"{NAMES[name]}, ms"] = lambda m, name=name: _number(m["contenders"][name]["ms"])
    for name in rivals:
        columns[f"times as fast as {NAMES[name]}"] = (
            lambda m, name=name: f"{m['times_as_fast'][f'onednn / {name}']:.2f}"
        )
    columns["of SGEMM's rate"] = lambda m: f"{100 * m['contenders']['onednn']['of_limit']:.0f} %"
    columns["peak MB"] = lambda m: str(m["contenders"]["onednn"]["peak_mb"])
    columns["PyTorch's"] = lambda m: str(m["contenders"]["pytorch"]["peak_mb"])
    head = [title, "batch", *columns]
    lines = [[r[0]["net"], str(r[0]["batch"]), *(_cell(r, show) for show in columns.values())] for r in _rows(measured)]
    return markdown(head, lines)


def _passes(measured: list[Measurement]) -> str:
    if not measured:
        return ""
    title = "numpy: forward and backward to the data"
    columns: dict[str, Callable[[Measurement], str]] = {
        "ms": lambda m: _number(m["contenders"]["numpy"]["ms"]),
        "times its arithmetic at SGEMM's rate": lambda m: f"{1 / m['contenders']['numpy']['of_limit']:.2f}",
    }
    lines = [[r[0]["net"], str(r[0]["batch"]), *(_cell(r, show) for show in columns.values())] for r in _rows(measured)]
    return markdown([title, "batch", *columns], lines)


def _summary(measured: list[Measurement]) -> str:
    """How often the engine is ahead, and by how much."""
    rates = [m["sgemm_gflops"] for m in measured]
    lines = [f"SGEMM ran at {min(rates):.0f} to {max(rates):.0f} GFLOP/s."]
    trained = [m for m in measured if m["mode"] == TRAIN and "onednn / pytorch" in m["times_as_fast"]]
    for where, is_there in (("below", lambda of: of < ROOM), ("above", lambda of: of >= ROOM)):
        some = [m for m in trained if is_there(m["contenders"]["pytorch"]["of_limit"])]
        ratios = [m["times_as_fast"]["onednn / pytorch"] for m in some]
        if ratios:
            span, cases = f"{min(ratios):.2f} to {max(ratios):.2f}", f"{len(ratios)} cases"
            if len(ratios) == 1:
                span, cases = f"{ratios[0]:.2f}", "1 case"
            rate = f"{where} {100 * ROOM:.0f} % of that"
            lines.append(f"Where PyTorch trains {rate}, oneDNN's step is {span} times as fast ({cases}).")
    used = [m for m in measured if m["mode"] == INFER and m["net"] != OVERHEAD]
    ahead = []
    for name in RIVALS:
        ratios = [ratio for m in used if (ratio := m["times_as_fast"].get(f"onednn / {name}")) is not None]
        if ratios:
            ahead.append(f"of {NAMES[name]} in {sum(ratio > 1 for ratio in ratios)} of {len(ratios)} cases")
    if ahead:
        lines.append(f"In use, {OVERHEAD} apart, oneDNN is ahead {', '.join(ahead)}.")
    variants = [m["contenders"].get("onednn", {}).get("variant", "") for m in used]
    if reusing := sum(REUSE in variant for variant in variants):
        lines.append(f"There its nets were faster with {REUSE}=True in {reusing} of {len(used)} cases.")
    return "\n".join(lines) + "\n"


def _cell(row: Row, show: Callable[[Measurement], str]) -> str:
    """What there is for each number of threads; a contender that took no part leaves a gap."""
    return " / ".join(_try(m, show) for m in row)


def _try(measurement: Measurement, show: Callable[[Measurement], str]) -> str:
    try:
        return show(measurement)
    except KeyError:
        return "-"


def _number(milliseconds: float) -> str:
    if milliseconds < 9.95:
        return f"{milliseconds:.2g}" if milliseconds < 0.0995 else f"{milliseconds:.2f}"
    return f"{milliseconds:.1f}" if milliseconds < 99.95 else f"{milliseconds:,.0f}"


def markdown(head: list[str], lines: list[list[str]]) -> str:
    """A table, its first column to the left and the others, mostly numbers, to the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, rule, *lines))


def write(path: Path, made: str) -> bool:
    """Write this between the two lines in a file; False, and it is printed, if the file lacks these."""
    old = path.read_text(encoding="utf-8")
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        print(made)
        return False
    path.write_text(before + begin + made + end + after, encoding="utf-8")
    return True
