"""Layouts and primitives against numpy."""

from __future__ import annotations

import ctypes
import gc
import itertools
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pycaffe_lite.errors import EngineError
from pycaffe_lite.memory import aligned

pytestmark = pytest.mark.usefixtures("onednn")


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, 20, 5, 7)).astype(np.float32)


def test_equal_layouts_are_one_object(x: np.ndarray) -> None:
    from pycaffe_lite.engines.onednn._arrays import channels_innermost, layout
    from pycaffe_lite.engines.onednn._primitive import plain_layout

    assert layout(x) is plain_layout(x.shape)
    assert layout(x).is_plain
    assert layout(np.ones((3, 1, 1, 7), np.float32)) is plain_layout((3, 1, 1, 7))
    innermost = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    assert layout(innermost) is channels_innermost(x.shape)
    assert not layout(innermost).is_plain
    assert layout(innermost).nbytes == x.nbytes
    assert channels_innermost((2, 1, 5, 7)).is_plain


def test_reorders(x: np.ndarray) -> None:
    from pycaffe_lite.engines.onednn._arrays import Target, channels_innermost, layout, read

    def scratch(name: str, shape: tuple[int, ...], dtype: object) -> np.ndarray:
        return aligned(shape[0], np.float32)

    innermost = channels_innermost(x.shape)
    copy = read(x, innermost, scratch, "x")
    np.testing.assert_array_equal(copy.reshape(2, 5, 7, 20), np.moveaxis(x, 1, -1))
    assert read(x, layout(x), scratch, "x") is x
    back = np.zeros_like(x)
    target = Target(back, innermost, scratch, "y")
    target.memory[...] = copy
    target.done()
    np.testing.assert_array_equal(back, x)
    assert Target(back, layout(back), scratch, "y").memory is back


def test_small_images_are_one_for_pointwise_convolutions() -> None:
    from pycaffe_lite.engines.onednn._arrays import channels_innermost
    from pycaffe_lite.engines.onednn._convolution import ConvolutionPrimitives
    from pycaffe_lite.engines.onednn._primitive import DIFF_SRC, DST, SRC
    from pycaffe_lite.layers._geometry import Geometry

    def seen(num: int, size: int, stride: int = 1) -> tuple[int, ...]:
        x = (num, 16, size, size + 1)
        y = (num, 32, (size - 1) // stride + 1, size // stride + 1)
        geometry = Geometry((1, 1), (stride, stride), (0, 0), (1, 1))
        made = ConvolutionPrimitives(x, (32, 16, 1, 1), y, geometry, bias=True, learning=False)
        forward, data, weights = made.forward(), made.backward_data(), made.backward_weights()
        assert forward.arguments[SRC] is data.arguments[DIFF_SRC] is channels_innermost(x)
        assert forward.arguments[DST] is channels_innermost(y)
        assert data.description.layout(DIFF_SRC) is forward.description.layout(SRC)
        assert weights.arguments[SRC].shape == x
        return forward.description.layout(SRC).shape

    assert seen(3, 7) == (1, 16, 21, 8)
    assert seen(1, 7) == (1, 16, 7, 8)
    assert seen(3, 28) == (3, 16, 28, 29)
    assert seen(3, 7, stride=2) == (3, 16, 7, 8)


def test_a_primitive_runs_in_any_thread() -> None:
    """Convolutions take working memory, which is each thread's own."""
    from pycaffe_lite.engines.onednn._convolution import ConvolutionPrimitives
    from pycaffe_lite.layers._geometry import Geometry

    rng = np.random.default_rng(1)
    made = ConvolutionPrimitives(
        (2, 16, 6, 6),
        (16, 16, 1, 1),
        (2, 16, 6, 6),
        Geometry((1, 1), (1, 1), (0, 0), (1, 1)),
        bias=False,
        learning=False,
    )
    assert made.has("forward")
    run = made.forward()
    from pycaffe_lite.engines.onednn._primitive import DST, SRC, WEIGHTS, plain_layout, reorder

    lies = [run.arguments[a] for a in (SRC, WEIGHTS, DST)]
    plain = [rng.normal(size=s).astype(np.float32) for s in ((2, 16, 6, 6), (16, 16, 1, 1), (2, 16, 6, 6))]
    memory = [aligned(layout.nbytes // 4, np.float32) for layout in lies]
    for array, layout, into in zip(plain, lies, memory, strict=True):
        reorder(plain_layout(array.shape), layout)(array, into)
    threads = [threading.Thread(target=run, args=memory) for _ in range(3)]
    for thread in threads:
        thread.start()
        thread.join()
    y = np.zeros_like(plain[2])
    reorder(lies[2], plain_layout(y.shape))(memory[2], y)
    np.testing.assert_allclose(y, np.einsum("nchw,oc->nohw", plain[0], plain[1][:, :, 0, 0]), rtol=1e-4, atol=1e-5)


def test_arrays_that_lie_in_turn_as_the_primitive_takes_them_and_otherwise(x: np.ndarray) -> None:
    from pycaffe_lite.engines.onednn._arrays import Adaptive, channels_innermost
    from pycaffe_lite.engines.onednn._library import library
    from pycaffe_lite.engines.onednn._primitive import DST, SRC, Description

    innermost, taken = channels_innermost(x.shape), []

    def scratch(name: str, shape: tuple[int, ...], dtype: object) -> np.ndarray:
        taken.append(name)
        return aligned(shape[0], np.float32)

    engine, lies = library().engine, innermost.handle
    made = Description.make("eltwise_forward", engine, 64, 0x20, lies, lies, ctypes.c_float(0.5), ctypes.c_float(0))
    assert made is not None
    run = Adaptive(made, {SRC: innermost, DST: innermost})
    arrays = [np.moveaxis(np.empty((2, 5, 7, 20), np.float32), -1, 1), np.empty_like(x), np.empty_like(x)]
    for times, (i, o) in enumerate([(0, 0), (0, 0), (1, 0), (1, 2), (1, 2), (0, 2), (0, 0), (2, 1)], 1):
        source, target = arrays[i], arrays[o]
        source[...] = times * x
        taken.clear()
        run.adapted(scratch, source, target)
        np.testing.assert_array_equal(target, np.where(times * x > 0, times * x, 0.5 * times * x))
        assert taken == ["x"] * (i > 0) + ["y"] * (o > 0)


def test_every_thread_uses_as_many_threads_as_were_asked_for(x: np.ndarray) -> None:
    from pycaffe_lite.engines.onednn._arrays import channels_innermost
    from pycaffe_lite.engines.onednn._library import library
    from pycaffe_lite.engines.onednn._primitive import plain_layout, reorder

    used: list[int] = []

    def run() -> None:
        reorder(plain_layout(x.shape), channels_innermost(x.shape))(x, np.empty_like(x))
        used.append(library()._openmp.omp_get_max_threads())

    before = library().threads
    try:
        for count in (1, 3, 2):
            library().set_num_threads(count)
            thread = threading.Thread(target=run)
            thread.start()
            thread.join()
            run()
        assert used == [1, 1, 3, 3, 2, 2]
    finally:
        library().set_num_threads(before)


def test_what_cannot_be_done_alike_by_other_threads_is_done_by_as_many(
    x: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A primitive is made and run with the number that it was planned for."""
    from pycaffe_lite.engines.onednn._arrays import channels_innermost
    from pycaffe_lite.engines.onednn._library import Library, library
    from pycaffe_lite.engines.onednn._primitive import DST, SRC, Description, Primitive, plain_layout

    lib, keeping_to, used = library(), Library.keeping_to, []

    def noted(self: Library, count: int, call: Callable[[], int]) -> Callable[[], int]:
        def called() -> int:
            used.append(count)
            return call()

        return keeping_to(self, count, called)

    monkeypatch.setattr(Library, "keeping_to", noted)
    monkeypatch.setattr(Description, "for_threads", lambda self, count: self)
    before, lies = lib.threads, (plain_layout(x.shape), channels_innermost(x.shape))
    try:
        lib.set_num_threads(3)
        made = Description.make("reorder", lies[0].handle, lib.engine, lies[1].handle, lib.engine)
        assert made is not None
        run, y = Primitive(made, {SRC: lies[0], DST: lies[1]}), np.empty_like(x)
        run(x, y)
        assert used == [3, 3], "to plan and to make it"
        lib.set_num_threads(2)
        run(x, y)
        assert used == [3, 3, 3], "to run it"
        assert lib._openmp.omp_get_max_threads() == 2
    finally:
        lib.set_num_threads(before)
    np.testing.assert_array_equal(y.reshape(2, 5, 7, 20), np.moveaxis(x, 1, -1))


@pytest.mark.parametrize(("rows", "threads"), [(30, 1), (300, 2)])
def test_what_is_small_keeps_to_one_thread(rows: int, threads: int) -> None:
    from pycaffe_lite.engines.onednn._library import library
    from pycaffe_lite.engines.onednn._primitive import DST, SRC, Description, Primitive, plain_layout, strided_layout

    lib, before = library(), library().threads
    x = np.random.default_rng(0).normal(size=(rows, 100)).astype(np.float32)
    lies, turned = plain_layout(x.shape), strided_layout(x.shape, (1, rows))
    try:
        for count in (2, 1, 2):
            lib.set_num_threads(count)
            made = Description.make("reorder", lies.handle, lib.engine, turned.handle, lib.engine)
            assert made is not None
            run, y = Primitive(made, {SRC: lies, DST: turned}), np.empty((100, rows), np.float32)
            run(x, y)
            np.testing.assert_array_equal(y, x.T)
            assert made.threads == count
            assert run.description.threads == min(count, threads)
            assert lib._openmp.omp_get_max_threads() == count
    finally:
        lib.set_num_threads(before)


def test_what_the_library_refuses() -> None:
    from pycaffe_lite.engines.onednn._library import library

    with pytest.raises(EngineError, match=r"^oneDNN's engine_create failed: invalid arguments$"):
        library().call("engine_create", None, 1, ctypes.c_size_t(0))


def test_a_group_for_each_channel_has_kernels_of_its_own() -> None:
    from pycaffe_lite.engines.onednn._convolution import ConvolutionPrimitives
    from pycaffe_lite.layers._geometry import Geometry

    geometry = Geometry((3, 3), (1, 1), (1, 1), (1, 1), group=32)
    made = ConvolutionPrimitives((2, 32, 6, 5), (32, 1, 3, 3), (2, 32, 6, 5), geometry, bias=False, learning=False)
    for run in (made.forward(), made.backward_data(), made.backward_weights()):
        assert "dw" in run.description.implementation


def test_pointing_that_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who else runs the primitive does so with arrays of his own."""
    from pycaffe_lite.engines.onednn import _primitive
    from pycaffe_lite.engines.onednn._library import library
    from pycaffe_lite.engines.onednn._primitive import DST, SRC, Description, Primitive, plain_layout

    point, lies, engine = _primitive._point, plain_layout((3, 4)), library().engine
    made = Description.make("reorder", lies.handle, engine, lies.handle, engine)
    assert made is not None
    for allowed, after in itertools.product(range(2), (False, True)):
        run = Primitive(made, {SRC: lies, DST: lies})
        arrays = [np.full((3, 4), value, np.float32) for value in (1, 0, 2, 0)]
        mine, others = run.on(arrays[:2]), run.on(arrays[2:])
        mine()
        left = allowed

        def interrupted(*args: Any, after: bool = after) -> None:
            nonlocal left
            if left or after:
                point(*args)
            if not left:
                raise KeyboardInterrupt
            left -= 1

        monkeypatch.setattr(_primitive, "_point", interrupted)
        with pytest.raises(KeyboardInterrupt):
            others()
        monkeypatch.setattr(_primitive, "_point", point)
        arrays[1].fill(0)
        mine()
        assert (arrays[1] == 1).all()
        others()
        assert (arrays[3] == 2).all()


def test_products_of_one_row_whatever_was_asked_for_before() -> None:
    """Layouts do not tell strides along axes of one place, but oneDNN's products go by them."""
    from pycaffe_lite.engines.onednn._primitive import plain_layout, strided_layout
    from pycaffe_lite.engines.onednn._tile_steps import product

    rng = np.random.default_rng(0)
    for rows, columns in ((1, 5), (3, 1), (1, 1)):
        strided_layout((6, rows, columns), (20, 1, 1))  # is the same Layout, made with other strides
        x, w = (rng.normal(size=shape).astype(np.float32) for shape in ((6, rows, 8), (6, 8, columns)))
        y = aligned(6 * 20, np.float32)
        wide = strided_layout((6, rows, columns), (20, columns, 1))
        product(plain_layout(x.shape), plain_layout(w.shape), wide)(x, w, y)
        found = y.reshape(6, 20)[:, : rows * columns].reshape(6, rows, columns)
        np.testing.assert_allclose(found, x @ w, rtol=1e-5, atol=1e-5)


def test_what_a_thread_has_made_goes_with_it() -> None:
    from pycaffe_lite.engines.onednn._primitive import plain_layout, reorder, strided_layout

    lies, turned, made = plain_layout((17, 19)), strided_layout((17, 19), (1, 17)), []

    def make() -> None:
        assert reorder(lies, turned) is reorder(lies, turned)
        made.append(weakref.ref(reorder(lies, turned)))

    threads = [threading.Thread(target=make) for _ in range(2)]
    for thread in threads:
        thread.start()
        thread.join()
    make()
    gc.collect()
    assert [run() is None for run in made] == [True, True, False]
