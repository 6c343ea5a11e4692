from __future__ import annotations

from pycaffe_lite.errors import Position
from pycaffe_lite.proto.caffe_pb2 import NetParameter
from pycaffe_lite.schema import Positions, parse_text

TEXT = """# a net
name: "n"
layer {
  name: "conv" bottom: "a" bottom: "b"
  convolution_param < kernel_size: [3,
    5] >
}
layer: { name: "ip"; inner_product_param { num_output: 7 } },
"""


def found(path: str) -> tuple[int, int]:
    position = parse_text(TEXT, NetParameter, "n.prototxt")[1].find(path)
    assert position is not None
    assert position.file == "n.prototxt"
    return position.line, position.column


def test_fields_are_found_where_they_are_written():
    assert found("name") == (2, 1)
    assert found("layer[0]") == (3, 1)
    assert found("layer[0].bottom[0]") == (4, 16)
    assert found("layer[0].bottom[1]") == (4, 28)
    assert found("layer[0].convolution_param") == (5, 3)
    assert found("layer[1].inner_product_param.num_output") == (8, 44)


def test_elements_of_a_list_have_their_own_places():
    assert found("layer[0].convolution_param.kernel_size[0]") == (5, 37)
    assert found("layer[0].convolution_param.kernel_size[1]") == (6, 5)


def test_what_is_not_written_is_where_its_message_is():
    assert found("layer[0].convolution_param.kernel_size[2]") == (5, 3)
    assert found("layer[0].convolution_param.weight_filler.std") == (5, 3)
    assert found("layer[1].bottom[0]") == (8, 1)
    assert found("layer[2].name") == (1, 1)
    assert found("state.level") == (1, 1)


def test_columns_count_characters_and_lines_end_as_on_windows():
    text = 'name: "é" layer {\r\n\tname: "b" }'
    positions = parse_text(text, NetParameter, "f")[1]
    assert positions.find("layer[0]") == Position("f", 1, 11)
    assert positions.find("layer[0].name") == Position("f", 2, 2)


def test_without_a_file_nothing_is_found():
    assert Positions().find("layer[0]") is None


def test_contains_says_what_was_written():
    positions = parse_text(TEXT, NetParameter)[1]
    assert "layer[1].name" in positions
    assert "layer[1].type" not in positions
