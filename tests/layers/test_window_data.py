"""WindowData against pictures made here, whose pixels tell where they come from."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pycaffe_lite import Net
from pycaffe_lite.data.images import resize_image
from pycaffe_lite.errors import DataError, MissingFileError, ParameterError, ShapeError
from pycaffe_lite.proto import caffe_pb2 as pb
from tests.layers.nets import net_of

PICTURES = np.random.default_rng(1).integers(1, 256, (2, 3, 20, 30), dtype=np.uint8)

# (image, class, overlap, x1, y1, x2, y2); overlaps of 0.3 to 0.6 are neither
WINDOWS = [
    (0, 3, 1.0, 4, 5, 13, 8),
    (0, 2, 0.59, 0, 0, 29, 19),
    (0, 5, 0.6, 20, 2, 28, 17),
    (0, 0, 0.0, 7, 7, 12, 12),
    (1, 4, 0.29, 1, 0, 9, 18),
    (1, 4, 0.3, 3, 3, 9, 9),
]
OBJECTS, BACKGROUND = (0, 2), (3, 4)


def write(folder: Path, windows: list[tuple[float, ...]]) -> None:
    lines = []
    for i in range(2):
        Image.fromarray(PICTURES[i][::-1].transpose(1, 2, 0)).save(folder / f"{i}.png")
        mine = [" ".join(map(str, w[1:])) for w in windows if w[0] == i]
        lines += [f"# {i}", f"{i}.png", "3", "20", "30", str(len(mine)), *mine]
    (folder / "windows.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, WINDOWS)
    return tmp_path


def net_on(folder: Path, fields: str = "batch_size: 8", transform: str = "crop_size: 16", seed: int = 5) -> Net:
    """Objects overlap by 0.6 and more, background by less than 0.3, unless fields say otherwise."""
    for name, value in (("fg_threshold", 0.6), ("bg_threshold", 0.3)):
        if name not in fields:
            fields += f" {name}: {value}"
    return net_of(
        f'layer {{ name: "w" type: "WindowData" top: "data" top: "label" transform_param {{ {transform} }}\n'
        f'window_data_param {{ source: "{folder}/windows.txt" root_folder: "{folder}/" {fields} }} }}',
        seed=seed,
    )


def warped(index: int, height: int = 16, width: int = 16) -> np.ndarray:
    image, _, _, x1, y1, x2, y2 = map(int, WINDOWS[index])
    return resize_image(PICTURES[image][:, y1 : y2 + 1, x1 : x2 + 1], height, width)


def which(crop: np.ndarray, candidates: tuple[int, ...]) -> int:
    """The one of the windows that this crop shows."""
    (found,) = [i for i in candidates if np.array_equal(crop, warped(i))]
    return found


@pytest.mark.parametrize("cache", ["", "cache_images: true"])
def test_background_comes_first_then_objects_each_at_random(folder: Path, cache: str) -> None:
    net = net_on(folder, f"batch_size: 8 fg_fraction: 0.25 {cache}")
    assert net.blobs["data"].shape == (8, 3, 16, 16)
    if cache:
        for i in range(2):
            os.remove(folder / f"{i}.png")
    seen = []
    for _ in range(6):
        out = net.forward()
        shown = [which(crop, BACKGROUND) for crop in out["data"][:6]] + [which(c, OBJECTS) for c in out["data"][6:]]
        np.testing.assert_array_equal(out["label"][:6], 0)
        np.testing.assert_array_equal(out["label"][6:], [WINDOWS[i][1] for i in shown[6:]])
        seen += shown
    assert set(seen) == {*OBJECTS, *BACKGROUND}
    net.close()


@pytest.mark.parametrize(("fraction", "objects"), [(0, 0), (0.7, 7), (0.69, 6), (1, 10)])
def test_the_share_of_objects(folder: Path, fraction: float, objects: int) -> None:
    """0.7 is not 7 / 10 in single precision, its product with 10 is."""
    net = net_on(folder, f"batch_size: 10 fg_fraction: {fraction}")
    assert np.count_nonzero(net.forward()["label"]) == objects
    net.close()


def test_mean_values_scale_and_mirror(folder: Path) -> None:
    transform = "crop_size: 16 mirror: true scale: 0.5 mean_value: 10 mean_value: 20 mean_value: 30"
    net = net_on(folder, "batch_size: 40 fg_fraction: 1", transform)
    mean = np.array([10, 20, 30]).reshape(3, 1, 1)
    seen = set()
    for crop, label in zip(*(net.forward()[n] for n in ("data", "label")), strict=True):
        index = {3: 0, 5: 2}[int(label)]
        sides = [
            s for s in (1, -1) if np.allclose(crop, (warped(index)[:, :, ::s].astype(float) - mean) * 0.5, rtol=1e-6)
        ]
        seen.add((index, *sides))
    assert seen == {(0, 1), (0, -1), (2, 1), (2, -1)}
    net.close()


def save_mean(file: Path, shape: tuple[int, ...]) -> np.ndarray:
    mean = np.random.default_rng(2).uniform(50, 200, shape).astype(np.float32)
    blob = pb.BlobProto(num=1, channels=shape[0], height=shape[1], width=shape[2], data=mean.ravel().tolist())
    file.write_bytes(blob.SerializeToString())
    return mean


@pytest.mark.parametrize("mirror", [False, True])
def test_context_a_mean_image_and_empty_edges(tmp_path: Path, mirror: bool) -> None:
    """The window of tests/data/test_windows.py: the crop's first column, or its last once mirrored, shows nothing."""
    write(tmp_path, WINDOWS[:1])
    mean = save_mean(tmp_path / "mean.binaryproto", (3, 20, 20))[:, 2:18, 2:18]
    net = net_on(
        tmp_path,
        "batch_size: 12 fg_fraction: 1 context_pad: 4",
        f'crop_size: 16 mirror: {str(mirror).lower()} mean_file: "{tmp_path}/mean.binaryproto" scale: 2',
    )
    shown = resize_image(PICTURES[0][:, 3:12, 0:20], 16, 15).astype(float)
    plain, mirrored = np.zeros((2, 3, 16, 16))
    plain[:, :, 1:] = (shown - mean[:, :, 1:]) * 2
    mirrored[:, :, :15] = (shown[:, :, ::-1] - mean[:, :, :15]) * 2
    sides = [
        [i for i, want in enumerate((plain, mirrored)) if np.allclose(crop, want, atol=1e-3)]
        for crop in net.forward()["data"]
    ]
    assert sorted(map(tuple, sides))[:: len(sides) - 1] == ([(0,), (1,)] if mirror else [(0,), (0,)])
    net.close()


def test_square_crops(tmp_path: Path) -> None:
    write(tmp_path, WINDOWS[:1])
    net = net_on(tmp_path, 'batch_size: 1 fg_fraction: 1 crop_mode: "square"')
    want = resize_image(PICTURES[0][:, 2:13, 4:15], 16, 16)
    np.testing.assert_array_equal(net.forward()["data"][0], want)
    net.close()


def test_the_seed_decides(folder: Path) -> None:
    nets = [net_on(folder, "batch_size: 20", seed=s) for s in (5, 5, 6)]
    first, same, other = ([net.forward()["data"].copy() for _ in range(3)] for net in nets)
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)
    for net in nets:
        net.close()


@pytest.mark.parametrize(
    ("fields", "transform", "kind", "says"),
    [
        ("batch_size: 2 context_pad: 8", "crop_size: 16", ParameterError, "context_pad 8"),
        ("batch_size: 2", "crop_size: 16 mean_value: [1, 2]", ParameterError, "2 mean_value"),
        ("batch_size: 2", "crop_size: 16 mean_value: 1 mean_file: 'm'", ParameterError, "both"),
        ("batch_size: 2 bg_threshold: 0", "crop_size: 16", DataError, "no background windows, .* wants 2"),
        ("batch_size: 8 fg_threshold: 1.1", "crop_size: 16", DataError, "no foreground windows, .* wants 2"),
        ("batch_size: 2 fg_threshold: 0", "crop_size: 16", DataError, "class 0"),
    ],
)
def test_refused(folder: Path, fields: str, transform: str, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=rf"{says}.*layer 'w' of type WindowData, net.prototxt:"):
        net_on(folder, fields, transform)


@pytest.mark.parametrize(
    ("shape", "says"), [((3, 15, 15), "3×15×15"), ((1, 20, 20), "1×20×20"), ((3, 16, 40), "wider")]
)
def test_mean_images_that_do_not_fit(folder: Path, shape: tuple[int, ...], says: str) -> None:
    save_mean(folder / "mean", shape)
    with pytest.raises(ShapeError, match=says):
        net_on(folder, "batch_size: 2", f'crop_size: 16 mean_file: "{folder}/mean"')


def test_windows_outside_their_image_and_images_not_there(tmp_path: Path) -> None:
    write(tmp_path, [(0, 3, 1.0, 25, 5, 33, 8)])
    net = net_on(tmp_path, "batch_size: 1 fg_fraction: 1")
    with pytest.raises(DataError, match=r"25 to 33 .*layer 'w' of type WindowData.* '0\.png' in '.*windows\.txt'"):
        net.forward()
    net.close()
    os.remove(tmp_path / "0.png")
    net = net_on(tmp_path, "batch_size: 1 fg_fraction: 1")
    with pytest.raises(MissingFileError, match=r"0\.png.*layer 'w'"):
        net.forward()
    net.close()
    with pytest.raises(MissingFileError, match=r"windows\.txt.*layer 'w'"):
        net_on(tmp_path / "nowhere")
