from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.data._strokes import FORMS, SAMPLES, parse_form
from pycaffe_lite.data.datum import parse_datums
from pycaffe_lite.data.digits import make_digits, write_digits_lmdb
from pycaffe_lite.data.lmdb import LMDBReader
from pycaffe_lite.errors import DataError, MissingFileError


def test_form_and_frequency() -> None:
    images, labels = make_digits(1010, 4)
    assert images.shape == (1010, 28, 28)
    assert images.dtype == labels.dtype == np.uint8
    assert np.bincount(labels).tolist() == [101] * 10
    assert (labels[:20] != np.arange(20) % 10).any()


def test_the_seed_decides_on_every_platform() -> None:
    images, labels = make_digits(600, 7)
    assert hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()[:16] == "02e6f1e4331f3064"
    again, _ = make_digits(600, 7)
    np.testing.assert_array_equal(images, again)
    other, _ = make_digits(600, 8)
    assert (images != other).any(axis=(1, 2)).all()
    assert (images != make_digits(600, (7, 1))[0]).any()


def test_digits_look_like_mnist() -> None:
    """Bright strokes on black, in the middle, of about MNIST's amount of ink (its mean is 33)."""
    images, _ = make_digits(1000, 1)
    assert images.max(axis=(1, 2)).min() > 200
    assert 25 < images.mean() < 40
    ink = images.astype(float)
    at = np.arange(28)
    for axis in (1, 2):
        centre = (ink.sum(axis=3 - axis) * at).sum(1) / ink.sum(axis=(1, 2))
        assert abs(centre.mean() - 13.5) < 0.3
        assert np.abs(centre - 13.5).max() < 6
    assert (ink[:, [0, -1]].max(axis=(1, 2)) > 128).mean() < 0.02
    assert (ink[:, :, [0, -1]].max(axis=(1, 2)) > 128).mean() < 0.02


def test_a_linear_classifier_learns_them_but_not_all() -> None:
    """Least squares on one-hot labels, averaged over 2 x 2 pixels: learnable, and not trivially so."""
    images, labels = make_digits(4000, 2)
    x = images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196) / 255
    x = np.c_[x, np.ones(len(x))]
    train, test = slice(0, 3000), slice(3000, None)
    weights = np.linalg.solve(x[train].T @ x[train] + np.eye(197), x[train].T @ np.eye(10)[labels[train]])
    accuracy = ((x[test] @ weights).argmax(1) == labels[test]).mean()
    assert 0.75 < accuracy < 0.95


def test_databases(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    train, test = write_digits_lmdb(tmp_path, train=1200, test=30, seed=3, progress=lambda *p: told.append(p))
    assert (train, test) == (str(tmp_path / "digits_train_lmdb"), str(tmp_path / "digits_test_lmdb"))
    assert told == [(1000, 1230), (1200, 1230), (1230, 1230)]
    for path, count, seed in ((train, 1200, (3, 0)), (test, 30, (3, 1))):
        with LMDBReader(path) as db:
            assert list(db.keys()) == [b"%08d" % i for i in range(count)]
            images, labels = parse_datums(list(db))
        expected_images, expected_labels = make_digits(count, seed)
        np.testing.assert_array_equal(images[:, 0], expected_images)
        np.testing.assert_array_equal(labels, expected_labels)
    with pytest.raises(DataError, match="exists already"):
        write_digits_lmdb(tmp_path, train=10, test=10)
    with pytest.raises(MissingFileError, match="no folder"):
        write_digits_lmdb(tmp_path / "no", train=10, test=10)


def test_every_form_is_a_curve_through_its_points() -> None:
    assert sorted(FORMS) == list(range(10))
    for texts in FORMS.values():
        assert len(texts) >= 2
        for text in texts:
            form = parse_form(text)
            assert form.basis.shape == (SAMPLES, len(form.points))
            np.testing.assert_allclose(form.basis.sum(axis=1), 1)
            curve = form.basis @ form.points
            distance = np.linalg.norm(curve[:, None] - form.points, axis=2).min(axis=0)
            assert distance.max() < 0.03
            steps = np.linalg.norm(np.diff(curve, axis=0), axis=1)
            assert steps[form.gaps[:-1] == 1].max() < 0.06
            assert set(form.strokes) == set(range(text.count(";") + 1))


def test_corners_and_lifted_pens() -> None:
    form = parse_form("0,0 100,0 / 100,50 ; 0,100 0,50")
    assert form.points.tolist() == [[0, 0], [1, 0], [1, 0.5], [0, 1], [0, 0.5]]
    assert form.strokes.tolist() == [0, 0, 0, 1, 1]
    curve = form.basis @ form.points
    ends = np.flatnonzero(form.gaps == 0)
    np.testing.assert_allclose(curve[ends], [[1, 0], [1, 0.5], [0, 0.5]], atol=1e-12)
    np.testing.assert_allclose(curve[ends[:-1] + 1], [[1, 0], [0, 1]], atol=1e-12)
    assert np.diff(ends, prepend=-1).tolist() == [48, 24, 24]
