"""Detector: the R-CNN way, a prediction for each of many windows of a picture."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from pycaffe_lite._files import PathLike
from pycaffe_lite._typing import Array
from pycaffe_lite.classifier import PictureNet
from pycaffe_lite.data.pictures import resize_image
from pycaffe_lite.errors import MissingPackageError, ParameterError, ShapeError
from pycaffe_lite.io import load_image


class Detector(PictureNet):
    """A net that looks at windows of pictures, each warped to its input.

    `context_pad` is how many of the input's pixels on each side show what surrounds the window, the mean where that is
    outside the picture; the rest are the Transformer's settings. Raises what Net raises, ShapeError, ParameterError for
    a context_pad that leaves nothing of the input, and GraphError for a net without an Input layer.
    """

    def __init__(
        self,
        model_file: PathLike,
        pretrained_file: PathLike,
        mean: Array | None = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
        context_pad: int | None = None,
        *,
        reuse_memory: bool = False,
    ) -> None:
        super().__init__(model_file, pretrained_file, mean, input_scale, raw_scale, channel_swap, reuse_memory)
        self.configure_crop(context_pad)

    def detect_windows(self, images_windows: Iterable[tuple[str, Iterable[Sequence[float]]]]) -> list[dict[str, Any]]:
        """Predictions for (picture's file, windows) pairs; a window is (ymin, xmin, ymax, xmax) in pixels.

        Returns, in this order, a dict of `window`, `prediction` (the first output's entry) and `filename` for each.
        """
        found, crops = [], []
        for filename, windows in images_windows:
            image = load_image(filename, color=self.blobs[self.inputs[0]].shape[1] != 1)
            for window in windows:
                try:
                    crops.append(self.crop(image, window))
                except ShapeError as e:
                    e.found = f"'{filename}': {e.found}"
                    raise
                found.append({"window": window, "filename": filename})
        if crops:
            for detection, prediction in zip(found, self._run(crops), strict=True):
                detection["prediction"] = prediction
        return found

    def detect_selective_search(self, image_fnames: Iterable[str]) -> list[dict[str, Any]]:
        """`detect_windows` for the windows that selective search proposes.

        They come from the module selective_search_ijcv_with_python, which needs MATLAB. Raises MissingPackageError.
        """
        try:
            search = importlib.import_module("selective_search_ijcv_with_python")
        except ImportError as e:
            raise MissingPackageError(
                "Selective search needs the module 'selective_search_ijcv_with_python'",
                hint="It is not on PyPI: get it from its author, or give windows of your own to detect_windows.",
            ) from e
        names = list(image_fnames)
        return self.detect_windows(zip(names, search.get_windows(names, cmd="selective_search_rcnn"), strict=True))

    def crop(self, im: Array, window: Sequence[float]) -> Array:
        """The pixels of a picture (height, width, channels) in a window (y0, x0, y1, x1), or with context_pad the
        input's size with what surrounds them. Raises ShapeError for a window without pixels.
        """
        box = np.array(window, np.float64)
        if not self.context_pad:
            y0, x0, y1, x1 = box.astype(int)
            return _not_empty(im[y0:y1, x0:x1], window, im)
        size = np.array(self.crop_dims[:2], np.float64)
        # The box grows about its middle until the window fills all of the input but the padding.
        half = (box[2:] - box[:2] + 1) / 2
        middle, half = box[:2] + half, half * (size / (size - 2 * self.context_pad))
        low, high = np.round(middle - half), np.round(middle + half)
        scale = size / (high - low + 1)
        start = np.round(np.maximum(0, -low) * scale).astype(int)
        low, high = np.clip(low, 0, im.shape[:2]), np.clip(high, 0, im.shape[:2])
        stop = np.minimum(start + np.round((high - low + 1) * scale).astype(int), self.crop_dims[:2])
        (y0, x0), (y1, x1) = low.astype(int), high.astype(int)
        made: Array = np.ones(self.crop_dims, np.float32) * self.crop_mean
        inside = _not_empty(im[y0:y1, x0:x1], window, im)
        made[start[0] : stop[0], start[1] : stop[1]] = resize_image(inside, stop - start)
        return made

    def configure_crop(self, context_pad: int | None) -> None:
        """Set context_pad, and compute what stands for pixels outside a picture: the mean, as `load_image` scales."""
        name = self.inputs[0]
        order = np.argsort(self.transformer.transpose[name])
        self.context_pad = context_pad
        self.crop_dims = np.array(self.blobs[name].shape[1:])[order]
        if context_pad and 2 * context_pad >= min(self.crop_dims[:2]):
            height, width = self.crop_dims[:2]
            raise ParameterError(
                f"context_pad {context_pad} on both sides leaves nothing of the input's {height}×{width} pixels"
            )
        self.crop_mean: Array = np.zeros(self.crop_dims, np.float32)
        mean = self.transformer.mean.get(name)
        if context_pad and mean is not None:
            swap = self.transformer.channel_swap.get(name)
            swapped = mean if swap is None else mean[np.argsort(swap)]
            self.crop_mean = swapped.transpose(order) / (self.transformer.raw_scale.get(name) or 1)


def _not_empty(pixels: Array, window: Sequence[float], im: Array) -> Array:
    if not pixels.size:
        raise ShapeError(
            f"The window {tuple(window)} has no pixels of the picture, which has {im.shape[0]}×{im.shape[1]}",
            hint="A window is (ymin, xmin, ymax, xmax).",
        )
    return pixels
