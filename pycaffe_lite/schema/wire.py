"""Protobuf's wire format, as far as Caffe's files need it: walking the fields of a message, and writing them.

Nothing beyond the given bytes is ever touched: a field that claims more raises ParseError, naming the byte.
"""

from __future__ import annotations

from typing import NamedTuple

from pycaffe_lite.errors import ParseError

VARINT, I64, LEN, GROUP, END_GROUP, I32 = range(6)


class WireField(NamedTuple):
    """One field as it stands in the bytes: its content from byte `start` to `stop`, or, of kind VARINT, its `value`.

    `tag` is the place of its first byte.
    """

    number: int
    kind: int
    value: int
    start: int
    stop: int
    tag: int


def varint(data: memoryview, at: int, stop: int) -> tuple[int, int]:
    """The unsigned number at byte `at`, and where the next thing begins."""
    value = shift = 0
    begin = at
    while at < stop:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & (2**64 - 1), at
        shift += 7
        if shift >= 70:
            raise ParseError(f"The number at byte {begin} is longer than ten bytes")
    raise ParseError(f"The message ends at byte {stop}, within the number that begins at byte {begin}")


def signed(value: int) -> int:
    """A varint as the int32 or int64 that it stands for."""
    return value - 2**64 if value >= 2**63 else value


class Walk:
    """Iterates over the fields of the message in these bytes, in file order.

    Groups, which Caffe never had, are stepped over. `at` is where the next field begins; it may be moved on. Raises
    ParseError at the byte where the message ends too early or is no message.
    """

    def __init__(self, data: memoryview, start: int = 0, stop: int | None = None) -> None:
        self.at = start
        self._data = data
        self._stop = len(data) if stop is None else stop
        self._groups: list[int] = []

    def __iter__(self) -> Walk:
        return self

    def __next__(self) -> WireField:
        while self.at < self._stop:
            field = self._step()
            if field.kind == GROUP:
                self._groups.append(field.number)
            elif field.kind == END_GROUP:
                if not self._groups or self._groups.pop() != field.number:
                    raise ParseError(f"A group (field {field.number}) ends at byte {field.tag} and never began")
            elif not self._groups:
                return field
        if self._groups:
            raise ParseError(f"The message ends at byte {self._stop}, within the group of field {self._groups[-1]}")
        raise StopIteration

    def _step(self) -> WireField:
        data, stop, tag = self._data, self._stop, self.at
        key, at = varint(data, tag, stop)
        number, kind = key >> 3, key & 7
        if number == 0 or number >= 2**29 or kind > I32:
            raise ParseError(f"There is no field at byte {tag} (number {number}, wire type {kind})")
        value = size = 0
        if kind == VARINT:
            value, self.at = varint(data, at, stop)
        else:
            if kind == LEN:
                size, at = varint(data, at, stop)
            elif kind in (I32, I64):
                size = 4 if kind == I32 else 8
            if size > stop - at:
                raise ParseError(
                    f"The message ends at byte {stop}; field {number}, at byte {tag}, needs {size} bytes and "
                    f"{stop - at} are left"
                )
            self.at = at + size
        return WireField(number, kind, value, at, self.at, tag)


def put_varint(value: int) -> bytes:
    """A number as varint; negative ones as protobuf's int32 and int64."""
    value &= 2**64 - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def put_head(number: int, size: int) -> bytes:
    """What stands before the `size` bytes of a length-delimited field."""
    return put_varint(number << 3 | LEN) + put_varint(size)
