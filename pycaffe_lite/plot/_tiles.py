"""Filters and activations as small pictures side by side."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pycaffe_lite._extras import require
from pycaffe_lite._typing import Array
from pycaffe_lite.errors import ParameterError, ShapeError
from pycaffe_lite.plot._figure import new_figure

if TYPE_CHECKING:
    from pycaffe_lite.net import Net

_MOST = 50
"""Rows, and columns, of pictures in one figure."""


def filters(net: Net, layer: str, blob: int = 0, *, bgr: bool = True) -> Any:
    """The weights of a layer; returns the Figure.

    Filters (outputs, channels, height, width) are one picture each: grey with one channel, in colour with three (BGR
    unless `bgr` is false), and with more a row of grey pictures, channel by channel. The rows of an InnerProduct are
    drawn as filters where its bottom has height and width. All share one scale. Other weights are drawn as a matrix, or
    as bars. `blob` counts the layer's blobs: 0 are the weights, 1 is mostly the bias.

    Raises UnknownNameError for a layer that the net lacks or that learns nothing, ParameterError for a blob it lacks.
    """
    blobs = net.params[layer]
    if not 0 <= blob < len(blobs):
        raise ParameterError(f"Layer '{layer}' has no blob {blob}", hint=f"It has {len(blobs)}, counted from 0.")
    weights = np.array(blobs[blob].data)
    if weights.ndim == 2:
        bottom = net._nodes[net._layer_index(layer)].bottoms[0].shape[1:]
        if len(bottom) == 3 and min(bottom[1:]) > 1 and math.prod(bottom) == weights.shape[1]:
            weights = weights.reshape(-1, *bottom)
    title = f"{layer}: weights {_shape(weights)}" if blob == 0 else f"{layer}: blob {blob}, {_shape(weights)}"
    if weights.ndim != 4 or weights.shape[2:] == (1, 1):
        return _plain(weights.reshape(weights.shape[:2]) if weights.ndim == 4 else weights, title)
    outputs, channels = weights.shape[:2]
    if channels == 3:
        return _in_color(weights[:, ::-1] if bgr else weights, title)
    if channels == 1:
        return _in_gray(_grid(weights[:, 0]), title)
    if max(outputs, channels) > _MOST:
        title += f", the first {min(outputs, _MOST)} × {min(channels, _MOST)}"
    return _in_gray(weights[:_MOST, :_MOST], title, "channel", "filter")


def activations(net: Net, blob: str, item: int = 0) -> Any:
    """What is in a blob for one item of the batch; returns the Figure.

    A blob (items, channels, height, width) gives a grey picture for each channel, all on one scale; (items, n) gives
    bars. Raises UnknownNameError for a blob that the net lacks, ShapeError for an item or numbers that it lacks,
    ParameterError when nothing has been computed yet.
    """
    found = net.blobs[blob]
    if not found._data.allocated:
        raise ParameterError(f"Blob '{blob}' has no data yet", hint="Run net.forward() first.")
    if not found.count:
        raise ShapeError(f"Blob '{blob}' is empty: its shape is {found.shape}")
    values = np.array(found.stored("data"))
    if values.ndim < 2:
        return _plain(values.reshape(-1), f"{blob}: {_shape(values)}")
    if not -len(values) <= item < len(values):
        raise ShapeError(f"Blob '{blob}' has no item {item}", hint=f"It has {len(values)}, counted from 0.")
    values = values[item]
    title = f"{blob}: item {item % found.shape[0]}, {_shape(values)}"
    if values.ndim != 3 or values.shape[1:] == (1, 1):
        return _plain(values.reshape(-1) if values.ndim != 2 else values, title)
    if len(values) > _MOST * _MOST:
        title += f", the first {_MOST * _MOST}"
    return _in_gray(_grid(values[: _MOST * _MOST]), title)


def _shape(array: Array) -> str:
    """The shape in words, and how many numbers there are that have no place on a scale."""
    strange = array.size - int(np.isfinite(array).sum())
    return (" × ".join(map(str, array.shape)) or "one number") + (f", {strange} NaN or infinite" if strange else "")


def _grid(pictures: Array) -> Array:
    """(n, h, w) -> (rows, columns, h, w), about square as a whole; what is left over is NaN."""
    n, height, width = pictures.shape
    columns = min(n, max(1, math.ceil(math.sqrt(n * height / width))))
    rows = math.ceil(n / columns)
    grid = np.full((rows * columns, height, width), np.nan, np.float64)
    grid[:n] = pictures
    return grid.reshape(rows, columns, height, width)


def _sheet(grid: Array) -> Array:
    """(rows, columns, h, w) -> one picture, with lines of NaN between the small ones."""
    rows, columns, height, width = grid.shape
    line = max(1, round(max(height, width) / 16))
    sheet = np.full((rows * (height + line) + line, columns * (width + line) + line), np.nan, np.float64)
    for i in range(rows):
        for j in range(columns):
            top, left = line + i * (height + line), line + j * (width + line)
            sheet[top : top + height, left : left + width] = grid[i, j]
    return sheet


def _in_gray(grid: Array, title: str, across: str = "", down: str = "") -> Any:
    sheet = _sheet(grid)
    figure, axes = _canvas(sheet, title)
    gray = require("matplotlib", "plot").colormaps["gray"].with_extremes(bad="white")
    image = axes.imshow(np.where(np.isfinite(sheet), sheet, np.nan), cmap=gray, interpolation="nearest")
    figure.colorbar(image, ax=axes, fraction=0.03, pad=0.02)
    axes.set_xlabel(across)
    axes.set_ylabel(down)
    return figure


def _in_color(filters: Array, title: str) -> Any:
    finite = filters[np.isfinite(filters)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    scaled = (filters - low) / ((high - low) or 1.0)
    sheets = [_sheet(_grid(scaled[:, c])) for c in range(3)]
    figure, axes = _canvas(sheets[0], f"{title}, black {low:.3g}, white {high:.3g}")
    axes.imshow(np.nan_to_num(np.stack(sheets, axis=-1), nan=1.0), interpolation="nearest")
    return figure


def _canvas(sheet: Array, title: str) -> Any:
    """A figure in the proportions of the sheet, and its axes, without ticks."""
    height, width = sheet.shape
    inch = max(height, width) / min(10.0, max(4.0, max(height, width) / 20))
    figure = new_figure(max(width / inch, 3.4) + 0.8, height / inch + 0.6)
    axes = figure.add_subplot()
    axes.set_title(_no_formula(title), fontsize=11, wrap=True)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure, axes


def _no_formula(title: str) -> str:
    return title.replace("$", r"\$")  # parse_math=False is forgotten where a text is wrapped


def _plain(values: Array, title: str) -> Any:
    """A matrix as a picture with a scale; else the numbers as bars."""
    figure = new_figure(7.5, 4.2)
    axes = figure.add_subplot()
    axes.set_title(_no_formula(title), fontsize=11)
    if values.ndim == 2 and min(values.shape) > 1:
        most = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
        image = axes.imshow(values, cmap="RdBu_r", vmin=-most, vmax=most, aspect="auto", interpolation="nearest")
        figure.colorbar(image, ax=axes, fraction=0.04, pad=0.02)
        return figure
    flat = values.reshape(-1)
    axes.bar(np.arange(flat.size), flat, width=0.85 if flat.size <= 200 else 1.0, color="#4477AA")
    axes.axhline(0, color="#333333", linewidth=0.8)
    axes.margins(x=0.01)
    axes.xaxis.get_major_locator().set_params(integer=True)
    return figure
