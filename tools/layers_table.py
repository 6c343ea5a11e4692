"""Writes README's table of layers from the registry: python tools/layers_table.py; with --check it only compares.

What a layer computes is the first sentence of its module's docstring, its blobs the sentence of its class's that begins
with "Blobs:"; the rest are the class's facts.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import pycaffe_lite
from pycaffe_lite.layer import Layer
from pycaffe_lite.registry import find_layer

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
BEGIN, END = "<!-- layers: written by tools/layers_table.py -->\n", "<!-- end of layers -->\n"


def table() -> str:
    """All registered types, a row for each."""
    types = pycaffe_lite.layer_type_list()
    lines = [
        f"{len(types)} types, with the numbers of their bottoms and tops; in place, one blob may be both.",
        "",
        "| type | what it is | bottoms | tops | learnable blobs | in place | gradient |",
        "|---|---|---|---|---|---|---|",
        *(_row(name) for name in types),
    ]
    return "\n".join(lines) + "\n"


def what(name: str) -> str:
    """The first sentence about a layer, without its name and the paper's."""
    module = sys.modules[find_layer(name)[0].__module__]
    paragraph = " ".join(inspect.getdoc(module).split("\n\n")[0].split())  # type: ignore[union-attr]
    sentence = re.split(r"(?<!et al)\. |; ", paragraph)[0].rstrip(".:,")
    return re.sub(rf"^{name}( \([^)]*\d{{4}}\))?[:,]? ", "", sentence)


def blobs(name: str) -> str:
    """The learnable blobs as the docstring names them, or ''."""
    found = re.search(r"\bBlobs?: (.*?)(?:\.(?:\s|$)|$)", inspect.getdoc(find_layer(name)[0]) or "", re.DOTALL)
    return " ".join(found[1].split()) if found else ""


def _row(name: str) -> str:
    cls = find_layer(name)[0]
    module = sys.modules[cls.__module__]
    source = Path(str(module.__file__)).relative_to(ROOT).as_posix()
    cells = [
        f"[{name}]({source})",
        _plain(what(name)),
        str(cls.bottoms),
        "as bottoms" if cls.same_number else str(cls.tops),
        _plain(blobs(name)),
        "yes" if _may_run_in_place(cls) else "",
        "yes" if cls.has_backward else "none",
    ]
    return f"| {' | '.join(cells)} |"


def _may_run_in_place(cls: type[Layer]) -> bool:
    overridden = cls.may_run_in_place is not Layer.may_run_in_place
    return overridden and cls(None).may_run_in_place()


def _plain(text: str) -> str:
    """Text that Markdown leaves as it is."""
    return re.sub(r"([|*\\<>\[\]])", r"\\\1", text)


def main(arguments: list[str]) -> int:
    old = README.read_text(encoding="utf-8")
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        print(f"README.md lacks the lines between which the table belongs: {BEGIN.strip()} and {END.strip()}")
        return 1
    new = before + begin + table() + end + after
    if new == old:
        return 0
    if "--check" in arguments:
        print("README.md's table of layers is stale: run python tools/layers_table.py")
        return 1
    README.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
