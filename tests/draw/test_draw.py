from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite import _extras, draw
from pycaffe_lite.errors import MissingPackageError, ParameterError, SnapshotError
from pycaffe_lite.proto import caffe_pb2 as pb
from tests.draw.nets import parsed

SVG = "{http://www.w3.org/2000/svg}"

NET = """name: "shown"
layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 7 dim: 5 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 11 kernel_size: 3 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "left" type: "TanH" bottom: "conv" top: "left" }
layer { name: "right" type: "Sigmoid" bottom: "conv" top: "right" }
"""


@pytest.fixture
def no_graphviz(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draw.dot, "has_dot", lambda: False)


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


def test_svg_has_the_layers_colours_and_words() -> None:
    svg = draw.draw(parsed(), display_lrm=True).svg
    found = texts(svg)
    for text in (
        "conv",
        "(Convolution)",
        "kernel size: 5x3, stride: 2, pad: 1",
        "lr mult: 3.0, 1.0",
        "11",
        "(Pooling AVE)",
    ):
        assert text in found
    assert "a/<wide> & long name of a layer" in found
    for color in ("#FF5050", "#FF9900", "#CC33FF", "#6495ED", "#90EE90", "#E0E0E0"):
        assert f'fill="{color}"' in svg
    blobs = {"data", "label", "conv", "pool", "a", "b1", "b2", "c", "sum", "loss", "accuracy"}
    assert sum(len(p.get("points", "").split()) == 8 for p in ET.fromstring(svg).iter(f"{SVG}polygon")) == len(blobs)


def test_a_net_shows_its_blobs_shapes_and_no_splits_of_its_own() -> None:
    net = caffe.Net(parsed(NET), caffe.TEST)
    drawing = net.draw()
    found = texts(drawing._repr_svg_())
    assert "2 × 11 × 5 × 3" in found
    assert not [text for text in found if "split" in text.lower()]
    assert {"left", "right", "relu"} <= set(found)
    assert "shown" in repr(drawing)
    sideways = ET.fromstring(net.draw("LR").svg)
    assert float(sideways.get("width", "")) > float(sideways.get("height", ""))


def test_an_old_net_is_upgraded_and_left_alone() -> None:
    net = parsed("""input: "x" input_dim: 2 input_dim: 3 input_dim: 4 input_dim: 5
                    layers { name: "old" type: CONVOLUTION bottom: "x" top: "y"
                             convolution_param { num_output: 3 } }""")
    before = pb.NetParameter()
    before.CopyFrom(net)
    assert {"old", "(Convolution)", "x"} <= set(texts(draw.draw(net).svg))
    assert net == before


def test_files(tmp_path: Path, no_graphviz: None) -> None:
    pytest.importorskip("matplotlib")
    heads = {"svg": b"<svg ", "png": b"\x89PNG", "pdf": b"%PDF", "dot": b"digraph", "PNG": b"\x89PNG"}
    for ending, head in heads.items():
        draw.draw_net_to_file(parsed(), tmp_path / f"net.{ending}", "TB", caffe.TRAIN)
        assert (tmp_path / f"net.{ending}").read_bytes().startswith(head)
    assert draw.draw_net(parsed(), "LR", "svg") == draw.draw(parsed(), "LR").svg.encode()
    assert draw.draw_net(parsed(), "LR").startswith(b"\x89PNG")


def test_a_png_is_the_same_picture(no_graphviz: None) -> None:
    """Its boxes have the colours that the layout says they have where it says they are."""
    pytest.importorskip("matplotlib")
    image = pytest.importorskip("PIL.Image")
    import io

    drawing = draw.draw(parsed(), "TB")
    pixels = np.asarray(image.open(io.BytesIO(drawing.encode("png"))).convert("RGB"))
    scale = pixels.shape[1] / drawing._layout.width
    for box in drawing._layout.boxes:
        y, x = int((box.y + box.height / 2) * scale), int((box.x + 5) * scale)
        wanted = [int(box.part.color[i : i + 2], 16) for i in (1, 3, 5)]
        assert np.abs(pixels[y, x].astype(int) - wanted).max() <= 2, box.part.lines


def test_what_cannot_be_written_is_said(tmp_path: Path, no_graphviz: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ParameterError, match=r"'gif' without Graphviz.*svg, dot, png"):
        draw.draw_net_to_file(parsed(), tmp_path / "net.gif")
    with pytest.raises(ParameterError, match="no ending"):
        draw.draw_net_to_file(parsed(), tmp_path / "net")
    with pytest.raises(SnapshotError, match="no folder"):
        draw.draw_net_to_file(parsed(), tmp_path / "nowhere" / "net.svg")

    def absent(module: str, purpose: str) -> None:
        raise MissingPackageError(f"'{module}' is needed to {purpose}", hint="Install it with: pip")

    monkeypatch.setattr("pycaffe_lite.draw.raster.require", absent)
    with pytest.raises(MissingPackageError, match=r"write pictures as png.*Graphviz, or write \.svg"):
        draw.draw(parsed()).encode("png")
    assert list(tmp_path.iterdir()) == []


def test_graphviz_is_asked_for_what_it_alone_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "dot"
    program.write_text('#!/bin/sh\n[ "$1" = -Tbad ] && { echo no such format >&2; exit 3; }\necho "$1"; cat\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    answer = draw.draw(parsed(), "BT").encode("gif").decode()
    assert answer.startswith("-Tgif\ndigraph")
    assert "rankdir=BT" in answer
    with pytest.raises(caffe.CaffeError, match="as bad: no such format"):
        draw.draw(parsed()).encode("bad")


def test_pydot(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pydot")
    graph = draw.get_pydot_graph(parsed(), "LR", label_edges=False, phase=caffe.TRAIN)
    assert graph.get_rankdir() == "LR"
    labels = [node.get_label() for node in graph.get_nodes()]
    assert any("a/<wide> & long name" in (label or "") for label in labels)
    assert not any(edge.get_label() for edge in graph.get_edges())
    assert any(edge.get_label() for edge in draw.get_pydot_graph(parsed(), "LR").get_edges())


def test_pydot_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pydot", None)
    with pytest.raises(MissingPackageError, match=r"pycaffe-lite\[pydot\]"):
        draw.get_pydot_graph(parsed(), "LR")
    assert _extras.EXTRAS["pydot"] == "pydot"
