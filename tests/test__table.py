from __future__ import annotations

import pytest

from pycaffe_lite._table import Column, columns_of, elide, html_table, human_count, number, text_table, total_width


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (7.0, "7"),
        (-2.1, "-2.1"),
        (0.0310004, "0.031"),
        (3e-4, "3e-4"),
        (5.561e-4, "5.56e-4"),
        (999.0, "999"),
        (1234.5, "1234"),
        (8801.0, "8801"),
        (-999999.0, "-999999"),
        (1234567.0, "1.23e6"),
        (-1.5e-12, "-1.5e-12"),
        (1e300, "1e300"),
        (1e-3, "0.001"),
        (1e6, "1e6"),
    ],
)
def test_number(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.00 k"),
        (5010, "5.01 k"),
        (430_500, "430.5 k"),
        (99_994, "99.99 k"),
        (99_996, "100.0 k"),
        (999_949, "999.9 k"),
        (999_960, "1.00 M"),
        (2_293_000, "2.29 M"),
        (4_089_184_256, "4.09 G"),
        (10**19, "10000.0 P"),
    ],
)
def test_human_count(count: int, text: str) -> None:
    assert human_count(count) == text


@pytest.mark.parametrize(("width", "text"), [(12, "inception_3a"), (11, "incep…on_3a"), (4, "i…3a"), (1, "…")])
def test_elide(width: int, text: str) -> None:
    assert elide("inception_3a", width) == text
    assert len(text) <= width


def table() -> list[Column]:
    return [
        Column("name", [["a<b"], ["total"]]),
        Column("shapes", [["(2,)", "(3, 5)"], []]),
        Column("n", [["12.5 k"], ["7"]], right=True),
    ]


def test_text_table_aligns_cells_of_several_lines() -> None:
    assert text_table(table(), total=True).splitlines() == [
        "name   shapes       n",
        "---------------------",
        "a<b    (2,)    12.5 k",
        "       (3, 5)",
        "---------------------",
        "total               7",
    ]
    assert total_width(table()) == 21


def test_a_table_without_headings_has_no_line_for_them() -> None:
    assert text_table(columns_of([("ip1", "x"), ("ip", "yz")])) == "ip1  x\nip   yz"
    assert text_table(columns_of([])) == ""


def test_html_table_escapes_and_breaks_lines() -> None:
    html = html_table(table(), total=True)
    assert "a&lt;b" in html
    assert "(2,)<br>(3, 5)" in html
    assert html.count("<tr>") == 3
    assert html.count("<td") == 3  # the total is a heading
    assert "text-align: right" in html
