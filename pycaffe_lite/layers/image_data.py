"""ImageData: images and labels from the files that a list names, read and transformed ahead in a background thread."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.constraints import at_least, non_empty
from pycaffe_lite.data.images import locate, of_list, read_image, read_image_list, resize_image
from pycaffe_lite.data.transformer import DataTransformer
from pycaffe_lite.errors import DataError, ParameterError
from pycaffe_lite.layer import Blobs, exactly
from pycaffe_lite.layers._data import check_size, field_of
from pycaffe_lite.layers._prefetching import PrefetchingLayer
from pycaffe_lite.registry import register_layer

_log = logging.getLogger(__name__)


@register_layer("ImageData")
class ImageData(PrefetchingLayer):
    """Reads the files in image_data_param.source, lines of "path label", in order or shuffled anew for each pass.

    Tops: data (batch_size, C, H, W), the channels BGR or, without is_color, gray, resized to new_height × new_width if
    these are given, then transformed by transform_param; labels (batch_size,). The first image of a batch decides on
    its shape, so that batches of one may differ. data_param.prefetch batches (4 unless given) are made ahead.

    Raises MissingFileError and DataError for the list and its files, DataError for images of several sizes in one
    batch, MissingPackageError without Pillow.

    Differences from Caffe: pictures are decoded and resized by Pillow, which gives OpenCV's numbers or, where it
    resizes, one less; root_folder needs no slash at its end; rand_skip may be larger than the list; the order of
    shuffled files is not Caffe's.
    """

    tops = exactly(2)
    constraints = {
        "image_data_param.source": non_empty(),
        "image_data_param.batch_size": at_least(1),
        "data_param.prefetch": at_least(1),
    }

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        p = self._message.image_data_param
        if bool(p.new_height) != bool(p.new_width):
            missing = "new_width" if p.new_height else "new_height"
            raise ParameterError(
                "new_height and new_width go together",
                field=f"image_data_param.{'new_height' if p.new_height else 'new_width'}",
                hint=f"Give {missing} too, or neither.",
            )
        with field_of("image_data_param.source"):
            self._paths, self._labels = read_image_list(p.source)
        self._transformer = DataTransformer(self._message.transform_param, self.phase, self._rng())
        self._seed = int(self._rng().integers(2**63)) if p.shuffle else None
        self._begin_pass(0)
        self._next = int(self._rng().integers(p.rand_skip)) % len(self._paths) if p.rand_skip else 0
        image = self._read(self._order[self._next])
        shape = (p.batch_size, *self._transformer.shape(image.shape))
        self._start(top, shape, self._message.data_param.prefetch)

    def _begin_pass(self, number: int) -> None:
        """Order the list for a pass over it: the order follows from the layer's seed and the pass's number."""
        self._pass, self._next = number, 0
        self._order = np.arange(len(self._paths))
        if self._seed is not None:
            np.random.default_rng([self._seed, number]).shuffle(self._order)

    def _read(self, index: int) -> Array:
        p = self._message.image_data_param
        with of_list(p.source, index):
            image = read_image(locate(p.root_folder, self._paths[index]), color=p.is_color)
        return resize_image(image, p.new_height, p.new_width) if p.new_height else image

    def _take(self, count: int) -> Array:
        """The next indices into the list, going on with a new pass after its end."""
        taken = [self._order[self._next : self._next + count]]
        left = count - len(taken[0])
        self._next += len(taken[0])
        while left > 0 or self._next == len(self._order):
            _log.info("Restarting data prefetching from start.")
            self._begin_pass(self._pass + 1)
            taken.append(self._order[:left])
            self._next = len(taken[-1])
            left -= self._next
        return np.concatenate(taken)

    def _produce(self) -> tuple[Array, Array]:
        indices = self._take(self._message.image_data_param.batch_size)
        images = [self._read(i) for i in indices]
        batch = self._buffer((len(images), *self._transformer.shape(images[0].shape)))
        self._transformer.transform_batch(images, batch)
        return batch, self._labels[indices]

    def resume_state(self) -> dict[str, Any]:
        return {"pass": self._pass, "next": self._next, "seed": self._seed, "files": len(self._paths)}

    def set_resume_state(self, state: Mapping[str, Any]) -> None:
        check_size(state["files"], len(self._paths), "files")
        if (state["seed"] is None) != (self._seed is None):
            raise DataError("Either the snapshot or the net has shuffled files, not both")
        self._seed = state["seed"]
        self._begin_pass(state["pass"])
        self._next = state["next"]
