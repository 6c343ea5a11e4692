"""What the words of protobuf's text format stand for: numbers and strings, as C++ protobuf reads them."""

from __future__ import annotations

import re

_INTEGER = re.compile(r"(0[xX][0-9a-fA-F]+)|(0[0-7]*)|[1-9]\d*", re.ASCII)
_FLOAT = re.compile(r"((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)[fF]?", re.ASCII)
_WORDS = ("inf", "infinity", "nan")
BOOLS = {"true": True, "True": True, "t": True, "1": True, "false": False, "False": False, "f": False, "0": False}


def integer(text: str, minus: bool, low: int, high: int) -> int | None:
    """A decimal, octal (`010`) or hexadecimal integer; None if it is none, or not from low to high."""
    m = _INTEGER.fullmatch(text)
    if m is None or len(text) > 24:  # Python refuses to convert very long numbers
        return None
    value = int(text, 16 if m[1] else 8 if m[2] else 10) * (-1 if minus else 1)
    return value if low <= value <= high else None


def floating(text: str, minus: bool) -> float | None:
    """A decimal number, `inf` or `nan`; None if it is none."""
    m = _FLOAT.fullmatch(text)
    digits = m[1] if m else text if text.lower() in _WORDS else None
    return None if digits is None else float(digits) * (-1 if minus else 1)


_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_PLAIN = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_PLAIN |= {c: c for c in (b"\\", b"'", b'"', b"?")}


def unquote(quoted: str) -> bytes:
    """The bytes that a string token stands for; ValueError with the escape in it when there is no such escape."""
    raw = quoted[1:-1].encode("utf-8", "surrogateescape")
    return _ESCAPE.sub(_unescape, raw) if b"\\" in raw else raw


def _unescape(m: re.Match[bytes]) -> bytes:
    octal, hexa, short, long, plain = m.groups()
    if octal is not None and int(octal, 8) < 256:
        return bytes([int(octal, 8)])
    if hexa is not None:
        return bytes([int(hexa, 16)])
    code = short or long
    if code is not None and int(code, 16) <= 0x10FFFF and not 0xD800 <= int(code, 16) <= 0xDFFF:
        return chr(int(code, 16)).encode()
    if plain in _PLAIN:
        return _PLAIN[plain]
    raise ValueError(m[0].decode("utf-8", "replace"))
