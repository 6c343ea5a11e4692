"""Tab completion for plain Python's prompt: attributes, as usual, and the keys of dictionaries by name."""

from __future__ import annotations

import re
import rlcompleter
from collections.abc import Mapping
from typing import Any

DELIMITERS = " \t\n;,=+*%(){}<>&|^~!"
"""Where a word to complete begins. Brackets, quotes, '-' and '/' belong to words: blob names have them."""

_STEP = r"""\.\w+|\[(?:'[^']*'|"[^"]*"|-?\d+)\]"""
_CHAIN = rf"[A-Za-z_]\w*(?:{_STEP})*"
_KEY = re.compile(rf"(.*?)({_CHAIN})\[(['\"]?)([^'\"\]]*)")
_ATTRIBUTE = re.compile(rf"(.*?)({_CHAIN})\.(\w*)")


class Completer:
    """For `readline.set_completer`; evaluates only names, attributes and constant subscripts."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self._namespace = namespace
        self._matches: list[str] = []

    def __call__(self, text: str, state: int) -> str | None:
        if state == 0:
            self._matches = self.matches(text)
        return self._matches[state] if state < len(self._matches) else None

    def matches(self, text: str) -> list[str]:
        """All that `text` can become."""
        if not text:
            return ["    "]
        try:
            if found := _KEY.fullmatch(text):
                before, chain, quote, start = found.groups()
                head, quote = f"{before}{chain}[", quote or "'"
                return [f"{head}{quote}{k}{quote}]" for k in _keys(self._value(chain)) if k.startswith(start)]
            if found := _ATTRIBUTE.fullmatch(text):
                before, chain, start = found.groups()
                private = start.startswith("_")
                return [
                    f"{before}{chain}.{name}"
                    for name in dir(self._value(chain))
                    if name.startswith(start) and name.startswith("_") == private
                ]
        except Exception:  # the user's names may do anything; there is nothing to complete then
            return []
        return list(rlcompleter.Completer(self._namespace).global_matches(text))

    def _value(self, chain: str) -> Any:
        name = re.split(r"[.\[]", chain, maxsplit=1)[0]
        value = self._namespace[name]
        for step in re.findall(_STEP, chain[len(name) :]):
            if step[0] == ".":
                value = getattr(value, step[1:])
            else:
                key = step[1:-1]
                value = value[key[1:-1] if key[0] in "'\"" else int(key)]
        return value


def _keys(value: Any) -> list[str]:
    return [k for k in value if isinstance(k, str)] if isinstance(value, Mapping) else []
