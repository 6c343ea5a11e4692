from __future__ import annotations

import json
import random
import time

import pytest
from google.protobuf import text_format

from pycaffe_lite.errors import CaffeError, MissingFileError, ParseError
from pycaffe_lite.proto.caffe_pb2 import (
    BlobProto,
    ClipParameter,
    Datum,
    LayerParameter,
    NetParameter,
    NetStateRule,
    SolverParameter,
    V1LayerParameter,
)
from pycaffe_lite.schema import parse_text, read_net, read_solver, read_text, write_text


def layer(text: str) -> LayerParameter:
    return parse_text(text, LayerParameter)[0]


def refused(text: str, message_type=LayerParameter) -> ParseError:
    with pytest.raises(ParseError) as e:
        parse_text(text, message_type, "f.prototxt")
    assert e.value.position is not None
    return e.value


SAME_AS_PROTOBUF = [
    "name: \"a\" type: 'b'",
    'name: "a" "b"\n  # between\n \'c\'',
    r'name: "\n\t\\\"\'\101\x41\u00e9\U0001f600"',
    'bottom: ["a", "b"] bottom: "c" top: []',
    'name: "a", type: "b"; bottom: "c"',
    "param { lr_mult: 1 } param: { lr_mult: -2e-3 } param < lr_mult: 1.5 decay_mult: -3 >",
    "param [ { lr_mult: 1 }, < name: 'p' > ] param { }",
    "phase: TEST include { phase: TRAIN min_level: -3 } exclude { max_level: 0x10 }",
    "phase: 1 propagate_down: [true, f, 1, False, 0, t, True, false]",
    "loss_weight: inf loss_weight: -Infinity loss_weight: 1e50 loss_weight: 5. loss_weight: .5 loss_weight: 2.5f",
    "clip_param { min: -1 max: 10 }",
    "reshape_param { shape { dim: 0 dim: -1 dim: 9223372036854775807 } }",
    "convolution_param{num_output:4294967295}",
    "# nothing but a comment",
    "",
]


@pytest.mark.parametrize("text", SAME_AS_PROTOBUF)
def test_it_reads_what_protobuf_reads(text):
    assert layer(text) == text_format.Parse(text, LayerParameter())


def test_it_reads_what_only_c_plus_plus_reads():
    assert layer("include { min_level: 010 max_level: -0X1f }").include[0] == NetStateRule(min_level=8, max_level=-31)
    assert layer("clip_param { min: -1 max: 010 }").clip_param.max == 10
    assert layer("loss_weight: - # minus\n 3").loss_weight == [-3]
    assert list(layer("loss_weight: .5f loss_weight: 1.F loss_weight: 3f").loss_weight) == [0.5, 1, 3]


def test_bytes_fields_are_bytes():
    assert parse_text(r'data: "\xff\000a" "é"', Datum)[0].data == b"\xff\0a\xc3\xa9"


def test_an_unknown_field_names_the_nearest():
    e = refused('name: "a"\n  botom: "x"')
    assert str(e) == "LayerParameter has no field 'botom' (f.prototxt:2:3). Did you mean 'bottom'?"


def test_an_unknown_field_of_another_message_names_that():
    assert refused("negative_slope: 0.1").hint == "It is a field of ReLUParameter."
    assert "ConvolutionParameter" in refused("num_output: 5").hint


def test_a_missing_brace_is_suspected():
    e = refused('layer { relu_param { negative_slope: 1\nlayer { name: "b" } }', NetParameter)
    assert e.hint == "NetParameter has one: is a '}' missing before it?"
    assert e.position[1:] == (2, 1)


def test_an_unknown_field_of_nobody_may_be_a_forks():
    assert "fork" in refused("zzzzzzzz { }").hint


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("permute_param { }", 'It is a layer of the SSD fork, which BVLC Caffe lacks: write it as type: "Python".'),
        ("transform_param { resize_param { } }", "It is a field of the SSD fork, which BVLC Caffe lacks."),
    ],
)
def test_a_well_known_forks_field_is_not_misspelt(text, hint):
    assert refused(text).hint == hint


@pytest.mark.parametrize("text", ['name: "n"', "layer { }", 'input: "data"'])
def test_a_network_is_no_solver(text):
    assert refused(text, SolverParameter).hint == 'Is this a network? A solver\'s file names one: net: "FILE".'
    assert "network" not in refused("bas_lr: 1", SolverParameter).hint


def test_an_unknown_enum_value_lists_what_there_is():
    e = refused("pooling_param { pool: AVG }")
    assert e.found == "PoolMethod has no value 'AVG' (field 'pool')"
    assert e.hint == "Did you mean 'AVE'? Its values are MAX, AVE, STOCHASTIC."
    assert e.position[1:] == (1, 23)
    assert refused("pooling_param { pool: 7 }").position[1:] == (1, 23)


@pytest.mark.parametrize(
    ("text", "found", "place"),
    [
        ('name: "a"\nname: "b"', "'name' is given twice, first at f.prototxt:1:1", (2, 1)),
        ("relu_param { } relu_param { }", "'relu_param' is given twice, first at f.prototxt:1:1", (1, 16)),
        ("clip_param { min: 1 }", "clip_param must have a field 'max'", (1, 12)),
        ("name: CONV", "Expected text in quotes for 'name', found 'CONV'", (1, 7)),
        ("name: 3", "Expected text in quotes for 'name', found '3'", (1, 7)),
        ('phase: "TEST"', "Expected one of TRAIN, TEST for 'phase', found '\"TEST\"'", (1, 8)),
        ("name 'a'", "Expected ':' after 'name', found ''a''", (1, 6)),
        ("relu_param: 3", "Expected '{' after 'relu_param', found '3'", (1, 13)),
        ("relu_param", "Expected '{' after 'relu_param', found the end of the file", (1, 11)),
        ("}", "Expected a field's name, found '}'", (1, 1)),
        ("relu_param {", "or '}' for the '{' at f.prototxt:1:12, found the end of the file", (1, 13)),
        ("relu_param { >", "found '>'", (1, 14)),
        ("bottom: ['a' 'b',]", "Expected a value after ','", (1, 18)),
        ("bottom: ['a'; 'b']", "Expected ',' or ']', found ';'", (1, 13)),
        ("bottom: ['a'", "Expected ',' or ']', found the end of the file", (1, 13)),
        ("name: 'a' ,, type: 'b'", "Expected a field's name, found ','", (1, 12)),
        ('name: "a\n"', 'The string "a has no closing quote on its line', (1, 7)),
        (r'name: "C:\data"', r"There is no escape \d in strings", (1, 7)),
        (r'name: "\400"', r"There is no escape \400", (1, 7)),
        ('name: "\ud800"', "half a character", (1, 7)),
        ("name:\u00a0'a'", "found the character U+00A0", (1, 6)),
        ("name:\udc80'a'", "found the byte 0x80", (1, 6)),
        ("x" * 100 + ": 3", f"no field '{'x' * 37}...'", (1, 1)),
        ("[a.b]: 3", "Expected a field's name, found '['", (1, 1)),
        ("loss_weight: 0x10", "Expected a number for 'loss_weight', found '0x10'", (1, 14)),
        ("loss_weight: 1.2.3", "found '1.2.3'", (1, 14)),
        ("loss_weight: 1e", "found '1e'", (1, 14)),
        ("loss_weight: -one", "found '-one'", (1, 14)),
        ("loss_weight: 1top: 'a'", "found '1top'", (1, 14)),
        ("propagate_down: 2", "Expected true or false for 'propagate_down', found '2'", (1, 17)),
        (
            "convolution_param { num_output: -1 }",
            "an integer from 0 to 4294967295 for 'num_output', found '-1'",
            (1, 33),
        ),
        ("convolution_param { num_output: 4294967296 }", "found '4294967296'", (1, 33)),
        ("convolution_param { num_output: 10.0 }", "found '10.0'", (1, 33)),
        ("convolution_param { num_output: 08 }", "found '08'", (1, 33)),
        (f"convolution_param {{ num_output: {'9' * 5000} }}", "...'", (1, 33)),
        ('convolution_param { num_output: "10" }', "found '\"10\"'", (1, 33)),
        ("include { min_level: - }", "found '}'", (1, 24)),
    ],
)
def test_what_is_wrong_is_said_and_where(text, found, place):
    e = refused(text)
    assert found in e.found
    assert e.position[1:] == place


def test_required_fields_of_the_whole_message():
    assert refused("max: 1", ClipParameter).found == "ClipParameter must have a field 'min'"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1", "gbk"])
def test_encodings(tmp_path, encoding):
    words = {"latin-1": "größe", "gbk": "网络"}.get(encoding, "größe 网络")
    (tmp_path / "n.prototxt").write_bytes(f'# {words}\nname: "n" # {words}\n'.encode(encoding))
    net, positions = read_net(tmp_path / "n.prototxt")
    assert net.name == "n"
    assert positions.find("name")[1:] == (2, 1)


def test_strings_that_are_not_utf8_are_latin1(tmp_path):
    (tmp_path / "n.prototxt").write_bytes('name: "größe"'.encode("latin-1"))
    assert read_net(tmp_path / "n.prototxt")[0].name == "größe"


def test_line_ends_of_windows(tmp_path):
    (tmp_path / "n.prototxt").write_bytes(b'name: "n"  # c\r\nlayer {\r\n  name: "l"\r\n}\r\n')
    assert read_net(tmp_path / "n.prototxt")[0].layer[0].name == "l"


def test_a_missing_file_is_named_with_its_folder_and_a_near_one(tmp_path, monkeypatch):
    (tmp_path / "lenet.prototxt").write_text('name: "n"')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingFileError) as e:
        read_net("lenet.prototx")
    assert str(tmp_path / "lenet.prototx") in str(e.value)
    assert e.value.hint == "Did you mean 'lenet.prototxt'?"


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(MissingFileError, match="is a folder"):
        read_net(tmp_path)


@pytest.mark.parametrize("content", [b"", b" \n\t "])
def test_an_empty_file(tmp_path, content):
    (tmp_path / "n.prototxt").write_bytes(content)
    with pytest.raises(ParseError, match=r"n\.prototxt is empty"):
        read_net(tmp_path / "n.prototxt")


def test_binary_messages_are_read_too(tmp_path):
    net = NetParameter(name="n", input=["a"], input_dim=[1, 3])
    (tmp_path / "n").write_bytes(net.SerializeToString())
    found, positions = read_net(tmp_path / "n")
    assert found == net
    assert positions.find("name") is None
    solver = SolverParameter(net="n.prototxt", base_lr=0.5, max_iter=3)
    (tmp_path / "s").write_bytes(solver.SerializeToString())
    assert read_solver(tmp_path / "s")[0] == solver


def test_binary_that_is_no_such_message_is_said_to_be_binary(tmp_path):
    (tmp_path / "n").write_bytes(b"\x00\x01\x02 not a message")
    with pytest.raises(ParseError, match="is binary, and no NetParameter"):
        read_net(tmp_path / "n")
    with pytest.raises(ParseError, match="is binary, and no NetParameter"):
        read_text(tmp_path / "n", NetParameter)


def test_a_binary_message_that_is_cut_off_is_said_to_be_broken(tmp_path):
    net = NetParameter(name="n", input=["a"])
    net.layer.add(name="x" * 300, type="ReLU")
    (tmp_path / "n").write_bytes(net.SerializeToString()[:200])
    with pytest.raises(ParseError, match=r"or is broken: The message ends at byte 200; .* Is the file complete\?"):
        read_net(tmp_path / "n")


def test_text_round_trip():
    message = layer(
        'name: "é\\n\\"" loss_weight: 0.1 loss_weight: 3e-08 phase: TEST convolution_param { pad: 3 pad: 5 }'
    )
    assert layer(write_text(message)) == message
    assert "é" in write_text(message)


def test_old_layers():
    old = parse_text("layers { type: CONVOLUTION blobs_lr: 1 blobs_lr: 2 }", NetParameter)[0].layers[0]
    assert old.type == V1LayerParameter.CONVOLUTION
    assert list(old.blobs_lr) == [1, 2]


def test_the_corpus_as_protobuf_reads_it(shared):
    expected = {json.loads(line)["path"] for line in (shared / "corpus/expected.jsonl").read_text().splitlines()}
    paths = sorted((shared / "corpus").rglob("*.prototxt"))
    assert {p.relative_to(shared / "corpus").as_posix() for p in paths} == expected
    for path in paths:
        net, positions = read_net(path)
        assert net == text_format.Parse(path.read_bytes().decode("utf-8", "replace"), NetParameter()), path
        if path.stat().st_size < 20_000:
            assert parse_text(write_text(net), NetParameter)[0] == net
        lines = path.read_bytes().split(b"\n")
        for kind, layers in (("layer", net.layer), ("layers", net.layers)):
            for i in range(len(layers)):
                place = positions.find(f"{kind}[{i}]")
                assert lines[place.line - 1][place.column - 1 :].startswith(kind.encode()), place


def test_the_solver_among_the_models(shared):
    assert read_solver(shared / "models/lenet_v1/lenet_solver.prototxt")[0].max_iter == 10000


def test_it_is_fast():
    text = "".join(
        f'layer {{\n  name: "c{i}"\n  type: "Convolution"\n  bottom: "c{i - 1}"\n  top: "c{i}"\n'
        "  convolution_param {\n    num_output: 64\n    kernel_size: 3\n    pad: 1\n  }\n}\n"
        for i in range(275)
    )
    assert text.count("\n") >= 3000
    best = min(_seconds(lambda: parse_text(text, NetParameter)) for _ in range(5))
    assert best < 0.1


def _seconds(run) -> float:
    begin = time.process_time()
    run()
    return time.process_time() - begin


WORDS = (
    'layer { } < > [ ] : , ; - "a" \'b\' "\\x4 "open 1 -2.5e3f 0x1F 010 1e .5 name type bottom '
    "relu_param phase TEST inf true input_dim convolution_param kernel_size clip_param "
    "min # comment \n \t \u00a0 \ud800 \udcff \0 é layers top 9999999999"
).split(" ")


def test_whatever_text_comes_in_a_message_or_an_error_comes_out():
    rng = random.Random(7)
    good = 0
    for _ in range(4000):
        text = " ".join(rng.choices(WORDS, k=rng.randrange(1, 30)))
        try:
            parse_text(text, NetParameter)
            good += 1
        except CaffeError:
            continue
    assert good < 4000


def test_whatever_happens_to_a_good_text(tmp_path):
    rng = random.Random(8)
    base = bytearray(
        b'name: "n" input: "d" input_dim: [1, 3]\nlayer { name: "c" type: "Convolution" bottom: "d" top: "c"\n'
        b"  param { lr_mult: 1.5e-2 } convolution_param { num_output: 0x10 kernel_size: 3 engine: CAFFE } }\n"
    )
    good = 0
    for _ in range(500):
        data = bytearray(base)
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(data))
            if rng.random() < 0.5:
                data[at] = rng.randrange(256)
            else:
                del data[at : at + rng.randrange(1, 9)]
        (tmp_path / "n").write_bytes(data)
        try:
            net = read_net(tmp_path / "n")[0]
        except CaffeError:
            continue
        good += 1
        assert parse_text(write_text(net), NetParameter)[0] == net
    assert 0 < good < 500


def test_other_messages():
    assert list(parse_text("data: [1, 2.5] shape { dim: 2 }", BlobProto)[0].data) == [1, 2.5]


def test_quotes_that_an_old_type_or_an_enum_must_not_have() -> None:
    error = refused('layers { type: "ReLU" }', NetParameter)
    assert str(error) == (
        "'layers' takes the old names of types, without quotes, found '\"ReLU\"' (f.prototxt:1:16). "
        "Did you mean 'RELU'? 'layer' takes text, such as \"ReLU\"."
    )
    assert refused('data_param { backend: "LMDB" }').hint == "Write it without quotes."


def test_a_long_enum_is_not_listed_where_one_name_is_near() -> None:
    assert refused("layers { type: RLU }", NetParameter).hint == "Did you mean 'RELU'?"
    assert "SIGMOID_CROSS_ENTROPY_LOSS" in refused("layers { type: QQQ }", NetParameter).hint
