"""Seeds: one per net, generators per layer."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite import _random, set_random_seed


@pytest.fixture(autouse=True)
def no_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_random, "_seed", None)


def draw(seed: int, name: str) -> list[float]:
    return _random.generator(seed, name).random(3).tolist()


def test_seed_and_name_decide() -> None:
    assert draw(1, "a") == draw(1, "a")
    assert draw(1, "a") != draw(1, "b")
    assert draw(1, "a") != draw(2, "a")


@pytest.mark.parametrize("seed", [0, -1, 2**63, 2**64 - 1, np.int64(3)])
def test_any_whole_number_is_a_seed(seed: int) -> None:
    assert len(draw(seed, "ünïcode")) == 3


def test_without_a_seed_every_net_differs() -> None:
    assert _random.new_seed() != _random.new_seed()


def test_set_random_seed() -> None:
    set_random_seed(7)
    first = [_random.new_seed() for _ in range(3)]
    set_random_seed(7)
    assert [_random.new_seed() for _ in range(3)] == first
    assert first[0] == 7
    assert len({*first}) == 3
    set_random_seed(8)
    assert not {_random.new_seed() for _ in range(3)} & {*first}


def test_numpys_global_state_is_neither_read_nor_changed() -> None:
    np.random.seed(1)
    state = np.random.get_state()[1].copy()  # type: ignore[index, union-attr]
    first = draw(5, "a")
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # type: ignore[index]
    np.random.seed(2)
    assert draw(5, "a") == first
