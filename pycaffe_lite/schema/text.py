"""Prototxt to messages and back."""

from __future__ import annotations

import codecs
import os
import re
from typing import TypeVar

from google.protobuf import text_format
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from pycaffe_lite._files import PathLike, read_bytes
from pycaffe_lite.errors import ParseError
from pycaffe_lite.proto.caffe_pb2 import NetParameter, SolverParameter
from pycaffe_lite.schema.parser import Parser
from pycaffe_lite.schema.positions import Positions
from pycaffe_lite.schema.wire import LEN, Walk, varint

M = TypeVar("M", bound=Message)

_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_HEAD = 4096
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def parse_text(text: str, message_type: type[M], file: str = "<string>") -> tuple[M, Positions]:
    """A message from text, and where in the text each of its fields is; `file` is what errors call it.

    What C++ protobuf reads is read: octal and hexadecimal integers, `.5f`, `<>` for `{}`, lists, `,` and `;` between
    fields. Raises ParseError, with position and the nearest name, for what is not a message of that type: unknown
    fields and values, a single field given twice, a required one missing.
    """
    parser = Parser(text, file)
    message = message_type()
    parser.parse(message)
    return message, Positions(file, text, parser.offsets)


def read_text(path: PathLike, message_type: type[M]) -> tuple[M, Positions]:
    """The message in a text file, and where each of its fields is.

    UTF-8, with or without a mark; bytes in other encodings may stand in comments, and in strings, where they are taken
    for Latin-1. Raises MissingFileError, and ParseError as `parse_text` does.
    """
    return _from_text(read_bytes(path), message_type, os.fspath(path))


def read_net(path: PathLike) -> tuple[NetParameter, Positions]:
    """The NetParameter in a prototxt, or in a binary file (which has no positions). Raises as `read_text` does."""
    return _read_either(path, NetParameter)


def read_solver(path: PathLike) -> tuple[SolverParameter, Positions]:
    """The SolverParameter in a prototxt, or in a binary file (which has no positions). Raises as `read_text` does."""
    return _read_either(path, SolverParameter)


def write_text(message: Message) -> str:
    """The message as prototxt, UTF-8 as it is; `parse_text` makes the same message of it."""
    return str(text_format.MessageToString(message, as_utf8=True))


def _read_either(path: PathLike, message_type: type[M]) -> tuple[M, Positions]:
    data = read_bytes(path)
    if _BINARY.search(data[:_HEAD]) and not data.startswith(_UTF16):
        message = message_type()
        try:
            message.ParseFromString(data)
        except DecodeError:
            pass  # a text with a control character in it, or neither
        else:
            # Wire format fits nearly anything: a net's bytes are a solver too, one made of unknown fields.
            if message_type is not SolverParameter or not len(UnknownFieldSet(message)):
                _as_text(message)
                return message, Positions()
    return _from_text(data, message_type, os.fspath(path))


def _as_text(message: Message) -> None:
    """Make text of strings that are not UTF-8, which protobuf gives as bytes: Latin-1, as `read_caffemodel` does."""
    for field, value in message.ListFields():
        many = not isinstance(value, str | bytes | Message)
        if field.message_type is not None:
            for inner in value if many else [value]:
                _as_text(inner)
        elif field.type == field.TYPE_STRING and many:
            value[:] = [_str(text) for text in value]
        elif field.type == field.TYPE_STRING:
            setattr(message, field.name, _str(value))


def _str(text: str | bytes) -> str:
    return text.decode("latin-1") if isinstance(text, bytes) else text


def _from_text(data: bytes, message_type: type[M], file: str) -> tuple[M, Positions]:
    if not data.strip():
        raise ParseError(f"{os.path.abspath(file)} is empty", hint=f"A {message_type.DESCRIPTOR.name} was expected.")
    try:
        if data.startswith(_UTF16):
            text = data.decode("utf-16")
        else:
            text = data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")
        return parse_text(text, message_type, file)
    except UnicodeDecodeError as e:
        raise ParseError(f"{os.path.abspath(file)} begins as UTF-16 text, and is not: {e.reason}") from e
    except ParseError as e:
        if _BINARY.search(data[:_HEAD]) and not data.startswith(_UTF16):
            found = f"{os.path.abspath(file)} is binary, and no {message_type.DESCRIPTOR.name}"
            if broken := _broken(data, message_type):
                raise ParseError(f"{found}, or is broken: {broken}", hint="Is the file complete?") from e
            hint = "Is it a .caffemodel given in place of a prototxt, or the other way round?"
            raise ParseError(found, hint=hint) from e
        raise


def _broken(data: bytes, message_type: type[Message]) -> str:
    """Where bytes that begin as a binary message do not go on as one; '' for others."""
    try:
        key, _ = varint(memoryview(data), 0, len(data))
        if key & 7 == LEN and key >> 3 in message_type.DESCRIPTOR.fields_by_number:
            for _field in Walk(memoryview(data)):
                pass
    except ParseError as e:
        return e.found
    return ""
