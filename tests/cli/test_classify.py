"""classify and detect, compared with a pass over pixels that are prepared here by hand."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite.io import array_to_blobproto

from .conftest import Cli

Image = pytest.importorskip("PIL.Image")

NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 4 dim: 5 } } }
layer {
  name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 7 weight_filler { type: "gaussian" std: 0.01 } }
}
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
"""
MODEL = ("--model_def=net.prototxt", "--pretrained_model=w.caffemodel")
MEAN = np.array([100.0, 120.0, 90.0], np.float32)


@pytest.fixture(autouse=True)
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> caffe.Net:
    """The current folder: net.prototxt, w.caffemodel, mean.npy, mean.binaryproto, and 0.png, ... 2.png of 8x6."""
    monkeypatch.chdir(tmp_path)
    Path("net.prototxt").write_text(NET)
    net = caffe.Net("net.prototxt", caffe.TEST)
    net.save("w.caffemodel")
    np.save("mean.npy", MEAN)
    image = np.broadcast_to(MEAN[:, None, None], (1, 3, 4, 5))
    Path("mean.binaryproto").write_bytes(array_to_blobproto(image).SerializeToString())
    rng = np.random.default_rng(3)
    for i in range(3):
        Image.fromarray(rng.integers(0, 256, (6, 8, 3)).astype(np.uint8)).save(f"{i}.png")
    return net


def by_hand(net: caffe.Net, pixels: np.ndarray) -> np.ndarray:
    """The probabilities for pixels (4, 5, 3), RGB, 0 to 255."""
    blob = pixels[:, :, ::-1].transpose(2, 0, 1).astype(np.float32) - MEAN[:, None, None]
    return net.forward(data=np.stack([blob, blob]))["prob"][0].copy()


def pixels(i: int) -> np.ndarray:
    return np.asarray(Image.open(f"{i}.png"))


@pytest.mark.parametrize("mean", ["mean.npy", "mean.binaryproto"])
def test_the_middle_of_a_folders_pictures(net: caffe.Net, cli: Cli, mean: str) -> None:
    Path("more.jpg").write_bytes(b"not looked at")
    result = cli(
        "classify", ".", "out.npy", *MODEL, "--images_dim=6,8", "--center_only", f"--mean_file={mean}", "--ext=png"
    )
    assert result.status == 0
    assert "Classifying 3 inputs." in result.out
    found = np.load("out.npy")
    assert found.shape == (3, 7)
    for i in range(3):
        np.testing.assert_allclose(found[i], by_hand(net, pixels(i)[1:5, 1:6]), rtol=1e-4)


def test_ten_crops_of_one_picture(net: caffe.Net, cli: Cli) -> None:
    assert cli("classify", "0.png", "out.npy", *MODEL, "--images_dim", "6,8", "--mean_file", "mean.npy").status == 0
    corners = [(0, 0), (0, 3), (2, 0), (2, 3), (1, 1)]
    crops = [pixels(0)[y : y + 4, x : x + 5] for y, x in corners]
    crops += [crop[:, ::-1] for crop in crops]
    expected = np.mean([by_hand(net, crop) for crop in crops], axis=0)
    np.testing.assert_allclose(np.load("out.npy"), [expected], rtol=1e-4)


def test_an_array_of_pictures(net: caffe.Net, cli: Cli) -> None:
    np.save("in.npy", np.stack([pixels(i) for i in range(2)]).astype(np.float32))
    flags = ("--images_dim=6,8", "--center_only", "--mean_file=mean.npy", "--raw_scale=1")
    assert cli("classify", "in.npy", "out", *MODEL, *flags).status == 0
    np.testing.assert_allclose(np.load("out.npy")[1], by_hand(net, pixels(1)[1:5, 1:6]), rtol=1e-4)


def test_names_of_the_likeliest(net: caffe.Net, cli: Cli) -> None:
    Path("labels.txt").write_text("".join(f"kind {i}\n" for i in range(7)))
    flags = ("--images_dim=6,8", "--center_only", "--mean_file=mean.npy", "--labels=labels.txt")
    lines = cli("classify", "2.png", "out.npy", *MODEL, *flags).out.splitlines()[-6:]
    scores = by_hand(net, pixels(2)[1:5, 1:6])
    best = np.argsort(-scores)[:5]
    assert lines == ["---------- Prediction for 2.png ----------", *[f'{scores[i]:.4f} - "kind {i}"' for i in best]]


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("none.png", "out.npy", *MODEL), "There is no file"),
        ((".", "out.npy", *MODEL), "no picture *.jpg in '.'"),
        (("net.prototxt", "out.npy", *MODEL), "cannot be decoded"),
        (("mean.npy", "out.npy", *MODEL), "has shape (3,)"),
        (("0.png", "out.npy", *MODEL, "--images_dim=2,2"), "smaller than the net's input"),
        (("0.png", "out.npy", *MODEL, "--mean_file=no.npy"), "There is no file"),
        (("0.png", "out.npy", *MODEL, "--mean_file=no.binaryproto"), "There is no mean file"),
        (("0.png", "out.npy", *MODEL, "--mean_file=empty.npy"), "empty.npy' is no array of numpy's"),
        (("empty.npy", "out.npy", *MODEL), "empty.npy' is no array of numpy's"),
        (("several.npy", "out.npy", *MODEL), "several.npy' is no array of numpy's: it is an archive"),
        (("0.png", "out.npy", *MODEL, "--labels=labels.txt"), "'labels.txt' names 2 classes, the network has 7"),
        (("0.png", "none/out.npy", *MODEL), "Cannot write"),
    ],
)
def test_errors_of_classify(cli: Cli, argv: tuple[str, ...], says: str) -> None:
    Path("labels.txt").write_text("one\ntwo\n")
    Path("empty.npy").touch()
    with open("several.npy", "wb") as archive:
        np.savez(archive, a=1, b=2)
    result = cli("classify", *argv)
    assert result.status == 1
    assert says in result.error


WINDOWS = [(0, 0, 4, 5), (1, 2, 5, 7), (2, 3, 6, 8)]


@pytest.fixture
def windows() -> None:
    """windows.csv: of 0.png and 1.png, alternating, windows of the net's size."""
    rows = [f"{i % 2}.png,{','.join(map(str, w))}\n" for i, w in enumerate(WINDOWS)]
    Path("windows.csv").write_text("filename,ymin,xmin,ymax,xmax\n" + "".join(rows))


DETECT = ("--crop_mode=list", "--context_pad=0", "--mean_file=mean.npy")


@pytest.mark.usefixtures("windows")
def test_windows(net: caffe.Net, cli: Cli) -> None:
    result = cli("detect", "windows.csv", "out.csv", *MODEL, *DETECT)
    assert result.status == 0
    assert "Processed 3 windows" in result.out
    with open("out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["filename", "ymin", "xmin", "ymax", "xmax", *(f"class{i}" for i in range(7))]
    for row, i in zip(rows, (0, 2, 1), strict=True):  # picture by picture
        y0, x0, y1, x1 = WINDOWS[i]
        assert row["filename"] == f"{i % 2}.png"
        assert [float(row[c]) for c in ("ymin", "xmin", "ymax", "xmax")] == [y0, x0, y1, x1]
        found = [float(row[f"class{c}"]) for c in range(7)]
        np.testing.assert_allclose(found, by_hand(net, pixels(i % 2)[y0:y1, x0:x1]), rtol=1e-4)


@pytest.mark.usefixtures("windows")
def test_windows_to_hdf5(net: caffe.Net, cli: Cli) -> None:
    h5py = pytest.importorskip("h5py")
    assert cli("detect", "windows.csv", "out.h5", *MODEL, *DETECT).status == 0
    with h5py.File("out.h5") as file:
        assert [name.decode() for name in file["filename"]] == ["0.png", "0.png", "1.png"]
        np.testing.assert_array_equal(file["window"][2], WINDOWS[1])
        np.testing.assert_allclose(file["prediction"][2], by_hand(net, pixels(1)[1:5, 2:7]), rtol=1e-4)


@pytest.mark.usefixtures("windows")
@pytest.mark.parametrize("argv", [("classify", "0.png", "--images_dim=6,8"), ("detect", "windows.csv", *DETECT)])
def test_untrained_layers_are_named(cli: Cli, argv: tuple[str, ...]) -> None:
    more = 'layer { name: "new" type: "InnerProduct" bottom: "prob" top: "new" inner_product_param { num_output: 2 } }'
    Path("net.prototxt").write_text(NET + more)
    result = cli(*argv[:2], "out", *MODEL, *argv[2:])
    assert result.status == 0
    assert "w.caffemodel has no weights for new: they are used untrained" in result.err


@pytest.mark.usefixtures("windows")
@pytest.mark.parametrize("argv", [("classify", "0.png"), ("detect", "windows.csv", *DETECT)])
def test_outputs_are_tried_before_the_work(cli: Cli, argv: tuple[str, ...]) -> None:
    Path("out.npy").mkdir()
    result = cli(*argv[:2], "out.npy", *MODEL, *argv[2:])
    assert (result.status, result.out) == (1, "")
    assert "out.npy: Is a directory" in result.error


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("filename,ymin,xmin,ymax\n0.png,1,2,3\n", "no column xmax"),
        ("filename,ymin,xmin,ymax,xmax\n", "lists no windows"),
        ("filename,ymin,xmin,ymax,xmax\n0.png,0,0,4,5\n0.png,0,zero,4,5\n", "windows.csv:3:1"),
        ("filename,ymin,xmin,ymax,xmax\n0.png,0,0,4\n", "windows.csv:2:1"),
        ("filename,ymin,xmin,ymax,xmax\n0.png,0,nan,4,5\n", "not four numbers (windows.csv:2:1)"),
        ("filename,ymin,xmin,ymax,xmax\n0.png,0,0,4,5\nnone.png,0,0,4,5\n", "none.png' (windows.csv:3:1)"),
        (
            "filename,ymin,xmin,ymax,xmax\n0.png,0,0,4,5\n1.png,0,0,4,5\n0.png,7,0,9,5\n",
            "'0.png': The window (7.0, 0.0, 9.0, 5.0) has no pixels of the picture, which has 6×8 (windows.csv:4:1)",
        ),
    ],
)
def test_bad_windows(cli: Cli, text: str, says: str) -> None:
    Path("windows.csv").write_text(text)
    result = cli("detect", "windows.csv", "out.csv", *MODEL, *DETECT)
    assert result.status == 1
    assert says in result.error
    assert not Path("out.csv").exists()


def test_selective_search_is_not_there(cli: Cli) -> None:
    Path("list.txt").write_text("0.png\n")
    result = cli("detect", "list.txt", "out.csv", *MODEL, "--context_pad=1")
    assert result.status == 1
    assert "selective_search_ijcv_with_python" in result.error
