"""ImageData against pictures made here and the reference photographs."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pycaffe_lite import TEST, TRAIN, Net
from pycaffe_lite.data.images import read_image, resize_image
from pycaffe_lite.errors import DataError, MissingFileError, ParameterError
from tests.layers.nets import net_of

IMAGES = np.random.default_rng(1).integers(0, 256, (7, 3, 5, 6), dtype=np.uint8)
LABELS = np.array([4, 0, 6, 2, 9, 1, 3])


def save(file: Path, bgr: np.ndarray) -> None:
    Image.fromarray(bgr[::-1].transpose(1, 2, 0)).save(file)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Seven pictures and list.txt; one name has a space in it."""
    names = [f"picture {i}.png" if i == 2 else f"{i}.png" for i in range(7)]
    for name, image in zip(names, IMAGES, strict=True):
        save(tmp_path / name, image)
    lines = [f"{name} {label}\n" for name, label in zip(names, LABELS, strict=True)]
    (tmp_path / "list.txt").write_text("".join(lines))
    return tmp_path


def net_on(folder: Path, fields: str = "batch_size: 3", more: str = "", phase: int = TRAIN, seed: int = 5) -> Net:
    return net_of(
        f'layer {{ name: "d" type: "ImageData" top: "data" top: "label" {more}\n'
        f'image_data_param {{ source: "{folder}/list.txt" root_folder: "{folder}/" {fields} }} }}',
        phase,
        seed=seed,
    )


def labels_of(net: Net, batches: int) -> list[int]:
    return [int(v) for _ in range(batches) for v in net.forward()["label"]]


@pytest.mark.parametrize("prefetch", [1, 4])
def test_files_come_in_order_and_wrap_around(folder: Path, prefetch: int) -> None:
    net = net_on(folder, more=f"data_param {{ prefetch: {prefetch} }}")
    assert net.blobs["data"].shape == (3, 3, 5, 6)
    assert net.blobs["label"].shape == (3,)
    for step in range(8):
        net.forward()
        time.sleep(0.003)  # the thread works ahead
        rows = np.arange(3 * step, 3 * step + 3) % 7
        np.testing.assert_array_equal(net.blobs["data"].data, IMAGES[rows])
        np.testing.assert_array_equal(net.blobs["label"].data, LABELS[rows])
    net.close()


@pytest.mark.parametrize("size", [7, 14, 17])
def test_batches_as_long_as_the_list_or_longer(folder: Path, size: int) -> None:
    net = net_on(folder, f"batch_size: {size}")
    assert labels_of(net, 3) == [LABELS[i % 7] for i in range(3 * size)]
    net.close()


def test_shuffled_each_pass_has_all_in_an_order_of_its_own(folder: Path) -> None:
    nets = [net_on(folder, "batch_size: 3 shuffle: true", seed=s) for s in (5, 5, 6)]
    orders = [labels_of(net, 7) for net in nets]
    passes = [tuple(orders[0][i : i + 7]) for i in (0, 7, 14)]
    assert all(sorted(p) == sorted(LABELS) for p in passes)
    assert len(set(passes)) == 3
    assert orders[0] == orders[1] != orders[2]
    net = nets[0]
    net.forward()
    for image, label in zip(net.blobs["data"].data, net.blobs["label"].data, strict=True):
        np.testing.assert_array_equal(image, IMAGES[list(LABELS).index(int(label))])
    for net in nets:
        net.close()


def test_gray_resized_and_transformed(folder: Path) -> None:
    net = net_on(
        folder,
        "batch_size: 2 is_color: false new_height: 7 new_width: 4",
        "transform_param { scale: 0.5 crop_size: 3 mean_value: 10 }",
        TEST,
    )
    assert net.blobs["data"].shape == (2, 1, 3, 3)
    gray = [resize_image(read_image(f"{folder}/{i}.png", color=False), 7, 4) for i in (0, 1)]
    expected = (np.array(gray, float)[:, :, 2:5, 0:3] - 10) * 0.5
    np.testing.assert_allclose(net.forward()["data"], expected, rtol=1e-6)
    net.close()


def test_rand_skip_starts_somewhere_within(folder: Path) -> None:
    starts = set()
    for seed in range(16):
        net = net_on(folder, "batch_size: 1 rand_skip: 4", seed=seed)
        starts.add(labels_of(net, 1)[0])
        net.close()
    assert starts == set(LABELS[:4])


def test_batches_of_one_may_differ_in_size_others_not(folder: Path) -> None:
    save(folder / "1.png", IMAGES[1][:, :4, :3])
    net = net_on(folder, "batch_size: 1")
    shapes = [net.forward()["data"].shape for _ in range(3)]
    assert shapes == [(1, 3, 5, 6), (1, 3, 4, 3), (1, 3, 5, 6)]
    net.close()
    net = net_on(folder, "batch_size: 2")
    with pytest.raises(DataError, match=r"3×4×3.*layer 'd' of type ImageData"):
        net.forward()
    net.close()
    net = net_on(folder, "batch_size: 2 new_height: 8 new_width: 9")
    assert net.forward()["data"].shape == (2, 3, 8, 9)
    net.close()


def test_no_thread_before_forward_nor_after_close(folder: Path) -> None:
    def threads() -> int:
        return sum(t.name == "prefetch" for t in threading.enumerate())

    before = threads()
    net = net_on(folder)
    assert threads() == before
    net.forward()
    assert threads() == before + 1
    net.close()
    assert threads() == before


def test_refusals_name_layer_and_place(folder: Path) -> None:
    with pytest.raises(ParameterError, match=r"layer 'd' of type ImageData, net.prototxt:2:.*Give new_width too"):
        net_on(folder, "new_height: 5")
    with pytest.raises(MissingFileError, match=r"list\.txt.*layer 'd' of type ImageData, net.prototxt:2:"):
        net_on(folder / "nowhere")
    (folder / "4.png").unlink()
    net = net_on(folder)
    net.forward()
    for _ in range(2):  # and stays refused
        with pytest.raises(MissingFileError, match=r"4\.png.*layer 'd' of type ImageData, .*list\.txt:5:1"):
            net.forward()
    net.close()


def test_real_photographs(shared: Path, tmp_path: Path) -> None:
    rows = (shared / "data" / "imagenet_sample" / "labels.csv").read_text().splitlines()[1:]
    files = [row.split(",")[:2] for row in rows]
    (tmp_path / "list.txt").write_text("".join(f"{name} {label}\n" for name, label in files))
    net = net_of(
        f'layer {{ name: "d" type: "ImageData" top: "data" top: "label" image_data_param {{ batch_size: 5 '
        f'source: "{tmp_path}/list.txt" root_folder: "{shared}/data/imagenet_sample/" '
        "new_height: 256 new_width: 250 } transform_param { crop_size: 227 mirror: true mean_value: 104 } }"
    )
    out = net.forward()
    assert out["data"].shape == (5, 3, 227, 227)
    assert [str(int(v)) for v in out["label"]] == [label for _, label in files[:5]]
    assert out["data"].std() > 20
    net.close()
