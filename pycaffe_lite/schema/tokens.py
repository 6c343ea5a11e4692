"""The words of protobuf's text format: names, numbers, quoted strings and signs, without blanks and comments."""

from __future__ import annotations

import re
from typing import NamedTuple


class Token(NamedTuple):
    """One word, where it begins in the text, and what it is: name, number, string, sign, open, stray or end."""

    kind: str
    text: str
    offset: int


# A number is whatever begins like one; whether it is one depends on the field that it is for.
_TOKEN = re.compile(
    r"""(?:[ \t\r\n\v\f]+|\#[^\n]*)*
    (?: (?P<name> [A-Za-z_]\w*)
      | (?P<sign> [{}<>\[\]:,;-])
      | (?P<number> \.?\d (?: [eE][+-] | [\w.])*)
      | (?P<string> "[^"\\\n]*(?:\\.[^"\\\n]*)*" | '[^'\\\n]*(?:\\.[^'\\\n]*)*')
      | (?P<open> ["'][^\n]*)
      | (?P<stray> .)
      | (?P<end> \Z) )""",
    re.VERBOSE | re.ASCII | re.DOTALL,
)


def tokenize(text: str) -> list[Token]:
    """All tokens of a text, the last of them of kind `end`; `open` is a string that its line does not close."""
    tokens = []
    for m in _TOKEN.finditer(text):
        kind = m.lastgroup or "end"
        tokens.append(Token(kind, m[kind], m.start(kind)))
        if kind == "end":  # the search would find the empty end once more
            break
    return tokens
