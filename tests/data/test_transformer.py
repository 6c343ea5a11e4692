from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.data.transformer import DataTransformer
from pycaffe_lite.errors import CaffeError, DataError, MissingFileError, ParameterError, ParseError, ShapeError
from pycaffe_lite.proto.caffe_pb2 import TEST, TRAIN, BlobProto, TransformationParameter

N, C, H, W = 5, 3, 7, 11
IMAGES = np.random.default_rng(1).integers(0, 256, (N, C, H, W), dtype=np.uint8)
MEAN = np.random.default_rng(2).uniform(0, 255, (C, H, W)).astype(np.float32)


def write_mean(path: Path, array: np.ndarray = MEAN, legacy: bool = True) -> str:
    blob = BlobProto(data=array.ravel().tolist())
    if legacy:
        blob.num, (blob.channels, blob.height, blob.width) = 1, array.shape
    else:
        blob.shape.dim.extend(array.shape)
    path.write_bytes(blob.SerializeToString())
    return str(path)


def transformer(phase: int = TEST, seed: int = 0, **fields: object) -> DataTransformer:
    return DataTransformer(TransformationParameter(**fields), phase, np.random.default_rng(seed))


def run(t: DataTransformer, images: object = IMAGES, dtype: type = np.float32) -> np.ndarray:
    out = np.full((len(images), *t.shape(images[0].shape)), np.nan, dtype)
    t.transform_batch(images, out)
    return out


def reference(
    image: np.ndarray, top: int, left: int, size: int, flip: bool, mean: np.ndarray, scale: float
) -> np.ndarray:
    """Pixel by pixel, from the definition."""
    height, width = (size, size) if size else image.shape[1:]
    out = np.zeros((len(image), height, width))
    for c in range(len(image)):
        for h in range(height):
            for w in range(width):
                pixel = (float(image[c, top + h, left + w]) - mean[c, top + h, left + w]) * scale
                out[c, h, width - 1 - w if flip else w] = pixel
    return out


@pytest.mark.parametrize("mean", ["none", "one", "each", "file"])
@pytest.mark.parametrize("crop", [0, 4])
@pytest.mark.parametrize("phase", [TRAIN, TEST])
@pytest.mark.parametrize("mirror", [False, True])
def test_against_pixel_loops(tmp_path: Path, mean: str, crop: int, phase: int, mirror: bool) -> None:
    fields: dict[str, object] = {"crop_size": crop, "mirror": mirror, "scale": 0.25}
    means = np.zeros((C, H, W))
    if mean == "one":
        fields["mean_value"], means = [100.0], np.full((C, H, W), 100.0)
    elif mean == "each":
        fields["mean_value"] = [104.0, 117.0, 123.0]
        means = np.broadcast_to(np.array([104.0, 117.0, 123.0])[:, None, None], (C, H, W))
    elif mean == "file":
        fields["mean_file"], means = write_mean(tmp_path / "mean.binaryproto"), MEAN
    out = run(transformer(phase, **fields))
    random = phase == TRAIN and crop
    places = [(a, b) for a in range(H - crop + 1) for b in range(W - crop + 1)] if random else [(1, 3)]
    for image, got in zip(IMAGES, out, strict=True):
        candidates = [
            reference(image, top if crop else 0, left if crop else 0, crop, flip, means, 0.25)
            for top, left in places
            for flip in ([False, True] if mirror else [False])
        ]
        assert sum(np.allclose(got, candidate, atol=1e-4) for candidate in candidates) == 1


@pytest.mark.parametrize("crop", [0, 4])
def test_stacked_and_listed_images_agree(crop: int) -> None:
    fields = {"crop_size": crop, "mirror": True, "mean_value": [3.0], "scale": 0.5}
    np.testing.assert_array_equal(
        run(transformer(TRAIN, **fields)), run(transformer(TRAIN, **fields), [i.astype(np.float64) for i in IMAGES])
    )


def test_random_crops_and_mirrors_take_every_value() -> None:
    image = np.arange(4 * 5, dtype=np.uint8).reshape(1, 4, 5)
    out = run(transformer(TRAIN, crop_size=3, mirror=True), np.stack([image] * 400))
    seen = {tuple(o.ravel()) for o in out}
    assert len(seen) == 2 * 3 * 2
    assert 150 < sum(o[0, 0, 0] > o[0, 0, 1] for o in out) < 250


def test_seed_decides() -> None:
    fields = {"crop_size": 3, "mirror": True}
    same = [run(transformer(TRAIN, 5, **fields)) for _ in range(2)]
    np.testing.assert_array_equal(*same)
    assert (run(transformer(TRAIN, 6, **fields)) != same[0]).any()


def test_float64_output() -> None:
    out = run(transformer(scale=0.1), dtype=np.float64)
    np.testing.assert_allclose(out, IMAGES * float(np.float32(0.1)), rtol=1e-15)


def test_crops_make_images_of_several_sizes_alike() -> None:
    images = [np.full((2, 6 + i, 9 - i), i, np.uint8) for i in range(3)]
    for phase in (TRAIN, TEST):
        out = run(transformer(phase, crop_size=5), images)
        np.testing.assert_array_equal(out, np.broadcast_to(np.arange(3.0).reshape(3, 1, 1, 1), (3, 2, 5, 5)))


def test_mean_file_forms(tmp_path: Path) -> None:
    legacy = transformer(mean_file=write_mean(tmp_path / "legacy"))
    plain = transformer(mean_file=write_mean(tmp_path / "plain", legacy=False))
    np.testing.assert_array_equal(run(legacy), IMAGES - MEAN)
    np.testing.assert_array_equal(run(plain), IMAGES - MEAN)


@pytest.mark.parametrize(
    ("fields", "error", "says"),
    [
        ({"mean_value": [1.0], "mean_file": "m"}, ParameterError, "both mean_file and mean_value"),
        ({"force_color": True, "force_gray": True}, ParameterError, "both force_color and force_gray"),
        ({"mean_file": "."}, MissingFileError, "is a folder, not a file"),
        ({"mean_file": "nowhere"}, MissingFileError, "no mean file 'nowhere'"),
        ({"mean_value": [1.0, 2.0]}, ParameterError, "2 mean_value's for images of 3×7×11"),
        ({"crop_size": 8}, ShapeError, "crop_size 8 is larger than an image of 3×7×11"),
    ],
)
def test_bad_parameters(fields: dict[str, object], error: type[CaffeError], says: str) -> None:
    with pytest.raises(error, match=says):
        run(transformer(**fields))


def test_bad_mean_files(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match="is 3×7×10, the images are 3×7×11"):
        run(transformer(mean_file=write_mean(tmp_path / "narrow", MEAN[:, :, :-1])))
    path = tmp_path / "bad"
    path.write_bytes(b"\xff\xff\xff")
    with pytest.raises(ParseError, match="cannot be read as a mean image"):
        transformer(mean_file=str(path))
    with pytest.raises(MissingFileError, match="no mean file.*Did you mean 'narrow'"):
        transformer(mean_file=str(tmp_path / "narow"))
    path.write_bytes(BlobProto(num=1, channels=3, height=2, width=2, data=[1.0] * 11).SerializeToString())
    with pytest.raises(ParseError, match="which is 12 numbers, and 11 in its data"):
        transformer(mean_file=str(path))
    path.write_bytes(BlobProto(num=2, channels=3, height=2, width=2, data=[1.0] * 24).SerializeToString())
    with pytest.raises(ParseError, match="holds 24 numbers of shape 2×3×2×2"):
        transformer(mean_file=str(path))


def test_batches_that_do_not_fit() -> None:
    t = transformer()
    with pytest.raises(ShapeError, match="5 images does not fit into one of 4"):
        t.transform_batch(IMAGES, np.empty((4, C, H, W), np.float32))
    odd = [IMAGES[0], IMAGES[1][:, :-1]]
    with pytest.raises(DataError, match="Image 1 of a batch is 3×6×11.*3×7×11 is expected"):
        t.transform_batch(odd, np.empty((2, C, H, W), np.float32))
    with pytest.raises(ShapeError, match="empty"):
        t.shape((0, 3, 3))


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"mean_file": "nowhere"}, "mean_file"),
        ({"mean_value": [1.0, 2.0]}, "mean_value[0]"),
        ({"crop_size": 8}, "crop_size"),
        ({"force_color": True, "force_gray": True}, "force_gray"),
    ],
)
def test_errors_name_their_field(fields: dict[str, object], field: str) -> None:
    with pytest.raises(CaffeError) as e:
        run(transformer(**fields))
    assert e.value.field == f"transform_param.{field}"
