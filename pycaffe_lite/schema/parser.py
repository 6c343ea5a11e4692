"""Text into a message, as C++ protobuf's TextFormat reads it, with the place of every field.

google.protobuf's own parser says where it failed in words only, forgets all places once it is done, and refuses numbers
that Caffe takes (octal `010`, `.5f`). This one fills the same messages in one pass.
"""

from __future__ import annotations

from typing import Any, NoReturn

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from pycaffe_lite.errors import ParseError, did_you_mean, shortened
from pycaffe_lite.schema.fields import FLOATS, INTEGERS, Field, Fields, fields_of
from pycaffe_lite.schema.literals import BOOLS, floating, integer, unquote
from pycaffe_lite.schema.positions import Positions
from pycaffe_lite.schema.tokens import Token, tokenize

_CLOSERS = {"{": "}", "<": ">"}


class Parser:
    """Reads one text into one message; `offsets` tells where the fields are, by path."""

    def __init__(self, text: str, file: str) -> None:
        self._tokens = tokenize(text)
        self._next = 0
        self._places = Positions(file, text)
        self.offsets: dict[str, int] = {}

    def parse(self, message: Message) -> None:
        """Fill the message; ParseError at the first thing that is wrong."""
        self._body(message, (fields_of(message.DESCRIPTOR),), "", None)

    def _fail(self, found: str, token: Token, hint: str = "") -> NoReturn:
        raise ParseError(found, hint=hint, position=self._places.at(token.offset))

    def _expect(self, wanted: str, token: Token) -> NoReturn:
        if token.kind == "open":
            self._fail(f"The string {shortened(token.text)} has no closing quote on its line", token)
        if token.kind == "stray" and not token.text.isprintable():
            number = ord(token.text)
            byte = 0xDC80 <= number <= 0xDCFF  # of a file that is not UTF-8
            found = f"byte 0x{number - 0xDC00:02X}" if byte else f"character U+{number:04X}"
            self._fail(f"Expected {wanted}, found the {found}", token)
        self._fail(f"Expected {wanted}, found {_shown(token)}", token)

    def _take(self, sign: str) -> bool:
        """Step over that sign if it comes next. (A string's text has its quotes: it is never taken for a sign.)"""
        if self._tokens[self._next].text != sign:
            return False
        self._next += 1
        return True

    def _body(self, message: Message, within: tuple[Fields, ...], path: str, opened: Token | None) -> None:
        fields = within[0]
        closer = _CLOSERS[opened.text] if opened else ""
        counts: dict[str, int] = {}
        while True:
            token = self._tokens[self._next]
            self._next += 1
            if token.kind == "end" and opened is None:
                break
            if token.kind == "sign" and token.text == closer:
                break
            if token.kind != "name":
                end = f" or '{closer}' for the '{opened.text}' at {self._places.at(opened.offset)}" if opened else ""
                self._expect(f"a field's name{end}", token)
            field = fields.by_name.get(token.text)
            if field is None:
                hint = fields.hint(token.text, within[1:])
                self._fail(f"{fields.message.name} has no field '{shortened(token.text)}'", token, hint)
            self._field(message, field, within, path, token, counts)
            if not self._take(","):
                self._take(";")
        for name in fields.required:
            if name not in counts:
                self._fail(f"{path or fields.message.name} must have a field '{name}'", opened or token)

    def _field(
        self, message: Message, field: Field, within: tuple[Fields, ...], path: str, name: Token, counts: dict[str, int]
    ) -> None:
        """One field, from behind its name; `counts` says how often each field has been here already."""
        path = f"{path}.{field.name}" if path else field.name
        colon = self._take(":")
        if field.message is None and not colon:
            self._expect(f"':' after '{field.name}'", self._tokens[self._next])
        if not field.repeated:
            if field.name in counts:
                first = self._places.at(self.offsets[path])
                self._fail(f"'{field.name}' is given twice, first at {first}", name, "It takes one value; keep one.")
            counts[field.name] = 1
            self._value(message, field, within, path, name)
            return
        listed = self._take("[")
        while not (listed and self._take("]")):
            index = counts[field.name] = counts.get(field.name, -1) + 1
            place = self._tokens[self._next] if listed else name
            self._value(message, field, within, f"{path}[{index}]", place)
            if not listed or self._take("]"):
                return
            if not self._take(","):
                self._expect("',' or ']'", self._tokens[self._next])
            if self._tokens[self._next].text == "]":
                self._expect("a value after ','", self._tokens[self._next])

    def _value(self, message: Message, field: Field, within: tuple[Fields, ...], path: str, place: Token) -> None:
        self.offsets[path] = place.offset
        if field.message is None:
            value = self._scalar(field)
            if field.repeated:
                getattr(message, field.name).append(value)
            else:
                setattr(message, field.name, value)
            return
        opened = self._tokens[self._next]
        if opened.kind != "sign" or opened.text not in _CLOSERS:
            self._expect(f"'{{' after '{field.name}'", opened)
        self._next += 1
        inner = getattr(message, field.name)
        if field.repeated:
            inner = inner.add()
        else:
            inner.SetInParent()
        self._body(inner, (fields_of(field.message), *within), path, opened)

    def _scalar(self, field: Field) -> Any:
        token = self._tokens[self._next]
        if token.kind == "string":
            return self._string(field)
        minus = self._take("-")
        number = self._tokens[self._next]
        self._next += 1
        value: Any = None
        if number.kind == "number" or (number.kind == "name" and (field.type in FLOATS or not minus)):
            if field.type in INTEGERS:
                value = integer(number.text, minus, *INTEGERS[field.type])
            elif field.type in FLOATS:
                value = floating(number.text, minus)
            elif field.type == FieldDescriptor.CPPTYPE_BOOL and not minus:
                value = BOOLS.get(number.text)
            elif field.enum is not None:
                value = self._enum(field, number, minus)
        if value is None:
            wanted = f"{field.takes} for '{field.name}'"
            if minus and number.kind in ("number", "name"):
                self._fail(f"Expected {wanted}, found '-{number.text}'", token)
            self._expect(wanted, number)
        return value

    def _string(self, field: Field) -> str | bytes:
        """Adjacent strings are one; bytes that are not UTF-8 are read as Latin-1."""
        parts = []
        while (token := self._tokens[self._next]).kind == "string":
            if field.type != FieldDescriptor.CPPTYPE_STRING:
                self._quoted(field, token)
            self._next += 1
            try:
                parts.append(unquote(token.text))
            except UnicodeEncodeError:
                self._fail(f"'{field.name}' holds half a character (a lone surrogate)", token)
            except ValueError as e:
                self._fail(f"There is no escape {e} in strings", token, r"A backslash is written as \\.")
        raw = b"".join(parts)
        if field.is_bytes:
            return raw
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return raw.decode("latin-1")

    def _quoted(self, field: Field, token: Token) -> NoReturn:
        """Fail for a string where there should be none."""
        found = f"Expected {field.takes} for '{field.name}', found {_shown(token)}"
        if field.enum is None:
            self._fail(found, token)
        bare = token.text[1:-1]
        hint = (
            "Write it without quotes."
            if bare in field.enum.values_by_name
            else did_you_mean(bare, field.enum.values_by_name)
        )
        if field.enum.name == "LayerType":
            found = f"'layers' takes the old names of types, without quotes, found {_shown(token)}"
            hint = f"{hint} 'layer' takes text, such as \"ReLU\".".lstrip()
        self._fail(found, token, hint)

    def _enum(self, field: Field, token: Token, minus: bool) -> int | None:
        assert field.enum is not None
        if token.kind == "number":
            number = integer(token.text, minus, *INTEGERS[FieldDescriptor.CPPTYPE_INT32])
            return number if number in field.enum.values_by_number else None
        value = field.enum.values_by_name.get(token.text)
        if value is None:
            near = did_you_mean(token.text, field.enum.values_by_name)
            names = list(field.enum.values_by_name)
            hint = near if near and len(names) > 8 else f"{near} Its values are {', '.join(names)}.".lstrip()
            self._fail(f"{field.enum.name} has no value '{shortened(token.text)}' (field '{field.name}')", token, hint)
        return int(value.number)


def _shown(token: Token) -> str:
    return "the end of the file" if token.kind == "end" else f"'{shortened(token.text)}'"
