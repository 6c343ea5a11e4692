"""Mean images, compared with numpy's mean of the arrays that were written."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.data.database import BACKENDS, new_database
from pycaffe_lite.data.datum import array_to_datum
from pycaffe_lite.proto.caffe_pb2 import BlobProto, Datum

from .conftest import Cli, messages


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(images: list[Datum], backend: str = "lmdb") -> None:
    with new_database("db", backend) as db:
        for i, datum in enumerate(images):
            db.put(b"%08d" % i, datum.SerializeToString())


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("backend", BACKENDS)
def test_of_bytes(cli: Cli, backend: str) -> None:
    images = np.random.default_rng(1).integers(0, 256, (257, 3, 4, 5)).astype(np.uint8)
    write([array_to_datum(image, 1) for image in images], backend)
    result = cli("compute_image_mean", f"-backend={backend}", "db", "mean.binaryproto")
    assert result.status == 0
    blob = BlobProto.FromString(Path("mean.binaryproto").read_bytes())
    assert (blob.num, blob.channels, blob.height, blob.width) == (1, 3, 4, 5)
    mean = images.astype(np.float64).mean(0)
    np.testing.assert_allclose(np.reshape(blob.data, (3, 4, 5)), mean, rtol=1e-6)
    said = messages(result.err, "compute_image_mean.py")
    assert said[:2] == ["Write to mean.binaryproto", "Number of channels: 3"]
    values = [float(re.fullmatch(rf"mean_value channel \[{c}\]: (.*)", said[2 + c])[1]) for c in range(3)]  # type: ignore[index]
    np.testing.assert_allclose(values, mean.mean((1, 2)), rtol=1e-4)


@pytest.mark.usefixtures("folder")
def test_of_floats_and_without_a_file(cli: Cli) -> None:
    images = np.random.default_rng(2).standard_normal((7, 2, 3, 5)).astype(np.float32)
    write([array_to_datum(image) for image in images])
    result = cli("compute-image-mean", "db")
    assert result.status == 0
    assert [p.name for p in Path().iterdir()] == ["db"]
    said = float(messages(result.err, "compute_image_mean.py")[-1].rpartition(" ")[2])
    assert said == pytest.approx(images[:, 1].mean(), rel=1e-4)


@pytest.mark.usefixtures("folder")
def test_of_encoded_pictures(cli: Cli) -> None:
    image_module = pytest.importorskip("PIL.Image")
    images = np.random.default_rng(3).integers(0, 256, (5, 4, 6, 3)).astype(np.uint8)
    datums = []
    for image in images:
        file = io.BytesIO()
        image_module.fromarray(image).save(file, "PNG")
        datums.append(Datum(data=file.getvalue(), encoded=True))
    write(datums)
    assert cli("compute-image-mean", "db", "mean.binaryproto").status == 0
    blob = BlobProto.FromString(Path("mean.binaryproto").read_bytes())
    expected = images[..., ::-1].astype(np.float64).mean(0).transpose(2, 0, 1)
    np.testing.assert_allclose(np.reshape(blob.data, (3, 4, 6)), expected, rtol=1e-6)


@pytest.mark.usefixtures("folder")
def test_images_of_two_sizes(cli: Cli) -> None:
    write([array_to_datum(np.zeros((1, 2, width), np.uint8)) for width in (3, 3, 4)])
    result = cli("compute-image-mean", "db", "mean.binaryproto")
    assert result.status == 1
    assert "'db' has images of 1×2×3 and of 1×2×4" in result.error
    assert not Path("mean.binaryproto").exists()


@pytest.mark.usefixtures("folder")
def test_no_database(cli: Cli) -> None:
    result = cli("compute-image-mean", "db")
    assert result.status == 1
    assert "There is no database 'db'" in result.error


@pytest.mark.usefixtures("folder")
def test_the_output_is_tried_before_the_work(cli: Cli) -> None:
    assert "Cannot write" in cli("compute-image-mean", "no database", "none/mean.binaryproto").error
