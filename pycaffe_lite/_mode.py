"""pycaffe's switches between CPU and GPU; there is only the CPU."""

from __future__ import annotations

import logging
from typing import SupportsIndex, SupportsInt

from pycaffe_lite.errors import ParameterError

log = logging.getLogger(__name__)


def set_mode_cpu() -> None:
    """Compute on the CPU, as always."""


def set_mode_gpu() -> None:
    """Log that there is no GPU engine and go on, on the CPU: the results are the same."""
    log.warning("There is no GPU engine: computing on the CPU")


def set_device(device_id: str | SupportsInt | SupportsIndex) -> None:
    """As set_mode_gpu: there is no device to choose. Raises ParameterError for what is no number."""
    try:
        number = int(device_id)
    except (TypeError, ValueError):
        raise ParameterError(f"The device is {device_id!r}", hint="Give its number: caffe.set_device(0).") from None
    log.warning("There is no GPU engine: device %d is not used", number)
