"""device-query: what there is to compute with, as `caffe device_query`."""

from __future__ import annotations

import argparse
import logging
import os
import platform
from pathlib import Path

from pycaffe_lite.cli._arguments import add_unused, start_log, use_devices

NAME = "device-query"
HELP = "show what this machine has to compute with"

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gpu", metavar="IDS", help="accepted for Caffe's scripts; there is only the CPU")
    add_unused(parser)


def run(args: argparse.Namespace) -> int:
    from pycaffe_lite.engines import describe, describe_threads
    from pycaffe_lite.memory import human_bytes, memory_limit
    from pycaffe_lite.threads import cores

    start_log(args)
    use_devices(args)
    log.info("Device: CPU, %s", _processor())
    log.info("Cores: %d, of which this process may use %d", os.cpu_count() or 1, cores())
    log.info("Memory: %s", human_bytes(memory_limit()))
    log.info("Computes with: %s, Python %s, %s", describe(), platform.python_version(), platform.platform())
    log.info("Threads: %s", describe_threads())
    return 0


def _processor() -> str:
    """The processor's name where the system says it, or else its kind."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
