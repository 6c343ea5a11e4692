"""How wide a text will be, without a font at hand: DejaVu Sans's widths, the widest of the fonts asked for."""

from __future__ import annotations

LINE_HEIGHT = 1.32
"""Between lines, in font sizes."""

# Letters of about one width -> that width, in font sizes; letters that are not here count as the widest Latin ones.
_WIDTHS = {
    " ,.'ijlIJ": 0.32,
    "/:;\\|f-()[]t": 0.39,
    '!r"*_`': 0.5,
    "sz?cLFkvxy": 0.59,
    "PTYoaeEhnuSbdgpq$0123456789{}": 0.64,
    "KAVXZBRC": 0.7,
    "UNHDG&OQ": 0.79,
    "w#+<=>^~×": 0.84,
    "M%mW@": 1.0,
}
_WIDTH = {letter: width for letters, width in _WIDTHS.items() for letter in letters}
_BOLD = 1.11


def text_width(text: str, size: float, bold: bool = False) -> float:
    """The width of a line of text, in the unit of the font's size."""
    return sum(_WIDTH.get(letter, 1.0) for letter in text) * size * (_BOLD if bold else 1.0)
