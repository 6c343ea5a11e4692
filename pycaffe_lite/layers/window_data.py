"""WindowData: windows of images with an object or without, as R-CNN is trained on."""

from __future__ import annotations

import numpy as np

from pycaffe_lite._files import read_bytes
from pycaffe_lite._typing import Array, FloatArray
from pycaffe_lite.constraints import Constraint, at_least, non_empty
from pycaffe_lite.data.images import decode_image, locate, resize_image
from pycaffe_lite.data.transformer import mean_image
from pycaffe_lite.data.windows import IMAGE, LABEL, OVERLAP, X1, fit_window, read_window_file
from pycaffe_lite.errors import DataError, ParameterError, ShapeError, size_text
from pycaffe_lite.layer import Blobs, exactly
from pycaffe_lite.layers._data import field_of
from pycaffe_lite.layers._prefetching import PrefetchingLayer
from pycaffe_lite.registry import register_layer

CHANNELS = 3


@register_layer("WindowData")
class WindowData(PrefetchingLayer):
    """Draws batch_size · fg_fraction windows that overlap an object by fg_threshold or more, after the others, which
    overlap one by less than bg_threshold and get label 0, from the window file window_data_param.source.

    Tops: data (batch_size, 3, crop_size, crop_size), BGR; labels (batch_size,). A window is stretched to crop_size, or
    with crop_mode "square" its square about the same centre is, context_pad pixels of the result being what surrounds
    it; then transform_param's mirror, mean (an image's centre) and scale apply. Where the image ends, data are 0.

    Raises MissingFileError and DataError for the window file and the images, DataError where windows of one kind are
    wanted and there are none, ShapeError for a mean image smaller than the crop, MissingPackageError without Pillow.

    Differences from Caffe: the random numbers are not Caffe's; every image is read in colour, whatever number of
    channels the window file gives; paths may contain spaces; an unknown crop_mode is refused. Pictures are read as
    ImageData reads them.
    """

    tops = exactly(2)
    constraints = {
        "window_data_param.source": non_empty(),
        "window_data_param.batch_size": at_least(1),
        "window_data_param.fg_fraction": Constraint(lambda v: bool(0 <= v <= 1), "must be from 0 to 1", 1.5),
        "window_data_param.crop_mode": Constraint(
            lambda v: v in ("warp", "square"), 'must be "warp" or "square"', "round"
        ),
        "transform_param.crop_size": at_least(1),
        "data_param.prefetch": at_least(1),
    }

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        p, self._transform = self._message.window_data_param, self._message.transform_param
        self._crop = self._transform.crop_size
        if 2 * p.context_pad >= self._crop:
            raise ParameterError(
                f"context_pad {p.context_pad} on both sides leaves nothing of crop_size {self._crop}",
                field="window_data_param.context_pad",
            )
        self._mean = self._read_mean()
        with field_of("window_data_param.source"):
            self._paths, windows = read_window_file(p.source)
        # Caffe counts and compares in single precision.
        overlap = windows[:, OVERLAP].astype(np.float32)
        objects = overlap >= np.float32(p.fg_threshold)
        background = windows[~objects & (overlap < np.float32(p.bg_threshold))]
        background[:, LABEL] = 0
        foreground = windows[objects]
        if (foreground[:, LABEL] < 1).any():
            raise DataError(
                f"'{p.source}' has a window of class 0 that overlaps an object by {p.fg_threshold} or more",
                hint="Class 0 is the background; objects' classes count from 1.",
            )
        wanted = int(np.float32(p.batch_size) * np.float32(p.fg_fraction))
        self._kinds = [(background, p.batch_size - wanted), (foreground, wanted)]
        for kind, (found, count) in zip(("background", "foreground"), self._kinds, strict=True):
            if count and not len(found):
                raise DataError(
                    f"'{p.source}' has no {kind} windows, and each batch wants {count}",
                    hint="See fg_threshold, bg_threshold and fg_fraction.",
                )
        self._cache: dict[int, bytes] = {}
        if p.cache_images:
            self._cache = {i: self._read(i) for i in range(len(self._paths))}
        self._start(top, (p.batch_size, CHANNELS, self._crop, self._crop), self._message.data_param.prefetch)

    def _read_mean(self) -> FloatArray:
        """What to subtract from a crop: (3, crop_size, crop_size), or (1 or 3, 1, 1)."""
        t, crop, mean = self._transform, self._crop, mean_image(self._transform)
        if mean is None:
            if len(t.mean_value) not in (0, 1, CHANNELS):
                raise ParameterError(
                    f"There are {len(t.mean_value)} mean_value's",
                    field="transform_param.mean_value[0]",
                    hint=f"Give one, or {CHANNELS}: B, G, R.",
                )
            return np.array(t.mean_value or [0], np.float32).reshape(-1, 1, 1)
        if mean.shape[0] != CHANNELS or min(mean.shape[1:]) < crop:
            raise ShapeError(
                f"The mean image '{t.mean_file}' is {size_text(mean.shape)}",
                field="transform_param.mean_file",
                hint=f"It must have {CHANNELS} channels and be no smaller than crop_size {crop}.",
            )
        # One offset for both axes, from the width, as Caffe has it.
        offset = (mean.shape[2] - crop) // 2
        if offset + crop > mean.shape[1]:
            raise ShapeError(
                f"The mean image '{t.mean_file}' is {size_text(mean.shape)}, wider than high",
                field="transform_param.mean_file",
                hint="Crops are taken from a square mean image.",
            )
        return mean[:, offset : offset + crop, offset : offset + crop]

    def _read(self, index: int) -> bytes:
        return read_bytes(locate(self._message.window_data_param.root_folder, self._paths[index]))

    def _produce(self) -> tuple[Array, Array]:
        chosen = np.concatenate(
            [found[self._rng().integers(len(found), size=count)] for found, count in self._kinds if count]
        )
        mirrored = self._rng().integers(2, size=len(chosen)) if self._transform.mirror else np.zeros(len(chosen), int)
        batch = self._buffer((len(chosen), CHANNELS, self._crop, self._crop))
        batch[...] = 0
        for window, flip, target in zip(chosen, mirrored, batch, strict=True):
            self._cut(window, bool(flip), target)
        return batch, chosen[:, LABEL]

    def _cut(self, window: FloatArray, flip: bool, target: FloatArray) -> None:
        """One window into its place of the batch (3, crop_size, crop_size), which is 0."""
        p, index = self._message.window_data_param, int(window[IMAGE])
        image = decode_image(self._cache[index] if p.cache_images else self._read(index), self._paths[index])
        try:
            y, x = fit_window(window[X1:], image.shape[1:], self._crop, p.context_pad, p.crop_mode == "square", flip)
        except DataError as e:
            e.hint = f"See the windows of '{self._paths[index]}' in '{p.source}'."
            raise
        if min(y.size, x.size) < 1:  # all but a sliver lies outside the image
            return
        pixels = resize_image(image[:, y.low : y.high + 1, x.low : x.high + 1], y.size, x.size)
        place = (slice(None), slice(y.start, y.start + y.size), slice(x.start, x.start + x.size))
        mean = self._mean if self._mean.shape[1:] == (1, 1) else self._mean[place]
        target[place] = (pixels[:, :, ::-1] if flip else pixels) - mean
        target[place] *= self._transform.scale
