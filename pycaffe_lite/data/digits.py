"""A data set of handwritten-looking digits that needs no download: drawn here, in MNIST's format.

Each image is one of several forms of its digit (`_strokes.FORMS`), its points displaced by a smooth random field and
its strokes shifted against each other; the curve through them is slanted, rotated, stretched, fitted to MNIST's box,
shifted, and drawn with a pen of random width and ink:

    ink(p) = min(1, g · Σ_k |q_{k+1} - q_k| · exp(-|p - q_k|² / 2σ²) / (σ √2π))

over the points q_k of the curve. The Gaussian is a product of one factor in x and one in y, so that an image is the
product of a (28, K) and a (K, 28) matrix.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pycaffe_lite._files import PathLike
from pycaffe_lite._typing import FloatArray, OnProgress
from pycaffe_lite.data._strokes import FORMS, SAMPLES, Form, parse_form
from pycaffe_lite.data.mnist import write_gray_images
from pycaffe_lite.errors import MissingFileError

SIZE = 28
_CHUNK = 500
"""Images drawn at once; keeps the intermediate arrays within a few megabytes."""

UInt8Array = npt.NDArray[np.uint8]


def make_digits(n: int, seed: int | Sequence[int]) -> tuple[UInt8Array, UInt8Array]:
    """`n` images (n, 28, 28), white (255) on black (0), and their labels (n,).

    All digits are equally frequent, in random order. The same `n` and `seed` give the same images.
    """
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % 10).astype(np.uint8)
    images = np.empty((n, SIZE, SIZE), np.uint8)
    for start in range(0, n, _CHUNK):
        part = slice(start, start + _CHUNK)
        curves, lengths = _curves(labels[part], rng)
        curves = _place(curves, rng)
        images[part] = _draw(curves, lengths, rng)
    return images, labels


def write_digits_lmdb(
    folder: PathLike, train: int = 10000, test: int = 2000, seed: int = 1, progress: OnProgress | None = None
) -> tuple[str, str]:
    """Write `digits_train_lmdb` and `digits_test_lmdb` into `folder`; returns their paths.

    `progress` is told (done, total) over both. Raises DataError when one exists already, MissingFileError when there is
    no such folder.
    """
    folder = os.fspath(folder)
    if not os.path.isdir(folder):
        raise MissingFileError(f"There is no folder '{folder}' to write the digits to", hint="Make it first.")
    paths, done = [], 0
    for index, (name, count) in enumerate((("train", train), ("test", test))):
        paths.append(os.path.join(folder, f"digits_{name}_lmdb"))
        images, labels = make_digits(count, (seed, index))
        report = None if progress is None else lambda n, _, so_far=done: progress(so_far + n, train + test)
        done += write_gray_images(paths[-1], images, labels, report)
    return paths[0], paths[1]


@functools.cache
def _forms() -> tuple[Form, ...]:
    """All forms, digit by digit."""
    return tuple(parse_form(text) for digit in range(10) for text in FORMS[digit])


def _curves(labels: UInt8Array, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Points (n, K, 2) along each digit's curve, and (n, K) 0 where the pen is lifted after a point, else 1."""
    n = len(labels)
    counts = np.array([len(FORMS[digit]) for digit in range(10)])
    chosen = (np.cumsum(counts) - counts)[labels] + np.floor(rng.random(n) * counts[labels]).astype(int)
    waves = rng.normal(0, 1, (n, 3, 2)) * 1.1  # three plane waves per image: wave vectors,
    phases = rng.uniform(0, 2 * np.pi, (n, 3, 1))
    heights = rng.normal(0, 0.038, (n, 3, 2))  # and displacements in x and y
    shifts = rng.normal(0, 0.03, (n, 2, 2))  # of the pen between strokes
    curves, pen = np.empty((n, SAMPLES, 2)), np.empty((n, SAMPLES))
    for index, form in enumerate(_forms()):
        who = np.flatnonzero(chosen == index)
        field = np.sin(2 * np.pi * np.matmul(waves[who], form.points.T) + phases[who])
        points = form.points + np.matmul(field.transpose(0, 2, 1), heights[who]) + shifts[who][:, form.strokes]
        curves[who], pen[who] = np.matmul(form.basis, points), form.gaps
    return curves, pen


def _place(curves: FloatArray, rng: np.random.Generator) -> FloatArray:
    """The curves in pixels: slanted, rotated, stretched, fitted to MNIST's box of 20 pixels and shifted."""
    n = len(curves)
    angle, slant = rng.normal(0, 0.11, n), rng.normal(0.1, 0.18, n)
    width, box = rng.uniform(0.65, 1.0, n), rng.uniform(15.5, 20.0, n)
    shift = rng.normal(0, 0.8, (n, 1, 2))
    cos, sin = np.cos(angle), np.sin(angle)
    upright = np.stack([np.stack([width, -slant], -1), np.stack([np.zeros(n), np.ones(n)], -1)], -2)
    rotation = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)
    curves = np.matmul(curves - 0.5, np.matmul(rotation, upright).transpose(0, 2, 1))
    low, high = curves.min(axis=1, keepdims=True), curves.max(axis=1, keepdims=True)
    scale = (box - 2)[:, None, None] / (high - low).max(axis=2, keepdims=True)  # the pen's width adds 2 pixels
    centre = (low + high + 2 * curves.mean(axis=1, keepdims=True)) / 4  # between the box's and the mass's
    placed: FloatArray = (curves - centre) * scale + (SIZE - 1) / 2 + shift
    return placed


def _draw(curves: FloatArray, pen: FloatArray, rng: np.random.Generator) -> UInt8Array:
    """Images (n, 28, 28) of the curves, drawn with a random pen each."""
    n = len(curves)
    sigma = rng.uniform(0.6, 1.05, (n, 1))
    gain = rng.uniform(1.2, 1.9, (n, 1, 1))
    steps = np.linalg.norm(np.diff(curves, axis=1, append=curves[:, -1:]), axis=2) * pen
    middles = curves + np.diff(curves, axis=1, append=curves[:, -1:]) * 0.5 * pen[:, :, None]
    offsets = np.arange(SIZE)[None, :, None] - middles.transpose(2, 0, 1)[:, :, None, :]  # (2, n, 28, K)
    along_x, along_y = np.exp(-(offsets**2) / (2 * sigma[:, :, None] ** 2))
    ink = np.matmul(along_y * (steps / (sigma * np.sqrt(2 * np.pi)))[:, None, :], along_x.transpose(0, 2, 1))
    grain = rng.normal(0, 1, (n, SIZE, SIZE)) * rng.uniform(0, 0.05, (n, 1, 1))
    images: UInt8Array = np.round(255 * np.clip(np.clip(gain * ink, 0, 1) + grain, 0, 1)).astype(np.uint8)
    return images
