from __future__ import annotations

import logging
import time

import pytest

import pycaffe_lite as caffe


def test_it_measures_milliseconds() -> None:
    timer = caffe.Timer()
    timer.start()
    time.sleep(0.02)
    timer.stop()
    measured = timer.ms
    assert 20 <= measured < 2000
    time.sleep(0.01)
    timer.stop()
    assert timer.ms == measured


def test_asking_stops_it_and_starting_twice_goes_on() -> None:
    timer = caffe.Timer()
    timer.start()
    time.sleep(0.02)
    timer.start()
    first = timer.ms
    assert first >= 20
    time.sleep(0.01)
    assert timer.ms == first
    timer.start()
    assert timer.ms < first


def test_never_started(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert caffe.Timer().ms == 0
    assert "never been run" in caplog.text
