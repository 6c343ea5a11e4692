"""Databases of pictures, compared with what Pillow says is in the files."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.data.database import BACKENDS, open_database
from pycaffe_lite.proto.caffe_pb2 import Datum

from .conftest import Cli, messages

Image = pytest.importorskip("PIL.Image")

NAMES = ["a.png", "sub/b c.png", "c.jpg", "d.bmp"]
LABELS = [3, 0, 7, 2]


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: root/ with four pictures of 6x5 (width 5), and list.txt with their labels."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "root" / "sub").mkdir(parents=True)
    rng = np.random.default_rng(5)
    for name in NAMES:
        Image.fromarray(rng.integers(0, 256, (6, 5, 3)).astype(np.uint8)).save(tmp_path / "root" / name)
    lines = [f"{name} {label}\n" for name, label in zip(NAMES, LABELS, strict=True)]
    (tmp_path / "list.txt").write_text("".join(lines))
    return tmp_path


def entries(db: str) -> dict[str, Datum]:
    with open_database(db) as reader:
        return dict(zip((k.decode() for k in reader.keys()), map(Datum.FromString, reader), strict=True))  # noqa: SIM118


def bgr(name: str) -> np.ndarray:
    """The file's pixels, (3, H, W), blue first."""
    return np.asarray(Image.open(Path("root", name)).convert("RGB"))[:, :, ::-1].transpose(2, 0, 1)


def array(datum: Datum) -> np.ndarray:
    return np.frombuffer(datum.data, np.uint8).reshape(datum.channels, datum.height, datum.width)


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize("backend", BACKENDS)
def test_pixels_labels_and_keys(cli: Cli, backend: str) -> None:
    result = cli("convert_imageset", "--backend", backend, "root/", "list.txt", "db")
    assert result.status == 0
    assert messages(result.err, "convert_imageset.py") == ["Processed 4 files."]
    found = entries("db")
    assert list(found) == [f"{i:08}_{name}" for i, name in enumerate(NAMES)]
    for name, label, datum in zip(NAMES, LABELS, found.values(), strict=True):
        assert (datum.label, datum.encoded) == (label, False)
        np.testing.assert_array_equal(array(datum), bgr(name))


@pytest.mark.usefixtures("pictures")
def test_gray(cli: Cli) -> None:
    assert cli("convert-imageset", "-gray", "root/", "list.txt", "db").status == 0
    datum = entries("db")["00000000_a.png"]
    np.testing.assert_array_equal(array(datum)[0], np.asarray(Image.open("root/a.png").convert("L")))


@pytest.mark.usefixtures("pictures")
def test_a_size_that_no_datum_has(cli: Cli) -> None:
    argv = ("convert-imageset", "--resize_width=30000", "root/", "list.txt", "db")
    assert "a Datum holds less than 2 GiB" in cli(*argv, "--resize_height=30000").error
    assert "needs" in cli(*argv, "--resize_height=300000000", "--encoded").error
    assert not Path("db").exists()


@pytest.mark.usefixtures("pictures")
def test_resized(cli: Cli) -> None:
    result = cli(
        "convert-imageset", "--resize_width=10", "--resize_height=3", "root/", "list.txt", "db", "--check_size"
    )
    assert result.status == 0
    resized = array(entries("db")["00000000_a.png"])
    assert resized.shape == (3, 3, 10)
    # Half the height: each new row lies between two old ones, of which it is the mean. Columns 2x+0.5 apart.
    rows = bgr("a.png").astype(float).reshape(3, 3, 2, 5).mean(2)
    x = np.clip((np.arange(10) + 0.5) / 2 - 0.5, 0, 4)
    low = np.minimum(x.astype(int), 3)
    expected = rows[:, :, low] * (1 - (x - low)) + rows[:, :, low + 1] * (x - low)
    assert np.abs(resized - expected).max() <= 1


@pytest.mark.usefixtures("pictures")
def test_encoded_files_are_stored_as_they_are(cli: Cli) -> None:
    assert cli("convert-imageset", "--encoded", "root/", "list.txt", "db").status == 0
    for key, datum in entries("db").items():
        assert datum.encoded
        assert datum.data == Path("root", key[9:]).read_bytes()


@pytest.mark.usefixtures("pictures")
def test_encoded_anew(cli: Cli) -> None:
    """--encode_type alone means --encoded, as in Caffe; PNG loses nothing, so that the pixels can be compared."""
    result = cli("convert-imageset", "--encode_type=png", "--gray", "root/", "list.txt", "db")
    assert result.status == 0
    for key, datum in entries("db").items():
        assert datum.data[1:4] == b"PNG"
        picture = Image.open(io.BytesIO(datum.data))
        assert picture.mode == "L"
        if not key.endswith("jpg"):  # whose luminance is its own
            np.testing.assert_array_equal(np.asarray(picture), np.asarray(Image.open(f"root/{key[9:]}").convert("L")))


@pytest.mark.usefixtures("pictures")
def test_encoded_colours_keep_their_order(cli: Cli) -> None:
    assert cli("convert-imageset", "--encode_type=png", "--encoded", "root/", "list.txt", "db").status == 0
    picture = Image.open(io.BytesIO(entries("db")["00000003_d.bmp"].data))
    np.testing.assert_array_equal(np.asarray(picture), np.asarray(Image.open("root/d.bmp")))


@pytest.mark.usefixtures("pictures")
def test_shuffled(cli: Cli) -> None:
    for db in ("db1", "db2"):
        assert cli("convert-imageset", "--shuffle", "--seed=4", "root/", "list.txt", db).status == 0
    first = entries("db1")
    assert [k[9:] for k in first] != NAMES
    assert {k[9:]: d.label for k, d in first.items()} == dict(zip(NAMES, LABELS, strict=True))
    assert list(first) == list(entries("db2"))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("none.png 1", "There is no file"),
        ("broken.png 1", "cannot be decoded"),
        ("a.png one", "It should be: path, a space, a whole number"),
        ("a.png", "It should be: path, a space, a whole number"),
        ("a.png 3000000000", "It should be: path, a space, a whole number"),
    ],
)
def test_a_bad_line(pictures: Path, cli: Cli, line: str, says: str) -> None:
    (pictures / "root" / "broken.png").write_bytes((pictures / "root" / "a.png").read_bytes()[:40])
    (pictures / "list.txt").write_text(f"a.png 1\n\n{line}\nd.bmp 2\n")
    result = cli("convert-imageset", "root/", "list.txt", "db")
    assert result.status == 1
    assert says in result.error
    assert "list.txt:3:1" in result.error or "Line 3 of 'list.txt'" in result.error
    assert not Path("db").exists()


def test_unreadable_pictures_may_be_left_out(pictures: Path, cli: Cli) -> None:
    (pictures / "root" / "broken.png").write_bytes(b"no picture")
    (pictures / "list.txt").write_text("a.png 1\nbroken.png 5\nnone.png 6\nd.bmp 2\n")
    result = cli("convert-imageset", "--skip_unreadable", "root/", "list.txt", "db")
    assert result.status == 0
    assert list(entries("db")) == ["00000000_a.png", "00000003_d.bmp"]
    errors = [line for line in result.err.splitlines() if line.startswith("E")]
    assert len(errors) == 2
    assert "list.txt:2:1" in errors[0]
    assert "list.txt:3:1" in errors[1]
    assert "Processed 2 files." in result.err


def test_check_size(pictures: Path, cli: Cli) -> None:
    Image.new("RGB", (5, 7)).save(pictures / "root" / "c.jpg")
    result = cli("convert-imageset", "--check_size", "root/", "list.txt", "db")
    assert result.status == 1
    assert "'c.jpg' is 3×7×5, 'a.png' before it 3×6×5" in result.error
    assert "list.txt:3:1" in result.error
    assert cli("convert-imageset", "root/", "list.txt", "db").status == 0


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--resize_width=5"], "resize_height is 0 and resize_width is 5"),
        (["--encode_type=gif"], "encode_type is 'gif'"),
    ],
)
def test_flags_that_cannot_be(cli: Cli, flags: list[str], says: str) -> None:
    result = cli("convert-imageset", *flags, "root/", "list.txt", "db")
    assert result.status == 1
    assert says in result.error


@pytest.mark.usefixtures("pictures")
def test_an_existing_database_is_kept(cli: Cli) -> None:
    assert cli("convert-imageset", "root/", "list.txt", "db").status == 0
    assert "'db' exists already" in cli("convert-imageset", "root/", "list.txt", "db").error
    assert len(entries("db")) == 4
